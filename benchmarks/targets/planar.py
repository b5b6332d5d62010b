"""Targets in the plane whose density is a closed form."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.gaussian_mixture import GaussianMixture
from benchmarks.targets.quadrature import Integrable, IntegratedEntropy, SmoothDensity, drop_light, gauss_legendre, rows

LOG_2_PI = math.log(2 * math.pi)


def log_ring(radius: Tensor, ring: Tensor | float, deviation: float) -> Tensor:
    """log-density in nats at distance `radius` from the centre of a uniform circle with Gaussian noise.

    1/(2πσ²) · exp(−(r² + R²)/2σ²) · I₀(rR/σ²), with I₀ scaled by its exponential so that nothing overflows;
    R is `ring` and σ `deviation`.
    """
    bessel = torch.special.i0e(radius * ring / deviation**2)
    return -0.5 * ((radius - ring) / deviation) ** 2 + bessel.log() - LOG_2_PI - 2 * math.log(deviation)


def directions(angles: Tensor) -> Tensor:
    """Unit vectors (n, 2) at the angles (n,), in radians."""
    return torch.stack([angles.cos(), angles.sin()], dim=1)


class EightGaussians(SmoothDensity, GaussianMixture):
    """Eight equal Gaussians of standard deviation 0.2 on a circle of radius 2."""

    name = "eight_gaussians"
    summary = "eight separated modes around a hole: topology that one connected Gaussian does not have"
    box, step = ((-4.2, -4.2), (4.2, 4.2)), 0.042

    def __init__(self) -> None:
        means = 2 * directions(torch.arange(8, dtype=torch.float64) * math.pi / 4)
        scales = 0.2 * torch.eye(2, dtype=torch.float64).repeat(8, 1, 1)
        super().__init__(torch.full((8,), 1 / 8, dtype=torch.float64), means, scales)


class Checkerboard(Integrable):
    """Uniform on the eight unit squares of [−2, 2]² on which ⌊x⌋ + ⌊y⌋ is even."""

    name = "checkerboard"
    summary = "eight tiles with hard edges that touch at their corners"
    dimension = 2

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2): a row's column of tiles decides which of its two columns are filled."""
        tile = torch.randint(8, (n,), generator=generator)
        row = tile // 2
        corner = torch.stack([2 * (tile % 2) + row % 2, row], dim=1) - 2
        return corner + torch.rand(n, 2, generator=generator, dtype=torch.float64)

    def log_prob(self, x: Tensor) -> Tensor:
        """−ln 8 on the tiles, −inf elsewhere, (n,), for x (n, 2)."""
        inside = (x >= -2).all(dim=1) & (x < 2).all(dim=1)
        even = x.floor().sum(dim=1).remainder(2) == 0
        return ((inside & even).double() / 8).log()

    def entropy(self) -> float:
        """ln 8."""
        return math.log(8)

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Gauss–Legendre panels on each tile: 48 nodes along an edge, or half as many."""
        line, width = gauss_legendre(torch.linspace(0, 1, round(4 / spacing) + 1, dtype=torch.float64), order=12)
        square = torch.cartesian_prod(line, line)
        columns, row = torch.arange(8) % 2, torch.arange(8) // 2
        corners = torch.stack([2 * columns + row % 2, row], dim=1) - 2
        return (corners[:, None] + square).flatten(0, 1), torch.outer(width, width).flatten().repeat(8) / 8


class Rings(SmoothDensity):
    """Equal mixture of three uniform circles of radius 1, 2 and 3, each with Gaussian noise of 0.1."""

    name = "rings"
    summary = "three closed curves, one inside the other: holes that no continuous map of the plane can make"
    dimension = 2
    radii = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    deviation = 0.1
    # Not in polar coordinates, which are no better: nodes would be as dense, and a model knows nothing of the centre.
    box, step = ((-4.2, -4.2), (4.2, 4.2)), 0.048

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2)."""
        radius = self.radii[torch.randint(3, (n,), generator=generator)]
        angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return radius[:, None] * directions(angle) + self.deviation * noise

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 2)."""
        radius = x.norm(dim=1, keepdim=True)
        return log_ring(radius, self.radii, self.deviation).logsumexp(dim=1) - math.log(3)


class Pinwheel(IntegratedEntropy):
    """Five Gaussian arms, twisted by an angle ¼·exp(|x|/2) that grows with the distance from the centre.

    Johnson et al. (2016) twist by the coordinate along the arm. Twisting by the distance |x| looks the same and
    preserves volume, so that the density is that of the untwisted arms at the untwisted point.
    """

    name = "pinwheel"
    summary = "five curved arms whose orientation turns with the distance from the centre"
    dimension = 2

    def __init__(self) -> None:
        centres = directions(torch.arange(5, dtype=torch.float64) * 2 * math.pi / 5)
        across = torch.stack([-centres[:, 1], centres[:, 0]], dim=1)
        covariances = 0.6**2 * torch.einsum("ki,kj->kij", centres, centres)
        covariances += 0.2**2 * torch.einsum("ki,kj->kij", across, across)
        self._arms = GaussianMixture(
            torch.full((5,), 1 / 5, dtype=torch.float64), 2 * centres, torch.linalg.cholesky(covariances)
        )

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2)."""
        return self._twist(self._arms.sample(n, generator), 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 2)."""
        return self._arms.log_prob(self._twist(x, -1))

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Equally spaced points on circles, twisted: on a circle the twist is a rotation, however fast it grows."""
        step = 0.058 * spacing
        radius, width = gauss_legendre(torch.linspace(0, 7, round(7 / (16 * step)) + 1, dtype=torch.float64), order=16)
        counts = (2 * math.pi * radius / step).ceil().clamp(min=24)
        row, place = rows(counts.long())
        points = radius[row, None] * directions(2 * math.pi * place)
        area = (2 * math.pi * radius * width / counts)[row]
        return drop_light(self._twist(points, 1), area * self._arms.log_prob(points).exp())

    @staticmethod
    def _twist(x: Tensor, sign: int) -> Tensor:
        angle = sign * 0.25 * (x.norm(dim=1) / 2).clamp(max=700).exp()  # farther out, any finite angle will do
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], dim=1)
