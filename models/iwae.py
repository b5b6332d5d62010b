"""The importance-weighted autoencoder: the same two Gaussians as `gaussian_vae`, trained by a tighter bound.

What it gains over `gaussian_vae` is what the ELBO's Gaussian q(z|x) cost; what it still lacks is what p(x|z) costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Generator, Tensor
from torch.distributions import Independent

from models.base import draw
from models.networks import NormalNetwork, NormalNetworkWithNoise, normal, standard_normal
from models.training import Recipe, Stage
from models.vae import VAE


class IWAE(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), q(z|x) = N(m_φ(x), diag s_φ(x)²); Burda et al. 2016.

    Under the importance-weighted bound the encoder becomes a good proposal, which is a poor posterior. So when the
    decoder is done it is frozen, and the encoder is fitted to it by the ELBO: only then does the ELBO gap mean what it
    means for a VAE.
    """

    recipe = Recipe(steps=3500, batch_size=64, learning_rate=1e-2)

    def __init__(
        self,
        latent_dim: int | None = None,
        hidden: int = 64,
        depth: int = 2,
        noise: float | None = None,
        importance_samples: int = 8,
    ) -> None:
        """importance_samples: K, draws of z for each point. The others as for every VAE here."""
        super().__init__(latent_dim, hidden, depth, noise)
        self.importance_samples = importance_samples

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks and σ, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)

    def stages(self) -> Sequence[Stage]:
        """All of it by the importance-weighted bound, then the encoder by the ELBO."""
        refit = Recipe(steps=1000, batch_size=128, learning_rate=1e-2)
        return [Stage(IWAE.importance_weighted_loss, self.recipe), Stage(IWAE.loss, refit, ("encoder",))]

    def importance_weighted_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """−E log (1/K) Σ_k p(x, z_k) / q(z_k|x), of whitened rows (batch, d); Burda et al. 2016, eq. 8.

        q is held fixed where its density is evaluated, so that gradients reach the encoder through z alone: the part
        left out has mean zero for K = 1 and much noise (Roeder, Wu & Duvenaud 2017, "sticking the landing").
        """
        q = self.encoder(x)
        z = draw(q, (self.importance_samples,), generator)
        log_joint = self.decoder(z).log_prob(x) + standard_normal(self.origin).log_prob(z)
        log_weights = log_joint - _fixed(q).log_prob(z)
        return math.log(self.importance_samples) - log_weights.logsumexp(0).mean()


def _fixed(q: Independent) -> Independent:
    return normal(q.base_dist.loc.detach(), q.base_dist.scale.detach())
