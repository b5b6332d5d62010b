"""The integrals behind the targets: uniform grids, Gauss–Legendre nodes and randomised quasi-Monte Carlo."""

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


def grid_entropy(
    log_prob: Callable[[Tensor], Tensor], low: tuple[float, ...], high: tuple[float, ...], step: float
) -> float:
    """−Σ p log p over a grid, in nats, for a smooth density that has vanished at the faces of the box."""
    points, volume = grid(low, high, step)
    return volume * float(torch.special.entr(log_prob(points).exp()).sum())


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


class GridEntropy(CachedEntropy):
    """A smooth target in one or two dimensions: its entropy is −Σ p log p over a grid.

    box: (low, high) corners beyond which the density is below e^−50 of its height.
    step: the grid's spacing; halving it must not move the entropy by 1e-9.
    """

    box: tuple[tuple[float, ...], tuple[float, ...]]
    step: float

    def integrate_entropy(self) -> float:
        """The differential entropy in nats, to 1e-9."""
        return grid_entropy(self.log_prob, *self.box, self.step)
