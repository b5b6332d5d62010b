"""The Wasserstein distances between a model and a target, from two samples of each."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from metrics.debiasing import Costs, error_of_batches, error_with_shortfall, jackknife_error
from metrics.pareto import unsettled
from metrics.score import Score
from metrics.transport import Array, Transport, c_transform, solve, solve_sorted

FEWEST_BATCHES = 4


def batches(points: int, size: int, most: int) -> tuple[int, int]:
    """How many batches of how many points to make of a sample: `most` of `size` where there are enough points.

    Fewer than four say little of their own spread: then there is one, of at most twice the size.
    """
    count = min(most, points // size)
    return (count, size) if count >= FEWEST_BATCHES else (1, min(points, 2 * size))


def batches_on_the_line(points: int) -> int:
    """How many batches to make of a sample whose transport is sorting: eight, or four where there are few points."""
    return max(FEWEST_BATCHES, min(2 * FEWEST_BATCHES, points // 250))


def self_transports(q: Array, q2: Array, count: int, size: int) -> list[Transport]:
    """Q to Q′ (n, d) in each batch: what all models of a target share."""
    q, q2 = (part[: count * size].reshape(count, size, -1) for part in (q, q2))
    return [solve(a, b) for a, b in zip(q, q2, strict=True)]


def w2_scores(p: Array, p2: Array, q: Array, q2: Array, qq: list[Transport]) -> tuple[Score, Score, Score]:
    """W2²(P, Q) debiased and plain, and the floor W2²(Q, Q′), between samples (n, d) of the model and of the target.

    qq: `self_transports` of q and q2, whose number and size of batches are taken. Several batches are independent
    repetitions of the whole estimate, and their spread is its error; one batch has that of the jackknife.
    """
    count, size = len(qq), len(qq[0].f)
    p, p2, q, q2 = (part[: count * size].reshape(count, size, -1) for part in (p, p2, q, q2))
    pq = [solve(a, b) for a, b in zip(p, q, strict=True)]
    p2q2 = [solve(a, b) for a, b in zip(p2, q2, strict=True)]
    pp2 = [solve(a, b) for a, b in zip(p, p2, strict=True)]
    costs = Costs(*(np.array([each.cost for each in transports]) for transports in (pq, p2q2, pp2, qq)))
    if count > 1:
        return _of_batches(costs, p, q)
    of_model = [pq[0].f + c_transform(p[0], q2[0], p2q2[0].g), p2q2[0].f + c_transform(p2[0], q[0], pq[0].g)]
    of_target = [pq[0].g + c_transform(q[0], p2[0], p2q2[0].f), p2q2[0].g + c_transform(q2[0], p[0], pq[0].f)]
    error = jackknife_error(np.concatenate(of_model) / 2, np.concatenate(of_target) / 2, size)
    return _debiased(costs, error, p, q), Score.of(float(costs.crossed[0]), error), _plain(qq[0])


def w2_scores_on_the_line(p: Array, p2: Array, q: Array, q2: Array) -> tuple[Score, Score, Score]:
    """The same in one dimension, between samples (n,): in batches at any n, since sorting is cheap.

    (A jackknife would do for the variance, but at equal laws D is so far from normal that ±1.96 of it cover 88 %.)
    """
    count = batches_on_the_line(len(p))
    size = len(p) // count
    p, p2, q, q2 = (np.sort(part[: count * size].reshape(count, size)) for part in (p, p2, q, q2))
    costs = Costs(*(np.square(a - b).mean(axis=1) for a, b in ((p, q), (p2, q2), (p, p2), (q, q2))))
    return _of_batches(costs, p[..., None], q[..., None])


def w1_scores(p: Array, p2: Array, q: Array, q2: Array) -> tuple[Score, Score, Score]:
    """W1(P, Q) cross-fitted and plain, and the floor W1(Q, Q′), between samples (n,) on the line.

    W1 = ∫|F_P − F_Q| = max over Lipschitz functions f of E_P f − E_Q f. The f that is best between P′ and Q′ is
    evaluated between P and Q: a difference of two means, with their standard error and a mean that is zero at equal
    laws and never above W1. (Taking off half the self-distances, as for W2², would bias it wherever it is not small: W1
    grows linearly in a shift.)
    """
    p, p2, q, q2 = (np.sort(part) for part in (p, p2, q, q2))
    f = potential_between(p2, q2)
    at_p, at_q = f(p), f(q)
    error = math.sqrt(float(at_p.var(ddof=1)) / len(p) + float(at_q.var(ddof=1)) / len(q))
    return (
        Score.of(float(at_p.mean() - at_q.mean()), error),
        _plain(solve_sorted(p, q, 1)),
        _plain(solve_sorted(q, q2, 1)),
    )


def doubt_of_samples(p: Array, power: int) -> str:
    """Why distances to samples p (n, d) of a model are not to be believed; empty if they are.

    W_r^r exists if E|x|^r does, and its error if E|x|^2r does. A target declares its moments, a model cannot: so the
    mean of |x|^r has to have settled on its samples. Not that of the potentials: at equal laws they are all noise.
    """
    reason = unsettled(torch.from_numpy(np.linalg.norm(p - np.median(p, axis=0), axis=1) ** power))
    return f"the samples of the model have no settled moment of order {power}: {reason}" if reason else ""


def potential_between(p: Array, q: Array) -> Callable[[Array], Array]:
    """The Kantorovich potential for |x − y| between sorted samples on the line: f′ = sign(F_Q − F_P), a Lipschitz f."""
    merged = np.sort(np.concatenate([p, q]))
    below_p, below_q = (np.searchsorted(part, merged[:-1], side="right") / len(part) for part in (p, q))
    f = np.concatenate([[0.0], np.cumsum(np.sign(below_q - below_p) * np.diff(merged))])
    return lambda x: np.interp(x, merged, f)


def _of_batches(costs: Costs, p: Array, q: Array) -> tuple[Score, Score, Score]:
    return (
        _debiased(costs, error_of_batches(costs.debiased), p, q),
        Score.of(float(costs.crossed.mean()), error_of_batches(costs.crossed)),
        Score.of(float(costs.qq2.mean()), error_of_batches(costs.qq2)),
    )


def _debiased(costs: Costs, error: float, p: Array, q: Array) -> Score:
    """D over all batches, p and q (B, n, d), with what it may fall short by in its error."""
    value, noise = float(costs.debiased.mean()), float(costs.noise.mean())
    return Score.of(value, error_with_shortfall(error, value, noise, np.concatenate(p), np.concatenate(q)))


def _plain(transport: Transport) -> Score:
    """The cost between two independent samples, with the infinitesimal jackknife's error."""
    variance = transport.f.var(ddof=1) + transport.g.var(ddof=1)
    return Score.of(transport.cost, math.sqrt(float(variance) / len(transport.f)))
