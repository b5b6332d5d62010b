"""Pushforwards of N(0, I) by a known optimal-transport map: the gradient of a strictly convex function.

After the continuous benchmark pairs of Korotin et al. (2021), whose maps are gradients of trained convex networks; here
the convex function is written down, and with it the map, its inverse, its Jacobian and the density.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.base import TransportTarget
from benchmarks.targets.hierarchical import GAUSSIAN_ENTROPY
from benchmarks.targets.quadrature import CachedEntropy, IntegratedEntropy, chunked, drop_light, grid, sobol_normal


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """matrix⁻¹ vector, (n, d), for symmetric positive definite matrices (n, d, d) and vectors (n, d)."""
    return torch.cholesky_solve(vector[:, :, None], torch.linalg.cholesky(matrix))[:, :, 0]


class Brenier(TransportTarget, CachedEntropy):
    """∇φ(z) = a·z + c Σ_k Φ(s (w_k·z − b_k)) w_k, Φ the normal distribution function, |w_k| = 1, for z ~ N(0, I).

    φ(z) = a/2·|z|² + c Σ_k ψ(w_k·z − b_k), ψ(t) = t Φ(s t) + φ(s t)/s, the hinge max(0, t) blurred by 1/s.
    Its Hessian a·I + c s Σ_k φ(s (w_k·z − b_k)) w_k w_kᵀ exceeds a·I, so that φ is strictly convex and ∇φ is the
    optimal map for quadratic cost (Brenier 1991). Each ridge tears the Gaussian apart by c across a hyperplane.
    """

    slope = 0.4  # a
    sharpness = 6.0  # s
    jump = 2.0  # c

    def __init__(self, dimension: int, ridges: int, seed: int) -> None:
        """Draw the ridges' directions and offsets from their own seed."""
        self.dimension = dimension
        generator = torch.Generator().manual_seed(seed)
        directions = torch.randn(ridges, dimension, generator=generator, dtype=torch.float64)
        self._directions = directions / directions.norm(dim=1, keepdim=True)
        self._offsets = 2 * torch.rand(ridges, generator=generator, dtype=torch.float64) - 1
        spread = math.sqrt(1 + self.sharpness**-2)  # of w·z plus the ridge's own blur, for the two Gaussian means below
        self._mean = self.jump * torch.special.ndtr(-self._offsets / spread) @ self._directions
        bumps = self.jump / (spread * math.sqrt(2 * math.pi)) * (-0.5 * (self._offsets / spread).square()).exp()
        self._products = torch.einsum("ki,kj->kij", self._directions, self._directions).flatten(1)
        self._mean_jacobian = self._hessian(bumps[None])[0]

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, d)."""
        return self.transport(torch.randn(n, self.dimension, generator=generator, dtype=torch.float64))

    def transport(self, z: Tensor) -> Tensor:
        """The optimal map ∇φ(z) from N(0, I), (n, d) to (n, d)."""
        return self.slope * z + self.jump * torch.special.ndtr(self._heights(z)) @ self._directions

    def jacobian(self, z: Tensor) -> Tensor:
        """The Hessian ∇²φ(z), symmetric and positive definite, (n, d, d), for z (n, d)."""
        return self._hessian(self._bumps(self._heights(z)))

    def inverse(self, x: Tensor) -> Tensor:
        """The z (n, d) with ∇φ(z) = x, for x (n, d): damped Newton to |∇φ(z) − x| ≤ 1e-12·(1 + |x|)."""
        with torch.no_grad():
            z = (x - self._mean) @ torch.linalg.inv(self._mean_jacobian)
            residual = self.transport(z) - x
            tolerance = 1e-12 * (1 + x.norm(dim=1))
            for _ in range(100):
                active = (residual.norm(dim=1) > tolerance).nonzero()[:, 0]
                if len(active) == 0:
                    break
                z[active], residual[active] = self._newton_step(z[active], residual[active], x[active])
        return z

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, d)."""
        # So narrow that the Hessians of a chunk stay in the cache: that halves the time in 32 dimensions.
        return chunked(self._log_prob, x, width=16 * self.dimension**2)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = self.inverse(x)
        if x.requires_grad:  # a Newton step changes nothing but the derivative: the inverse's is the inverse Hessian
            z = z - _solve(self.jacobian(z), self.transport(z) - x)
        return -0.5 * z.square().sum(dim=1) - 0.5 * self.dimension * math.log(2 * math.pi) - self._log_det(z)

    def integrate_entropy(self) -> float:
        """d/2·ln(2πe) + E log det ∇²φ(z) in nats, by quasi-Monte Carlo with a standard error of about 2e-3.

        The control variates are the log-determinants that each ridge would have alone: their means are integrals over
        one coordinate.
        """
        z = sobol_normal(1 << 15, self.dimension, seed=0)
        line, width = grid((-8.5,), (8.5,), step=1e-3)
        alone = torch.log1p(self._bumps(self.sharpness * (line - self._offsets)) / self.slope)
        means = width / math.sqrt(2 * math.pi) * (-0.5 * line.square()).exp().T @ alone
        controls = torch.log1p(self._bumps(self._heights(z)) / self.slope) - means
        design = torch.cat([torch.ones(len(z), 1, dtype=torch.float64), controls], dim=1)
        expected = float(torch.linalg.lstsq(design, self._log_det(z)[:, None]).solution[0])
        return self.dimension * GAUSSIAN_ENTROPY + expected

    def _heights(self, z: Tensor) -> Tensor:
        """s (w_k·z − b_k), (n, K)."""
        return self.sharpness * (z @ self._directions.T - self._offsets)

    def _bumps(self, heights: Tensor) -> Tensor:
        """c s φ(height): how much each ridge adds to the Hessian along its own direction, (n, K)."""
        return (self.jump * self.sharpness / math.sqrt(2 * math.pi)) * (-0.5 * heights.square()).exp()

    def _hessian(self, bumps: Tensor) -> Tensor:
        ridges = (bumps @ self._products).unflatten(1, (self.dimension, self.dimension))
        return ridges + self.slope * torch.eye(self.dimension, dtype=torch.float64)

    def _log_det(self, z: Tensor) -> Tensor:
        def log_det(part: Tensor) -> Tensor:
            # cholesky_ex: a NaN, from a model that diverged, gives a NaN and no exception.
            return 2 * torch.linalg.cholesky_ex(self.jacobian(part)).L.diagonal(dim1=1, dim2=2).log().sum(dim=1)

        return chunked(log_det, z, width=16 * self.dimension**2)

    def _newton_step(self, z: Tensor, residual: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """A Newton step, halved for each point until its residual shrinks: the new points and their residuals."""
        direction = _solve(self.jacobian(z), residual)
        size = torch.ones(len(z), 1, dtype=torch.float64)
        before = residual.norm(dim=1, keepdim=True)
        for _ in range(30):
            residual = self.transport(z - size * direction) - x
            failed = residual.norm(dim=1, keepdim=True) > (1 - size / 4) * before
            if not failed.any():
                break
            size = torch.where(failed, size / 2, size)
        return z - size * direction, residual


class _Halfway(Brenier):
    """`Brenier2D` torn less far and less sharply, for its nodes."""

    sharpness = 2.25
    jump = 1.25


class Brenier2D(IntegratedEntropy, Brenier):
    """`Brenier` in the plane, with four ridges."""

    name = "brenier_2d"
    summary = "the plane torn along four lines by a known optimal-transport map"

    def __init__(self) -> None:
        super().__init__(dimension=2, ridges=4, seed=2)

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """The image of a grid that stands halfway between z and x.

        Across a ridge the map stretches 13 times as far as elsewhere, so that a grid of z is too wide there for
        functions of x; beside it the density is so steep that a grid of x is too wide for its mass. In between is a
        grid of y = ∇φ₀(z), where ∇φ₀ tears less far and less sharply: x = ∇φ(∇φ₀⁻¹(y)), and y has a known density.
        """
        halfway = _Halfway(dimension=2, ridges=4, seed=2)
        angle = 2 * math.pi / 1000 * torch.arange(1000, dtype=torch.float64)
        outline = halfway.transport(7.5 * torch.stack([angle.cos(), angle.sin()], dim=1))
        low, high = outline.amin(dim=0), outline.amax(dim=0)
        y, area = grid(tuple(low.tolist()), tuple(high.tolist()), step=0.056 * spacing)
        weights = area * halfway.log_prob(y).exp()
        return drop_light(self.transport(halfway.inverse(y)), weights)


class Brenier8D(Brenier):
    """`Brenier` in eight dimensions, with sixteen ridges."""

    name = "brenier_8d"
    summary = "eight dimensions torn along sixteen hyperplanes by a known optimal-transport map"

    def __init__(self) -> None:
        super().__init__(dimension=8, ridges=16, seed=8)


class Brenier32D(Brenier):
    """`Brenier` in 32 dimensions, with 48 ridges."""

    name = "brenier_32d"
    summary = "32 dimensions torn along 48 hyperplanes by a known optimal-transport map"

    def __init__(self) -> None:
        super().__init__(dimension=32, ridges=48, seed=32)
