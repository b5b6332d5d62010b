"""The integrals behind the targets: uniform grids, Gauss–Legendre nodes and randomised quasi-Monte Carlo.

`Integrable` is for targets of one and two dimensions: expectations under them are sums over nodes, without the noise of
a sample. That is what heavy-tailed integrands need, and differences smaller than the noise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from benchmarks.targets.base import ExactTarget

CHUNK = 1 << 21  # doubles in one temporary, 16 MiB: small enough for any machine, large enough to hide the overhead


def chunked(function: Callable[[Tensor], Tensor], x: Tensor, width: int) -> Tensor:
    """function(x), row by row independent, for a function that needs `width` doubles of memory per row of x (n, d)."""
    parts = x.split(max(1, CHUNK // width))
    return function(x) if len(parts) <= 1 else torch.cat([function(part) for part in parts])


def gauss_legendre(edges: Tensor, order: int = 64) -> tuple[Tensor, Tensor]:
    """Nodes and weights, each (panels·order,), of the composite Gauss–Legendre rule between the edges (panels + 1,)."""
    nodes, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(order))
    half = edges.diff()[:, None] / 2
    return (edges[:-1, None] + half * (nodes + 1)).flatten(), (half * weights).flatten()


def grid(low: tuple[float, ...], high: tuple[float, ...], step: float) -> tuple[Tensor, float]:
    """Midpoints (n, d) of the cells of a box that is cut as finely as `step`, and the volume of one cell.

    For a smooth function that has vanished at the box's faces, the sum over midpoints converges faster than any power
    of the step (Trefethen & Weideman 2014).
    """
    counts = [round((b - a) / step) for a, b in zip(low, high, strict=True)]
    widths = [(b - a) / count for a, b, count in zip(low, high, counts, strict=True)]
    axes = [
        a + width * (torch.arange(count, dtype=torch.float64) + 0.5)
        for a, width, count in zip(low, widths, counts, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(axes)), float(np.prod(widths))


def rows(counts: Tensor) -> tuple[Tensor, Tensor]:
    """A grid of rows with different numbers of points, counts (rows,): each point's row and its place in (0, 1).

    Both are (counts.sum(),); the places in a row are the midpoints of as many equal cells as it has points.
    """
    row = torch.arange(len(counts)).repeat_interleave(counts)
    index = torch.arange(len(row)) - (counts.cumsum(dim=0) - counts)[row]
    return row, (index.double() + 0.5) / counts[row]


def drop_light(x: Tensor, weights: Tensor, tolerance: float = 1e-10) -> tuple[Tensor, Tensor]:
    """The nodes (G, d) and weights (G,) but for the lightest, which hold at most `tolerance` of Σ w·(1 + |x|²).

    With the square, because that is how the log-density ratio to a model with Gaussian tails grows.
    """
    share = weights * (1 + x.square().sum(dim=1))
    order = share.argsort()
    light = order[share[order].cumsum(dim=0) <= tolerance]
    kept = torch.ones(len(x), dtype=torch.bool)
    kept[light] = False
    return x[kept], weights[kept]


def sobol_normal(n: int, dimension: int, seed: int) -> Tensor:
    """n points (n, d) of N(0, I), n a power of 2, from a scrambled Sobol sequence, for integrals."""
    uniform = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed).draw(n, dtype=torch.float64)
    return torch.special.ndtri(uniform.clamp(2**-31, 1 - 2**-31))


class CachedEntropy(ExactTarget):
    """An exact target whose entropy is a numerical integral, computed once per instance."""

    @abstractmethod
    def integrate_entropy(self) -> float:
        """The differential entropy in nats."""

    @cached_property
    def _entropy(self) -> float:
        return self.integrate_entropy()

    def entropy(self) -> float:
        """The differential entropy in nats, by quadrature."""
        return self._entropy


class Integrable(ExactTarget):
    """An exact target in one or two dimensions, whose expectations are sums over nodes, laid once per instance."""

    @abstractmethod
    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Nodes x (G, d) and weights (G,), as in `nodes`, `spacing` times as far apart as in the finest rule."""

    @cached_property
    def _laid(self) -> dict[float, tuple[Tensor, Tensor]]:
        return {}

    def nodes(self, spacing: float = 1.0) -> tuple[Tensor, Tensor]:
        """Nodes x (G, d) and weights (G,) with E_p* f(x) ≈ Σ_g w_g f(x_g).

        G is at most 5,000 on the line and 20,000 in the plane, for the finest rule.
        """
        if spacing not in self._laid:
            self._laid[spacing] = self.rule(spacing)
        return self._laid[spacing]


class IntegratedEntropy(Integrable, CachedEntropy):
    """A target whose entropy is a sum over its nodes: they must give it to 1e-8."""

    def integrate_entropy(self) -> float:
        """−Σ w log p over the nodes, in nats."""
        points, weights = self.nodes()
        return -float(weights @ self.log_prob(points))


class SmoothDensity(IntegratedEntropy):
    """A smooth target in one or two dimensions: its nodes are a grid, less those where there is no mass.

    box: (low, high) corners beyond which the density is below e^−50 of its height.
    step: the grid's spacing; halving it must not move the entropy by 1e-8.
    """

    box: tuple[tuple[float, ...], tuple[float, ...]]
    step: float

    def rule(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Midpoints of a grid (G, d), each with the mass of its cell (G,)."""
        points, volume = grid(*self.box, spacing * self.step)
        return drop_light(points, volume * self.log_prob(points).exp())
