"""Targets that are built from Gaussian conditionals: the scale, or the mean, of one part depends on another."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.base import ExactTarget

GAUSSIAN_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)  # of N(0, 1), in nats


def log_normal(x: Tensor, deviation: float) -> Tensor:
    """log N(x; 0, deviation²) in nats, elementwise."""
    return -0.5 * (x / deviation).square() - math.log(deviation) - 0.5 * math.log(2 * math.pi)


class Banana(ExactTarget):
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


class Funnel(ExactTarget):
    """v ~ N(0, 1.5²), x_i | v ~ N(0, exp v): Neal's funnel (2003, section 8) in two dimensions.

    Neal's v has a standard deviation of 3. The fourth moment of x is then 3·e¹⁸, and no Wasserstein distance between
    a few thousand points means anything; at 1.5 it is 3·e⁴·⁵, and the neck is still a tenth as wide as the mouth.
    """

    name = "funnel"
    summary = "a scale that varies a hundredfold: a narrow neck and a wide mouth"
    dimension = 2
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


class Funnel10D(Funnel):
    """Neal's funnel with nine dependent coordinates, as in his paper; v as in `Funnel`."""

    name = "funnel_10d"
    summary = "nine coordinates whose common scale, a tenth coordinate, varies a hundredfold"
    dimension = 10
