"""Two VAEs, one on the data and one on the codes of the first: Dai & Wipf's answer to "z is not really N(0, I)".

The first learns the manifold that the data lie near, the second how the data are spread along it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, kl_divergence

from models.base import draw
from models.networks import NormalNetwork, NormalNetworkWithNoise, standard_normal
from models.pushforward import Pushforward
from models.training import Recipe, Stage
from models.vae import VAE


class TwoStageVAE(VAE):
    """p(u) = N(0, I), p(z|u) = N(μ₂(u), diag σ₂²), p(x|z) = N(μ(z), diag σ²); Dai & Wipf 2019, section 4.

    As a latent-variable model its latent is (u, ε) ~ N(0, I) in 2k dimensions, with z = μ₂(u) + σ₂ ε, so that the
    prior is a plain one; q(u, ε|x) is what q(z|x) q(u|z) is in those coordinates, with an exact density.
    """

    second_origin: Tensor

    recipe = Recipe(steps=3000, batch_size=128, learning_rate=1e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Four networks and two noises, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = NormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)
        self.second_encoder = NormalNetwork(k, k, shape, generator)
        self.second_decoder = NormalNetworkWithNoise(k, k, shape, generator, noise)
        self.register_buffer("second_origin", torch.zeros(2 * k, device=x.device))

    def stages(self) -> Sequence[Stage]:
        """The first VAE, then the second on the codes of the first, which stays as it is."""
        second = replace(self.recipe, steps=2000)
        return [
            Stage(TwoStageVAE.loss, self.recipe, ("encoder", "decoder")),
            Stage(TwoStageVAE.second_loss, second, ("second_encoder", "second_decoder")),
        ]

    def second_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO of the second VAE on z ~ q(z|x), for whitened rows x (batch, d)."""
        z = draw(self.encoder(x), (), generator)
        q = self.second_encoder(z)
        u = draw(q, (), generator)
        return (kl_divergence(q, standard_normal(self.origin)) - self.second_decoder(u).log_prob(z)).mean()

    def prior(self) -> Independent:
        """p(u, ε) = N(0, I) in 2k dimensions."""
        return standard_normal(self.second_origin)

    def likelihood(self, z: Tensor) -> Independent:
        """p(x|u, ε) in the data's units, for the pair (..., 2k)."""
        u, noise = z.chunk(2, dim=-1)
        second = self.second_decoder(u).base_dist
        return super().likelihood(second.loc + second.scale * noise)

    def posterior(self, x: Tensor) -> Pushforward:
        """q(u, ε|x): z ~ q(z|x), u ~ q(u|z), ε = (z − μ₂(u)) / σ₂."""
        first = self.encoder(self.whitening(x)).base_dist

        def push(noise: Tensor) -> tuple[Tensor, Tensor]:
            first_noise, second_noise = noise.chunk(2, dim=-1)
            z = first.loc + first.scale * first_noise
            q = self.second_encoder(z).base_dist
            u = q.loc + q.scale * second_noise
            p = self.second_decoder(u).base_dist
            log_det = (first.scale.log() + q.scale.log() - p.scale.log()).sum(-1)
            return torch.cat([u, (z - p.loc) / p.scale], dim=-1), log_det

        def pull(value: Tensor) -> tuple[Tensor, Tensor]:
            u, epsilon = value.chunk(2, dim=-1)
            p = self.second_decoder(u).base_dist
            z = p.loc + p.scale * epsilon
            q = self.second_encoder(z).base_dist
            noise = torch.cat([(z - first.loc) / first.scale, (u - q.loc) / q.scale], dim=-1)
            return noise, (p.scale.log() - first.scale.log() - q.scale.log()).sum(-1)

        return Pushforward(push, pull, first.loc.shape[:-1], self.second_origin)
