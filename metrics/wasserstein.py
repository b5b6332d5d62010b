"""The Wasserstein distance between two samples, debiased, with a standard error from its dual potentials."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from metrics.pareto import unsettled
from metrics.score import Score

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


def plain(pq: Transport) -> Score:
    """W(P, Q) as it comes, its sampling noise included."""
    return _score(pq.cost, [pq.f, pq.g])


def debiased(pq: Transport, pp: Transport, qq: Transport) -> Score:
    """W(P, Q) − ½ W(P, P′) − ½ W(Q, Q′), with x the rows of P in pq and pp, and y those of Q in pq and qq.

    The dual potentials are the derivatives of the cost with respect to the weights of the points, hence its influence
    functions (del Barrio and Loubes 2019), and the infinitesimal jackknife gives the error:
    Var(f_PQ − ½ f_PP′)/n + Var(½ g_PP′)/n + Var(g_PQ − ½ f_QQ′)/n + Var(½ g_QQ′)/n.
    """
    return _score(pq.cost - pp.cost / 2 - qq.cost / 2, influences(pq, pp, qq))


def influences(pq: Transport, pp: Transport, qq: Transport) -> list[Array]:
    """The influence functions of the debiased cost at the points of P, P′, Q and Q′, each (n,)."""
    return [pq.f - pp.f / 2, pp.g / 2, pq.g - qq.f / 2, qq.g / 2]


def jackknife_variance(samples: Sequence[Array]) -> float:
    """Variance of a functional of independent samples, from its influence function at their points."""
    return sum(float(influence.var(ddof=1)) / len(influence) for influence in samples)


def doubt_of_samples(p: Array, power: int) -> str:
    """Why distances to samples p (n, d) of a model are not to be believed; empty if they are.

    W_r^r exists if E|x|^r does, and its error if E|x|^2r does. A target declares its moments, a model cannot: so the
    mean of |x|^r has to have settled on its samples. Not that of the potentials: at equal laws they are all noise.
    """
    reason = unsettled(torch.from_numpy(np.linalg.norm(p - np.median(p, axis=0), axis=1) ** power))
    return f"the samples of the model have no settled moment of order {power}: {reason}" if reason else ""


def _score(value: float, samples: Sequence[Array]) -> Score:
    return Score.of(value, math.sqrt(jackknife_variance(samples)))
