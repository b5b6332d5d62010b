"""A Gaussian VAE whose decoder's noise depends on the latent: how much of the price of p(x|z) was its single σ."""

from __future__ import annotations

from torch import Generator, Tensor

from models.networks import NormalNetwork
from models.training import Recipe
from models.vae import VAE


class HeteroscedasticVAE(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ_θ(z)²), q(z|x) = N(m_φ(x), diag s_φ(x)²).

    Rezende, Mohamed & Wierstra 2014. Where σ may go to zero the likelihood has no maximum (Mattei & Frellsen 2018), so
    log σ starts as a constant and is bounded.
    """

    recipe = Recipe(steps=5000, batch_size=128, learning_rate=1e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetwork(k, d, shape, generator, scale=noise)
