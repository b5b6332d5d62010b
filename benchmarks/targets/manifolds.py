"""Curves and surfaces with Gaussian noise: p(x) = ∫ N(x; γ(t), σ²I) f(t) dt, by quadrature over the manifold.

The nodes are closer together than the noise is wide, so that the rules converge like exp(−2π²·(σ/spacing)²): log p is
good to 1e-9 wherever the target has any mass worth the name and in all of the gaps between. Ten times as far out as the
target reaches, where log p is in the thousands, it is good to a thousandth of itself.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.planar import directions
from benchmarks.targets.quadrature import CachedEntropy, SmoothDensity, chunked, gauss_legendre, sobol_normal


class NoisyCurve(SmoothDensity):
    """A curve in the plane with isotropic Gaussian noise, given by a quadrature rule along the curve."""

    dimension = 2
    deviation: float

    def __init__(self, points: Tensor, weights: Tensor) -> None:
        """Take the nodes γ(t_j), (m, 2), and the weights f(t_j)·w_j, (m,), which sum to 1."""
        self._points, self._log_weights = points, weights.log()

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 2)."""
        return chunked(self._log_prob, x, width=len(self._points)) - math.log(2 * math.pi * self.deviation**2)

    def _log_prob(self, x: Tensor) -> Tensor:
        squared = torch.cdist(x, self._points, compute_mode="donot_use_mm_for_euclid_dist").square()
        return (self._log_weights - squared / (2 * self.deviation**2)).logsumexp(dim=1)


class TwoMoons(NoisyCurve):
    """Two half circles of radius 1 about (0, 0) and (1, ½), uniform in the angle, with noise of 0.1: scikit-learn's."""

    name = "two_moons"
    summary = "two interlocking crescents that no straight line separates"
    deviation = 0.1
    box, step = ((-2.2, -1.7), (3.2, 2.2)), 0.03

    def __init__(self) -> None:
        angle, weight = gauss_legendre(torch.linspace(0, math.pi, 5, dtype=torch.float64))
        moons = [self._moon(angle, torch.full_like(angle, lower)) for lower in (False, True)]
        super().__init__(torch.cat(moons), weight.repeat(2) / (2 * math.pi))

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2)."""
        angle = math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        lower = torch.rand(n, generator=generator, dtype=torch.float64) < 0.5
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return self._moon(angle, lower) + self.deviation * noise

    @staticmethod
    def _moon(angle: Tensor, lower: Tensor) -> Tensor:
        upper_arc = directions(angle)
        lower_arc = torch.tensor([1.0, 0.5], dtype=torch.float64) - upper_arc
        return torch.where(lower.bool()[:, None], lower_arc, upper_arc)


class Spiral(NoisyCurve):
    """Two turns of Archimedes' spiral, 3·τ·(cos 4πτ, sin 4πτ) with τ² uniform on [0, 1], with noise of 0.1."""

    name = "spiral"
    summary = "a long thin curve wound around itself: near neighbours in the plane are far apart along it"
    deviation = 0.1
    box, step = ((-4.2, -4.2), (4.2, 4.2)), 0.04

    def __init__(self) -> None:
        # Panels of equal probability, which are of nearly equal length.
        time, weight = gauss_legendre(torch.linspace(0, 1, 12, dtype=torch.float64).sqrt())
        super().__init__(self._arm(time), 2 * time * weight)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2): nearly uniform along the curve."""
        time = torch.rand(n, generator=generator, dtype=torch.float64).sqrt()
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return self._arm(time) + self.deviation * noise

    @staticmethod
    def _arm(time: Tensor) -> Tensor:
        return 3 * time[:, None] * directions(4 * math.pi * time)


class NoisyManifold8D(CachedEntropy):
    """The flat torus γ(s, t) = (e(s), e(t), e(s+t), e(s−t)), e(u) = (cos u, sin u), in R⁸, with noise.

    Two-dimensional, closed, and in no linear subspace. Every coordinate of the torus has variance ½. Given t, the inner
    product x·γ(s, t) is a sinusoid in s, so that the integral over s is a Bessel function; the one over t is periodic
    and takes the trapezoidal rule.
    """

    name = "noisy_manifold_8d"
    summary = "a curved surface in eight dimensions: the data have two degrees of freedom and a little noise"
    dimension = 8
    _radius_squared = 4.0

    def __init__(self, noise: float = 0.1) -> None:
        """Take the noise's standard deviation in each coordinate, from 0.01 to 1. Raises ValueError for any other."""
        if not 0.01 <= noise <= 1:
            raise ValueError(
                f"noise = {noise}: a standard deviation from 0.01 to 1; the torus has variance ½ a coordinate"
            )
        self.deviation = noise
        self._nodes = max(192, round(19.2 / noise))

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 8)."""
        s, t = 2 * math.pi * torch.rand(2, n, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, 8, generator=generator, dtype=torch.float64)
        return self.manifold(s, t) + self.deviation * noise

    @staticmethod
    def manifold(s: Tensor, t: Tensor) -> Tensor:
        """γ(s, t), (n, 8), for angles s and t (n,) in radians."""
        return torch.cat([directions(angle) for angle in (s, t, s + t, s - t)], dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 8)."""
        return chunked(self._log_prob, x, width=4 * self._nodes)

    def _log_prob(self, x: Tensor) -> Tensor:
        # In complex numbers, x = (a, b, c, d): x·γ(s, t) = Re e^{is}(ā + c̄e^{it} + d̄e^{−it}) + Re b̄e^{it}.
        a, b, c, d = torch.view_as_complex(x.unflatten(1, (4, 2)).contiguous()).conj()[:, :, None].unbind(dim=1)
        angle = 2 * math.pi / self._nodes * torch.arange(self._nodes, dtype=torch.float64)
        turn = torch.polar(torch.ones_like(angle), angle)
        sinusoid = (a + c * turn + d * turn.conj()).abs() / self.deviation**2
        rest = (b * turn).real / self.deviation**2
        log_mean = (sinusoid + torch.special.i0e(sinusoid).log() + rest).logsumexp(dim=1) - math.log(self._nodes)
        squares = (x.square().sum(dim=1) + self._radius_squared) / (2 * self.deviation**2)
        return log_mean - squares - 4 * math.log(2 * math.pi * self.deviation**2)

    def integrate_entropy(self) -> float:
        """The entropy in nats, by quasi-Monte Carlo over the noise at one point.

        Its standard error is below 1e-4 up to a noise of 0.1, and below 3e-4 from there to 1.

        The torus looks the same from each of its points. What is averaged is log p plus half the squared noise normal
        to the torus, whose mean is 3 exactly: the rest is small.
        """
        noise = sobol_normal(1 << 15, 8, seed=0)
        origin = torch.zeros(1, dtype=torch.float64)
        log_density = self.log_prob(self.manifold(origin, origin) + self.deviation * noise)
        along_s = torch.tensor([0, 1, 0, 0, 0, 1, 0, 1], dtype=torch.float64) / math.sqrt(3)
        along_t = torch.tensor([0, 0, 0, 1, 0, 1, 0, -1], dtype=torch.float64) / math.sqrt(3)
        tangent = (noise @ along_s).square() + (noise @ along_t).square()
        normal = noise.square().sum(dim=1) - tangent
        return 3.0 - float((log_density + normal / 2).mean())
