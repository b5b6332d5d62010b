"""Targets that are built from Gaussian conditionals: the scale, or the mean, of one part depends on another."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.base import ExactTarget
from benchmarks.targets.quadrature import Integrable, drop_light, grid, rows

GAUSSIAN_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)  # of N(0, 1), in nats
REACH = 4.625  # in s of `stretched_normal`: ten deviations


def log_normal(x: Tensor, deviation: float) -> Tensor:
    """log N(x; 0, deviation²) in nats, elementwise."""
    return -0.5 * (x / deviation).square() - math.log(deviation) - 0.5 * math.log(2 * math.pi)


def stretched_normal(s: Tensor) -> tuple[Tensor, Tensor]:
    """t = 2 sinh(s/2) and the density of s for t ~ N(0, 1), elementwise: equal steps of s widen away from the centre.

    The midpoint rule in s still converges exponentially, and the plane takes a third of the nodes.
    """
    t = 2 * (s / 2).sinh()
    return t, (s / 2).cosh() * log_normal(t, 1).exp()


class Banana(Integrable):
    """x₁ ~ N(0, 2²), x₂ | x₁ ~ N(x₁²/4, ½²): after Haario et al. (1999)."""

    name = "banana"
    summary = "one mode bent into a parabola with long thin tips"
    dimension = 2

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2)."""
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        first = 2 * noise[:, 0]
        return torch.stack([first, first.square() / 4 + 0.5 * noise[:, 1]], dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 2)."""
        first, second = x.unbind(dim=1)
        return log_normal(first, 2) + log_normal(second - first.square() / 4, 0.5)

    def entropy(self) -> float:
        """That of its noise, since shearing preserves volume: ln(2πe) + ln 2 + ln ½."""
        return 2 * GAUSSIAN_ENTROPY

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """A grid of x₁ and of x₂ − x₁²/4, wider far out, and sheared: shearing preserves volume."""
        (first, first_step), (rest, rest_step) = (grid((-REACH,), (REACH,), spacing * h) for h in (0.028, 0.112))
        s = torch.cartesian_prod(first[:, 0], rest[:, 0])
        (a, u), density = stretched_normal(s.T)
        weights = first_step * rest_step * density.prod(dim=0)
        return drop_light(torch.stack([2 * a, a.square() + 0.5 * u], dim=1), weights)


class NealFunnel(ExactTarget):
    """v ~ N(0, 1.5²), x_i | v ~ N(0, exp v): Neal's funnel (2003, section 8), in any dimension.

    Neal's v has a standard deviation of 3. The fourth moment of x is then 3·e¹⁸, and no Wasserstein distance between
    a few thousand points means anything; at 1.5 it is 3·e⁴·⁵, and the neck is still a tenth as wide as the mouth.
    """

    deviation = 1.5

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, d): v first."""
        noise = torch.randn(n, self.dimension, generator=generator, dtype=torch.float64)
        log_variance = self.deviation * noise[:, :1]
        return torch.cat([log_variance, (log_variance / 2).exp() * noise[:, 1:]], dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, d)."""
        log_variance, rest = x[:, :1], x[:, 1:]
        given = log_normal(rest * (-log_variance / 2).exp(), 1) - log_variance / 2
        return log_normal(log_variance[:, 0], self.deviation) + given.sum(dim=1)

    def entropy(self) -> float:
        """d/2·ln(2πe) + ln 1.5, since E v = 0."""
        return self.dimension * GAUSSIAN_ENTROPY + math.log(self.deviation)


class Funnel(Integrable, NealFunnel):
    """v ~ N(0, 1.5²), x | v ~ N(0, exp v): `NealFunnel` in the plane."""

    name = "funnel"
    summary = "a scale that varies a hundredfold: a narrow neck and a wide mouth"
    dimension = 2

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """A grid of v and of u = exp(−v/2)·x, wider far out, and finer in u where the funnel is wide.

        In the neck any smooth function is nearly constant in u, and a step of 0.4 is fine enough for the Gaussian.
        """
        lines, width = grid((-REACH,), (REACH,), step=0.055 * spacing)
        v, height = stretched_normal(lines[:, 0])
        steps = (0.07 * spacing * (-self.deviation * v / 4).exp()).clamp(0.03 * spacing, 0.4)
        counts = (2 * REACH / steps).ceil()
        row, place = rows(counts.long())
        u, density = stretched_normal(REACH * (2 * place - 1))
        weights = (width * height * 2 * REACH / counts)[row] * density
        log_variance = self.deviation * v[row]
        return drop_light(torch.stack([log_variance, (log_variance / 2).exp() * u], dim=1), weights, tolerance=3e-9)


class Funnel10D(NealFunnel):
    """Neal's funnel with nine dependent coordinates, as in his paper; v as in `NealFunnel`."""

    name = "funnel_10d"
    summary = "nine coordinates whose common scale, a tenth coordinate, varies a hundredfold"
    dimension = 10
