"""Two models and two targets that are right, small and quick: what the broken ones break in one place each."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Independent, Normal

from benchmarks.targets.base import ExactTarget, TransportTarget
from models.base import Budget, DensityModel, History, LatentModel, TransportModel


class SoundDensity(DensityModel):
    """A diagonal Gaussian."""

    shift: Tensor
    spread: Tensor

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        self.register_buffer("shift", x.mean(0))
        spread = x.std(0)
        self.register_buffer("spread", spread.clamp_min(1e-6 * float(spread.max())))
        return History()

    def sample(self, n: int, generator: Generator) -> Tensor:
        z = torch.randn(n, len(self.shift), generator=generator, dtype=torch.float64)
        return self.shift + self.spread * z

    def log_prob(self, x: Tensor) -> Tensor:
        return Normal(self.shift, self.spread).log_prob(x).sum(1)


class SoundMap(SoundDensity, TransportModel):
    """The same as a map of N(0, I)."""

    def transport(self, z: Tensor) -> Tensor:
        return self.shift + self.spread * z


class SoundLatent(LatentModel):
    """Probabilistic PCA with one latent: p(x|z) = N(m + w z, σ²), with the exact posterior."""

    centre: Tensor
    weight: Tensor
    noise: Tensor

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        values, vectors = torch.linalg.eigh(torch.cov(x.T).view(x.shape[1], x.shape[1]))
        noise = (values[:-1].mean() if x.shape[1] > 1 else values[0] / 2).clamp_min(1e-9 * values[-1])
        self.register_buffer("centre", x.mean(0))
        self.register_buffer("noise", noise.sqrt())
        self.register_buffer("weight", (values[-1] - noise).clamp_min(0).sqrt() * vectors[:, -1])
        return History()

    def prior(self) -> Distribution:
        return Independent(Normal(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        mean = self.centre + z * self.weight
        return Independent(Normal(mean, self.noise.expand_as(mean)), 1)

    def posterior(self, x: Tensor) -> Distribution:
        precision = 1 + self.weight.square().sum() / self.noise**2
        mean = ((x - self.centre) @ self.weight / self.noise**2 / precision)[..., None]
        return Independent(Normal(mean, (1 / precision.sqrt()).expand_as(mean)), 1)


class SoundTarget(TransportTarget):
    """N(m, S) in the plane, S diagonal."""

    name = "sound"
    summary = "Nothing: it is normal"
    dimension = 2

    def __init__(self) -> None:
        self.mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
        self.root = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)

    def transport(self, z: Tensor) -> Tensor:
        return self.mean + z @ self.root.mT

    def sample(self, n: int, generator: Generator) -> Tensor:
        return SoundTarget.transport(self, torch.randn(n, 2, generator=generator, dtype=torch.float64))

    def log_prob(self, x: Tensor) -> Tensor:
        return Normal(self.mean, self.root.diagonal()).log_prob(x).sum(1)

    def entropy(self) -> float:
        return math.log(2 * math.pi * math.e) + float(self.root.logdet())

    def nodes(self, spacing: float = 1.0) -> tuple[Tensor, Tensor] | None:
        axis = torch.linspace(-8, 8, 101, dtype=torch.float64)
        z = torch.cartesian_prod(axis, axis)
        weights = torch.exp(-z.square().sum(1) / 2)
        return SoundTarget.transport(self, z), weights / weights.sum()


class SoundHighTarget(ExactTarget):
    """N(0, I) in three dimensions."""

    name = "sound_3d"
    summary = "Nothing: it is normal"
    dimension = 3

    def sample(self, n: int, generator: Generator) -> Tensor:
        return torch.randn(n, 3, generator=generator, dtype=torch.float64)

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)

    def entropy(self) -> float:
        return 1.5 * math.log(2 * math.pi * math.e)
