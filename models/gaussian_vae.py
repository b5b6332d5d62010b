"""The Gaussian variational autoencoder: both of the seed question's Gaussians, trained by the ELBO."""

from __future__ import annotations

from torch import Generator, Tensor

from models.networks import NormalNetwork, NormalNetworkWithNoise
from models.vae import VAE, recipe


class GaussianVAE(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), q(z|x) = N(m_φ(x), diag s_φ(x)²); Kingma & Welling 2014.

    The decoder's noise is homoscedastic: one σ for each coordinate, learned, the same for every z.
    """

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks and σ, for data like x (n, d)."""
        d, k, noise = self.start(x)
        self.recipe = recipe(4000, d)
        self.encoder = NormalNetwork(d, k, self.hidden, self.depth, generator)
        self.decoder = NormalNetworkWithNoise(k, d, self.hidden, self.depth, generator, noise)
