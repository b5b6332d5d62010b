"""The Gaussian VAE's prior and decoder, trained by (nearly) exact maximum likelihood: no bound and no q(z|x) at all.

With one or two latents the integral over z is a sum over a few hundred nodes. What this model gains over `gaussian_vae`
is what the ELBO's q(z|x) cost; what it still lacks is what p(x|z), the network and the training cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from models.networks import LOG_SCALE_BOUNDS, NormalNetwork, NormalNetworkWithNoise
from models.training import Recipe, Stage
from models.vae import VAE

GOLDEN_RATIO = (1 + math.sqrt(5)) / 2
NEAREST = 1e-6  # of a node to the border of the unit square, where Φ⁻¹ is infinite


class ExactLikelihoodVAE(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), trained by log p_θ(x) = log ∫ p(x|z) p(z) dz; k = 1 or 2.

    The encoder q(z|x) = N(m_φ(x), diag s_φ(x)²) takes no part in that: it is fitted by the ELBO to the decoder when
    that is done and frozen, so that the ELBO gap means what it means for a VAE.
    """

    recipe = Recipe(steps=4500, batch_size=64, learning_rate=1e-2)
    most_latents = 2
    decoder: NormalNetworkWithNoise
    lattice: Tensor

    def __init__(
        self,
        latent_dim: int | None = None,
        hidden: int = 64,
        depth: int = 2,
        noise: float = 0.15,
        learn_noise: bool = True,
        nodes: int = 610,
    ) -> None:
        """latent_dim: k, at most 2, by default the data's dimension if that is less.

        noise: σ at the start, in the data's own standard deviations. Begun much narrower, most of the prior is out of
        reach of any data and slow to move; begun much wider, narrow modes are lost.

        learn_noise: False keeps σ at `noise`. nodes: G, the values of z; for two latents a Fibonacci number. They
        resolve posteriors p_θ(z|x) that spread over far more than 1/G of the prior's mass.

        Raises ValueError for more than two latents.
        """
        if latent_dim is not None and latent_dim > self.most_latents:
            raise ValueError(
                f"latent_dim is {latent_dim}: the integral over z is a sum over nodes in 1 or 2 dimensions"
            )
        super().__init__(latent_dim, hidden, depth, noise)
        self.learn_noise = learn_noise
        self.nodes = nodes

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks, σ and the lattice, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)
        self.register_buffer("lattice", fibonacci_lattice(self.nodes, k).to(self.origin), persistent=False)

    def stages(self) -> Sequence[Stage]:
        """The decoder by the likelihood, then the encoder by the ELBO."""
        refit = Recipe(steps=1000, batch_size=128, learning_rate=1e-2)
        moving = ("decoder",) if self.learn_noise else ("decoder.network",)
        return [
            Stage(ExactLikelihoodVAE.negative_log_likelihood, self.recipe, moving),
            Stage(ExactLikelihoodVAE.loss, refit, ("encoder",)),
        ]

    def negative_log_likelihood(self, x: Tensor, generator: Generator) -> Tensor:
        """−log (1/G) Σ_g N(x; μ(z_g), diag σ²), averaged over whitened rows (batch, d); z_g = Φ⁻¹(u_g).

        The u_g are a lattice moved by a fresh uniform shift, modulo 1, so that nothing is fitted to particular nodes.
        Under that shift the sum is unbiased for p_θ(x) (Cranley & Patterson 1976), its logarithm a lower bound in the
        mean.
        """
        shift = torch.rand(self.origin.shape, generator=generator, dtype=x.dtype, device=x.device)
        u = (self.lattice + shift).frac().clamp(NEAREST, 1 - NEAREST)
        log_scale = self.decoder.log_scale.clamp(*LOG_SCALE_BOUNDS)
        a, b = x / log_scale.exp(), self.decoder.network(torch.special.ndtri(u)) / log_scale.exp()
        # −|a − b|²/2 of every row and node, as a matrix product: what depends on the row alone is added after the sum.
        exponent = torch.addmm(-b.square().sum(1) / 2, a, b.mT)
        constant = log_scale.sum() + x.shape[1] / 2 * math.log(2 * math.pi) + math.log(self.nodes)
        return constant + (a.square().sum(1) / 2 - exponent.logsumexp(1)).mean()


def fibonacci_lattice(count: int, k: int) -> Tensor:
    """The rank-1 lattice {g (1, h) / G mod 1}, (G, k), float64: equispaced for k = 1; for k = 2 h is about G / golden.

    For a Fibonacci number G = F_n that is h = F_(n−1): the Fibonacci lattice (Sloan & Joe 1994).
    """
    generator = torch.tensor([1, round(count / GOLDEN_RATIO)])[:k]
    return torch.arange(count)[:, None] * generator % count / torch.tensor(count, dtype=torch.float64)
