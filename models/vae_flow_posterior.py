"""A VAE whose posterior is a flow: q(z|x) need not be Gaussian, p(x|z) still is.

Beside `gaussian_vae` it says what the Gaussian q(z|x) costs when the bound stays the ELBO.
"""

from __future__ import annotations

from torch import Generator, Tensor

from models.latent_flows import LatentFlow
from models.networks import NormalNetwork, NormalNetworkWithNoise, mlp, standard_normal
from models.pushforward import Pushforward
from models.training import Recipe
from models.vae import VAE

CONTEXT = 16


class VAEFlowPosterior(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), q(z|x) the law of m(x) + s(x) · T(ε; h(x)), ε ~ N(0, I).

    T is a neural spline flow that the features h(x) steer (Rezende & Mohamed 2015; Durkan et al. 2019).
    """

    # Too few steps is what it suffers from: one coupling for 2,400 did better than two for 1,500, and cost no more.
    recipe = Recipe(steps=2400, batch_size=128, learning_rate=1e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Encoder, its features, its flow, the decoder and σ, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.features = mlp(d, CONTEXT, self.hidden, 1, generator, shape.gain)
        self.flow = LatentFlow(k, 1, generator, context=CONTEXT)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO of whitened rows (batch, d) by one draw: −[log p(x|z) + log p(z) − log q(z|x)]."""
        z, log_q = self._encoded(x).draw_with_log_prob((), generator)
        return (log_q - self.decoder(z).log_prob(x) - standard_normal(self.origin).log_prob(z)).mean()

    def posterior(self, x: Tensor) -> Pushforward:
        """q(z|x)."""
        return self._encoded(self.whitening(x))

    def _encoded(self, y: Tensor) -> Pushforward:
        base = self.encoder(y).base_dist
        context = self.features(y)

        def push(noise: Tensor) -> tuple[Tensor, Tensor]:
            u, log_det = self.flow.push(noise, context)
            return base.loc + base.scale * u, log_det + base.scale.log().sum(-1)

        def pull(z: Tensor) -> tuple[Tensor, Tensor]:
            noise, log_det = self.flow.pull((z - base.loc) / base.scale, context)
            return noise, log_det - base.scale.log().sum(-1)

        return Pushforward(push, pull, base.loc.shape[:-1], self.origin)
