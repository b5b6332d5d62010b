"""What every VAE here has: whitened rows, a standard normal prior, a decoder's law in the data's units, the ELBO."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from models.base import LatentModel, draw
from models.networks import Shape, normal, standard_normal
from models.training import GradientTrained
from models.whitening import Standardization

FEW_DIMENSIONS = 3


class VAE(GradientTrained, LatentModel):
    """p(z) = N(0, I), p(x|z) and q(z|x) by networks. A subclass builds them and says what is trained how.

    `encoder` and `decoder` take whitened rows and latents to normal laws, as those of `models.networks` do.
    """

    most_latents = 16
    encoder: nn.Module
    decoder: nn.Module
    origin: Tensor

    def __init__(
        self, latent_dim: int | None = None, hidden: int = 64, depth: int = 2, noise: float | None = None
    ) -> None:
        """latent_dim: k; by default the data's dimension, at most `most_latents`, 16.

        noise: σ at the start, in the data's own standard deviations; by default 0.07 in up to three dimensions and 0.2
        above. Begun much wider, the ELBO of narrow curves is caught where the decoder ignores the latent.
        """
        super().__init__()
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.depth = depth
        self.noise = noise

    def start(self, x: Tensor) -> tuple[int, int, Shape, float]:
        """Whitening by x (n, d) and the prior; returns d, k, the shape of the networks and σ at the start."""
        d = x.shape[1]
        k = self.latent_dim or min(d, self.most_latents)
        self.whitening = Standardization(x)
        self.register_buffer("origin", torch.zeros(k, device=x.device))
        gain, noise = (5.0, 0.07) if d <= FEW_DIMENSIONS else (3.0, 0.2)
        return d, k, Shape(self.hidden, self.depth, gain), self.noise or noise

    def prepare(self, x: Tensor, generator: Generator) -> Tensor:
        """Whitened rows (n, d), in the precision of the networks."""
        return self.whitening(x).to(self.origin.dtype)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO of whitened rows (batch, d), up to the whitening's constant; Kingma & Welling 2014, eq. 7.

        −E_q[log p(x|z)] + KL(q(z|x) ‖ p(z)), with one reparameterised sample and the exact KL divergence.
        """
        q = self.encoder(x)
        z = draw(q, (), generator)
        return (kl_divergence(q, standard_normal(self.origin)) - self.decoder(z).log_prob(x)).mean()

    def prior(self) -> Distribution:
        """p(z) = N(0, I)."""
        return standard_normal(self.origin)

    def likelihood(self, z: Tensor) -> Independent:
        """p(x|z) in the data's units."""
        p = self.decoder(z).base_dist
        return normal(self.whitening.inverse(p.loc), self.whitening.scale * p.scale)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x), the encoder's."""
        encoded: Distribution = self.encoder(self.whitening(x))
        return encoded
