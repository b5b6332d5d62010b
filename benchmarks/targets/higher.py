"""Targets in many dimensions whose density is a closed form."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.base import ExactTarget
from benchmarks.targets.gaussian_mixture import GaussianMixture
from benchmarks.targets.hierarchical import GAUSSIAN_ENTROPY


def random_rotation(dimension: int, generator: Generator) -> Tensor:
    """A uniformly distributed orthogonal matrix (d, d): QR of a Gaussian matrix, with R's diagonal made positive."""
    q, r = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


class GaussianMixture16D(GaussianMixture):
    """Eight equal Gaussians in R¹⁶: means of norm 4 in random directions, randomly rotated covariances.

    The standard deviations along a component's own axes run geometrically from 0.2 to 1. They hardly
    overlap: the entropy is good to 1e-6.
    """

    name = "gaussian_mixture_16d"
    summary = "eight stretched clusters in sixteen dimensions, each along axes of its own"

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(16)
        directions = torch.randn(8, 16, generator=generator, dtype=torch.float64)
        variances = torch.logspace(math.log10(0.2), 0, 16, dtype=torch.float64).square()
        rotations = torch.stack([random_rotation(16, generator) for _ in range(8)])
        super().__init__(
            torch.full((8,), 1 / 8, dtype=torch.float64),
            4 * directions / directions.norm(dim=1, keepdim=True),
            torch.linalg.cholesky(rotations * variances @ rotations.mT),
        )


class IllConditionedGaussian16D(ExactTarget):
    """A centred Gaussian in R¹⁶ with a fixed random rotation and variances geometric from 10⁻² to 10²."""

    name = "ill_conditioned_gaussian_16d"
    summary = "a plain Gaussian, but a hundred times longer than wide and along no axis: condition number 10⁴"
    dimension = 16

    def __init__(self) -> None:
        self._rotation = random_rotation(16, torch.Generator().manual_seed(4))
        self._deviations = torch.logspace(-1, 1, 16, dtype=torch.float64)

    @property
    def covariance(self) -> Tensor:
        """The covariance matrix, (16, 16)."""
        return self._rotation * self._deviations.square() @ self._rotation.T

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 16)."""
        noise = torch.randn(n, 16, generator=generator, dtype=torch.float64)
        return noise * self._deviations @ self._rotation.T

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 16)."""
        whitened = x @ self._rotation / self._deviations
        return -0.5 * whitened.square().sum(dim=1) - self._deviations.log().sum() - 8 * math.log(2 * math.pi)

    def entropy(self) -> float:
        """8·ln(2πe) + Σ ln σ_i."""
        return 16 * GAUSSIAN_ENTROPY + float(self._deviations.log().sum())


class StudentT8D(ExactTarget):
    """Multivariate t with five degrees of freedom and scale matrix Σ_ij = 0.8^|i−j| in R⁸."""

    name = "student_t_8d"
    summary = "heavy tails that all coordinates share: uncorrelated at best, never independent"
    dimension = 8
    moments = 5.0

    def __init__(self) -> None:
        index = torch.arange(8, dtype=torch.float64)
        self.scale = 0.8 ** (index[:, None] - index).abs()
        self._cholesky = torch.linalg.cholesky(self.scale)
        self._log_det = float(self._cholesky.diagonal().log().sum())
        self._log_height = math.lgamma(6.5) - math.lgamma(2.5) - 4 * math.log(5 * math.pi) - self._log_det

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 8): a Gaussian over the root of χ²₅ / 5, a mean of five squared Gaussians."""
        noise = torch.randn(n, 13, generator=generator, dtype=torch.float64)
        return noise[:, :8] @ self._cholesky.T / noise[:, 8:].square().mean(dim=1, keepdim=True).sqrt()

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 8)."""
        whitened = torch.linalg.solve_triangular(self._cholesky, x.T, upper=False)
        return self._log_height - 6.5 * torch.log1p(whitened.square().sum(dim=0) / 5)

    def entropy(self) -> float:
        """−ln Γ(13/2) + ln Γ(5/2) + 4 ln 5π + ½ ln det Σ + 13/2·(ψ(13/2) − ψ(5/2))."""
        # ψ(13/2) − ψ(5/2) = 2/5 + 2/7 + 2/9 + 2/11, by ψ(x + 1) = ψ(x) + 1/x.
        return 6.5 * (2 / 5 + 2 / 7 + 2 / 9 + 2 / 11) - self._log_height
