"""Gaussians, many at a time: the one place that knows which distributions of torch they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal


@dataclass(frozen=True)
class Gaussians:
    """Normal laws of z = mean + A ε: mean (..., k), and the root A: (..., k, k), or its diagonal (..., k)."""

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, distribution: Distribution) -> Gaussians | None:
        """The laws of a diagonal or a full Gaussian, None for any other family."""
        match distribution:
            case MultivariateNormal():
                return cls(distribution.loc, distribution.scale_tril)
            case Independent(base_dist=Normal() as normal):
                return cls(normal.loc, normal.scale)
            case _:
                return None

    @classmethod
    def like(cls, distribution: Distribution) -> Gaussians:
        """Those laws, or the uncorrelated ones with the same means and deviations."""
        return cls.of(distribution) or cls(distribution.mean, distribution.stddev)

    @property
    def diagonal(self) -> bool:
        """Whether the coordinates are independent."""
        return self.root.dim() == self.mean.dim()

    @property
    def matrix(self) -> Tensor:
        """A (..., k, k)."""
        return self.root.diag_embed() if self.diagonal else self.root

    def times(self, vector: Tensor) -> Tensor:
        """A v (D, ..., k) for v (D, ..., k)."""
        return self.root * vector if self.diagonal else torch.einsum("...ij,s...j->s...i", self.root, vector)

    def transposed_times(self, vector: Tensor) -> Tensor:
        """Aᵀ v (D, ..., k) for v (D, ..., k)."""
        return self.root * vector if self.diagonal else torch.einsum("...ji,s...j->s...i", self.root, vector)

    def log_density(self, noise: Tensor) -> Tensor:
        """log q(z) (D, ...) at z = mean + A ε, for ε (D, ..., k)."""
        volume = self.root.abs().log().sum(-1) if self.diagonal else torch.linalg.slogdet(self.root)[1]
        return -(noise.square().sum(-1) + noise.shape[-1] * math.log(2 * math.pi)) / 2 - volume

    def pick(self, first: Tensor) -> Gaussians:
        """Of laws in J alternatives (J, ..., C, ·) those numbered `first` (..., C)."""
        rest = torch.meshgrid(*(torch.arange(size) for size in first.shape), indexing="ij")
        return Gaussians(self.mean[(first, *rest)], self.root[(first, *rest)])
