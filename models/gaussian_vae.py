"""The Gaussian variational autoencoder: both of the seed question's Gaussians, trained by the ELBO."""

from __future__ import annotations

from torch import Generator, Tensor

from models.networks import NormalNetwork, NormalNetworkWithNoise
from models.training import Recipe
from models.vae import VAE


class GaussianVAE(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), q(z|x) = N(m_φ(x), diag s_φ(x)²); Kingma & Welling 2014.

    The decoder's noise is homoscedastic: one σ for each coordinate, learned, the same for every z.
    """

    recipe = Recipe(steps=5000, batch_size=128, learning_rate=1e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks and σ, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)
