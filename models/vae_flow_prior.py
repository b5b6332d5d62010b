"""A VAE whose prior is a flow: z need not be normal any more, q(z|x) and p(x|z) still are given z and x.

The "complex prior" of the seed question. A flow as prior and the same flow undone in the posterior are one and the
same model (Chen et al. 2017, section 3.2): what the prior bends, q(z|x) need not.
"""

from __future__ import annotations

from torch import Generator, Tensor

from models.base import draw
from models.latent_flows import LatentFlow
from models.networks import NormalNetwork, NormalNetworkWithNoise
from models.pushforward import Pushforward
from models.training import Recipe
from models.vae import VAE


class VAEFlowPrior(VAE):
    """p(z) the law of T(ε), ε ~ N(0, I), T a neural spline flow; p(x|z) = N(μ_θ(z), diag σ²), q(z|x) Gaussian."""

    recipe = Recipe(steps=1500, batch_size=128, learning_rate=1e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks, σ and the prior's flow, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)
        self.flow = LatentFlow(k, 2, generator)

    def prior(self) -> Pushforward:
        """p(z)."""
        # The flow's quick direction is its own "push": in training it takes z to ε, so it is turned round here.
        return Pushforward(self.flow.pull, self.flow.push, self.origin.shape[:-1], self.origin)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO of whitened rows (batch, d) by one draw: −[log p(x|z) + log p(z) − log q(z|x)]."""
        q = self.encoder(x)
        z = draw(q, (), generator)
        return (q.log_prob(z) - self.decoder(z).log_prob(x) - self.prior().log_prob(z)).mean()
