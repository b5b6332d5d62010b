"""Targets on the line: tails, edges, gaps and fine structure, one at a time."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.gaussian_mixture import GaussianMixture, scalar_mixture
from benchmarks.targets.quadrature import Integrable, SmoothDensity, gauss_legendre, grid


def panels(low: float, high: float, width: float, spacing: float) -> tuple[Tensor, Tensor]:
    """Gauss–Legendre nodes and weights, each (G,), sixteen a panel, in panels `spacing` times as wide as `width`."""
    half = round((high - low) / (2 * width * spacing))  # an even number of panels: the middle is an edge
    edges = torch.linspace(low, high, 2 * half + 1, dtype=torch.float64)
    return gauss_legendre(edges, order=16)


class Laplace(Integrable):
    """p(x) = ½ exp(−|x|)."""

    name = "laplace"
    summary = "a kink at the mode and exponential tails, heavier than any Lipschitz image of a Gaussian"
    dimension = 1

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 1): an exponential with a random sign."""
        size = torch.empty(n, 1, dtype=torch.float64).exponential_(generator=generator)
        negative = torch.rand(n, 1, generator=generator, dtype=torch.float64) < 0.5
        return torch.where(negative, -size, size)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 1)."""
        return -x[:, 0].abs() - math.log(2)

    def entropy(self) -> float:
        """1 + ln 2."""
        return 1 + math.log(2)

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Gauss–Legendre panels on either side of the kink, out to 44: beyond lies e^−44 of the mass."""
        x, width = panels(-44, 44, width=0.5, spacing=spacing)
        return x[:, None], width * self.log_prob(x[:, None]).exp()


class StudentT2(Integrable):
    """Student's t with two degrees of freedom, p(x) = (2 + x²)^(−3/2)."""

    name = "student_t2"
    summary = "tails so heavy that the variance is infinite"
    dimension = 1
    moments = 2.0

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 1): a Gaussian over the root of χ²₂ / 2, which is a standard exponential."""
        normal = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        return normal / torch.empty(n, 1, dtype=torch.float64).exponential_(generator=generator).sqrt()

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 1)."""
        return -1.5 * (x[:, 0].square() + 2).log()

    def entropy(self) -> float:
        """3/2·(ψ(3/2) − ψ(1)) + ln(√2·B(1, ½)), where ψ(3/2) − ψ(1) = 2 − 2 ln 2 and B(1, ½) = 2."""
        return 1.5 * (2 - 2 * math.log(2)) + math.log(2 * math.sqrt(2))

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """The midpoint rule in u, x = √2·sinh u, which makes ½ sech²u of the density: out to |x| = 850,000.

        E|x| is right to 2e-6. E x² is infinite; what a sum over the nodes gives for it means nothing.
        """
        u, width = grid((-14.0,), (14.0,), step=0.01 * spacing)
        return math.sqrt(2) * u.sinh(), 0.5 * width * u[:, 0].cosh() ** -2

    def window(self) -> tuple[Tensor, Tensor]:
        """The central 98 %: any wider and the figure is all tail."""
        edge = torch.full((1,), 0.98 * math.sqrt(2 / (1 - 0.98**2)), dtype=torch.float64)
        return -edge, edge


class Uniform(Integrable):
    """p(x) = ½ on [−1, 1]."""

    name = "uniform"
    summary = "two hard edges: mass must stop where a Gaussian's never does"
    dimension = 1

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 1)."""
        return 2 * torch.rand(n, 1, generator=generator, dtype=torch.float64) - 1

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 1); −inf outside [−1, 1]."""
        return (0.5 * (x[:, 0].abs() <= 1).double()).log()

    def entropy(self) -> float:
        """ln 2."""
        return math.log(2)

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Gauss–Legendre panels from edge to edge."""
        x, width = panels(-1, 1, width=1 / 16, spacing=spacing)
        return x[:, None], width / 2


class Bimodal(SmoothDensity, GaussianMixture):
    """p(x) = ½ N(−2, ¼²) + ½ N(2, ¼²)."""

    name = "bimodal"
    summary = "two modes sixteen standard deviations apart: a Lipschitz map must leave mass in the gap"
    box, step = ((-5.0,), (5.0,)), 0.004

    def __init__(self) -> None:
        super().__init__(*scalar_mixture([(0.5, -2, 0.25), (0.5, 2, 0.25)]))


class Claw(SmoothDensity, GaussianMixture):
    """p(x) = ½ N(0, 1) + Σ_{l=0}^{4} 1/10 N(l/2 − 1, 1/10²): no. 10 of Marron & Wand (1992), table 1."""

    name = "claw"
    summary = "five narrow spikes on a wide Gaussian: detail at a tenth of the scale of the whole"
    box, step = ((-11.0,), (11.0,)), 0.008

    def __init__(self) -> None:
        super().__init__(*scalar_mixture([(0.5, 0, 1), *((0.1, 0.5 * spike - 1, 0.1) for spike in range(5))]))
