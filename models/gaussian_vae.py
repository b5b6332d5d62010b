"""The Gaussian variational autoencoder: both of the seed question's Gaussians, trained by the ELBO."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from models.base import LatentModel, draw
from models.networks import mlp
from models.training import GradientTrained, Recipe
from models.whitening import Standardization

# Bounds of log standard deviations, of q(z|x) and of p(x|z) in units of the data's own: far outside of what a
# trained model uses, near enough that no density overflows on the way there.
LOG_SCALE_BOUNDS = (-7.0, 3.0)


class GaussianVAE(GradientTrained, LatentModel):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), q(z|x) = N(m_φ(x), diag s_φ(x)²); Kingma & Welling 2014.

    The decoder's noise is homoscedastic: one σ for each coordinate, learned, the same for every z. Trained by the
    ELBO, E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)), with one reparameterised sample and the exact KL divergence.
    """

    origin: Tensor

    def __init__(self, latent_dim: int | None = None, hidden: int = 64, depth: int = 2, noise: float = 0.2) -> None:
        """latent_dim: k; by default the data's dimension, at most 16. noise: σ at the start, in the data's own sd."""
        super().__init__()
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.depth = depth
        self.noise = noise
        self.recipe = Recipe(steps=5000, batch_size=128, learning_rate=2e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks and σ, for data like x (n, d)."""
        d = x.shape[1]
        k = self.latent_dim or min(d, 16)
        self.whitening = Standardization(x)
        self.encoder = mlp(d, 2 * k, self.hidden, self.depth, generator)
        self.decoder = mlp(k, d, self.hidden, self.depth, generator)
        self.log_noise = nn.Parameter(torch.full((d,), self.noise, device=x.device).log())
        self.register_buffer("origin", torch.zeros(k, device=x.device))

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO of a minibatch (batch, d), up to the whitening's constant; Kingma & Welling 2014, eq. 7."""
        y = self.whitening(x).to(self.log_noise.dtype)
        q = self._encode(y)
        z = draw(q, (), generator)
        kl = kl_divergence(q, self.prior())
        return (kl - self._decode(z).log_prob(y)).mean()

    def prior(self) -> Independent:
        """p(z) = N(0, I)."""
        return _normal(self.origin, torch.ones_like(self.origin))

    def likelihood(self, z: Tensor) -> Independent:
        """p(x|z) in the data's units."""
        p = self._decode(z).base_dist
        return _normal(self.whitening.inverse(p.loc), self.whitening.scale * p.scale)

    def posterior(self, x: Tensor) -> Independent:
        """q(z|x), the encoder's."""
        return self._encode(self.whitening(x))

    def _encode(self, y: Tensor) -> Independent:
        mean, log_scale = self.encoder(y).chunk(2, dim=-1)
        return _normal(mean, log_scale.clamp(*LOG_SCALE_BOUNDS).exp())

    def _decode(self, z: Tensor) -> Independent:
        mean = self.decoder(z)
        return _normal(mean, self.log_noise.clamp(*LOG_SCALE_BOUNDS).exp().expand_as(mean))


def _normal(mean: Tensor, scale: Tensor) -> Independent:
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
