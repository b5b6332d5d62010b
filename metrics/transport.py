"""Optimal transport between two samples: exact in many dimensions by POT's network simplex, on the line by sorting."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import ot
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]
ITERATIONS = 10**8


class TransportError(RuntimeError):
    """The transport problem was not solved to optimality."""


@dataclass(frozen=True)
class Transport:
    """An optimal transport between n and n points: its cost, and the Kantorovich potentials f (n,) and g (n,).

    cost = mean f + mean g (strong duality), and f_i + g_j ≤ c(x_i, y_j) for all i, j.
    """

    cost: float
    f: Array
    g: Array


def solve(x: Array, y: Array, iterations: int = ITERATIONS) -> Transport:
    """Exact transport between the uniform measures on x (n, d) and y (n, d) for c = |x − y|², by network simplex.

    Raises TransportError if POT stops before the optimum (it only warns, and its value is then too high), if the
    plan's marginals are off, or if its potentials do not certify its cost.
    """
    n, m = len(x), len(y)
    costs = cdist(x, y, "sqeuclidean")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan, log = ot.emd(np.full(n, 1 / n), np.full(m, 1 / m), costs, numItermax=iterations, log=True)
    if log["warning"] is not None:
        raise TransportError(f"POT's network simplex on {n:,} × {m:,} points: {log['warning']}")
    marginals = abs(plan.sum(1) * n - 1).max(), abs(plan.sum(0) * m - 1).max()
    if max(marginals) > 1e-6:
        raise TransportError(f"the plan's marginals are off by {max(marginals):.2g} of a point's mass")
    cost = float((plan * costs).sum())
    gap = abs(log["u"].mean() + log["v"].mean() - cost)
    if gap > 1e-6 * max(cost, costs.max() / n):
        raise TransportError(f"the duality gap of the transport plan is {gap:.2g}")
    return Transport(cost, log["u"], log["v"])


def solve_sorted(x: Array, y: Array, power: int) -> Transport:
    """Transport between sorted samples x (n,) and y (n,) on the line for c = |x − y|^power, power ≥ 1: i to i.

    Complementary slackness at i and i + 1 bounds f_{i+1} − f_i between c(x_{i+1}, y_{i+1}) − c(x_i, y_{i+1}) and
    c(x_{i+1}, y_i) − c(x_i, y_i); the middle of the two is taken. As n grows it is the derivative of c along the map.
    """
    matched = abs(x - y) ** power
    ahead, behind = abs(x[1:] - y[:-1]) ** power, abs(x[:-1] - y[1:]) ** power
    f = np.concatenate([[0.0], np.cumsum((ahead - matched[:-1] + matched[1:] - behind) / 2)])
    return Transport(float(matched.mean()), f, matched - f)


def c_transform(points: Array, y: Array, g: Array) -> Array:
    """f(x) = min_j |x − y_j|² − g_j at points x (m, d), (m,): the potential f everywhere, from g at y (n, d)."""
    return np.asarray((cdist(points, y, "sqeuclidean") - g).min(axis=1))
