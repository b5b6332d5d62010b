"""Targets on the line with one knob each, for studies: how heavy the tails are, how far apart the modes."""

from __future__ import annotations

import math

import torch
from scipy.special import digamma, stdtrit
from torch import Generator, Tensor

from benchmarks.targets.base import TransportTarget
from benchmarks.targets.gaussian_mixture import GaussianMixture, scalar_mixture
from benchmarks.targets.quadrature import Integrable, SmoothDensity, grid


def _above(x: Tensor) -> Tensor:
    """1 − Φ(x) to the last digit, however small: torch.special.ndtr(−x) loses them in the tail."""
    return torch.erfc(x / math.sqrt(2)) / 2


class StudentT(Integrable):
    """Student's t, p(x) ∝ (1 + x²/ν)^(−(ν+1)/2), ν degrees of freedom: tails from Cauchy's, ν = 1, to a Gaussian's."""

    name = "student_t"
    summary = "tails that fall like a power, which is the degrees of freedom and one more"
    dimension = 1

    def __init__(self, degrees: float = 3.0) -> None:
        """Take ν, from 1 to a million. E|x|^r is finite for r < ν. Raises ValueError for any other ν."""
        if not 1 <= degrees <= 1e6:
            raise ValueError(
                f"degrees = {degrees}: from 1, the Cauchy distribution, to 1e6, where it is as good as N(0, 1)"
            )
        self.degrees = self.moments = degrees
        gammas = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
        self._log_height = gammas - 0.5 * math.log(degrees * math.pi)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 1): √(ν (U^(−2/ν) − 1)) cos 2πV, the polar method of Bailey (1994)."""
        minus_log = torch.empty(n, 1, dtype=torch.float64).exponential_(generator=generator)  # −ln U
        turns = torch.rand(n, 1, generator=generator, dtype=torch.float64)
        radius = (self.degrees * torch.expm1(2 / self.degrees * minus_log)).sqrt()
        return radius * (2 * math.pi * turns).cos()

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 1)."""
        return self._log_height - (self.degrees + 1) / 2 * torch.log1p(x[:, 0].square() / self.degrees)

    def entropy(self) -> float:
        """(ν+1)/2·(ψ((ν+1)/2) − ψ(ν/2)) + ln(√ν·B(ν/2, ½))."""
        half = (self.degrees + 1) / 2
        return half * float(digamma(half) - digamma(self.degrees / 2)) - self._log_height

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """The midpoint rule in v, x = √ν·sinh(sinh v): double exponential, for tails of any power.

        After Takahasi & Mori (1974). The density of u = sinh v is a constant over (cosh u)^ν. It is followed to e⁻²⁸ of
        its height and, where there is a variance, to where E x² is right to 1e-8, but no further than x = 10¹⁷·√ν: E x²
        is less exact for 2 < ν < 2.5. E x² is infinite for ν ≤ 2; what a sum over the nodes gives for it means nothing.
        """
        folds = 28 / self.degrees if self.degrees <= 2 else max(28 / self.degrees, min(40.0, 20 / (self.degrees - 2)))
        edge = math.asinh(math.acosh(math.exp(folds)))
        v, width = grid((-edge,), (edge,), step=2 * edge / 2800 * spacing)
        x = math.sqrt(self.degrees) * v.sinh().sinh()
        slope = math.sqrt(self.degrees) * v.sinh().cosh() * v.cosh()
        return x, width * slope[:, 0] * self.log_prob(x).exp()

    def window(self) -> tuple[Tensor, Tensor]:
        """The central 98 %: any wider and the figure is all tail."""
        edge = torch.full((1,), float(stdtrit(self.degrees, 0.99)), dtype=torch.float64)
        return -edge, edge


class TwoModes(SmoothDensity, GaussianMixture, TransportTarget):
    """p(x) = ½ N(−s/2, 1) + ½ N(s/2, 1), s the separation: one mode up to s = 2, two beyond.

    The optimal map from N(0, 1) is the increasing one, T = F⁻¹∘Φ, F the distribution function. Its derivative
    T'(z) = φ(z)/p(T(z)) is exp(s²/8) at 0: so steep must a map be to tear the modes apart (Salmona et al. 2022).
    """

    name = "two_modes"
    summary = "two modes of equal weight: the map from a Gaussian is exp(s²/8) steep between them, s apart"
    step = 0.008

    def __init__(self, separation: float = 8.0) -> None:
        """Take s, in standard deviations of a mode, from 0 to 60. Raises ValueError for any other s."""
        if not 0 <= separation <= 60:
            raise ValueError(
                f"separation = {separation}: from 0, which is N(0, 1), to 60, where the map is 1e195 steep"
            )
        super().__init__(*scalar_mixture([(0.5, -separation / 2, 1), (0.5, separation / 2, 1)]))
        self.separation = separation
        self.box = ((-separation / 2 - 11,), (separation / 2 + 11,))

    def transport(self, z: Tensor) -> Tensor:
        """The optimal map T(z) from N(0, 1), (n, 1) to (n, 1), by bisection to the last digit."""
        size, half = z.abs(), self.separation / 2
        centre, tail = torch.erf(size / math.sqrt(2)), 2 * _above(size)
        # N(0, 1) is below p* in stochastic order to the right of 0, and p* is below N(s/2, 1): z ≤ T(z) ≤ z + s/2.
        low, high = size, size + half
        for _ in range(60):
            x = (low + high) / 2
            right, left = _above(x - half), _above(x + half)
            # 2F(x) − 1 < 2Φ(z) − 1 near the centre and 2 − 2F(x) > 2 − 2Φ(z) in the tail, where each keeps its digits.
            below = torch.where(centre < 0.5, _above(half - x) - left < centre, right + left > tail)
            low, high = torch.where(below, x, low), torch.where(below, high, x)
        return torch.copysign((low + high) / 2, z)

    def derivative(self, z: Tensor) -> Tensor:
        """T'(z) = φ(z)/p(T(z)), (n,), for z (n, 1)."""
        log_normal = -0.5 * (z[:, 0].square() + math.log(2 * math.pi))
        return (log_normal - self.log_prob(self.transport(z))).exp()
