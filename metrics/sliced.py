"""The sliced Wasserstein distance: the mean of W2² over one-dimensional projections, from sorts alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from metrics.score import Score
from metrics.wasserstein import Array, Transport, influences, jackknife_variance, solve_sorted

INFLUENCES = 2_000
Array32 = NDArray[np.float32]


@dataclass(frozen=True)
class Slices:
    """The directions that all models of a target share, and W2²(Q, Q′) along them.

    directions (d, L) of unit length; cost (L,); f and g: the potentials, averaged over the directions, at the first
    `INFLUENCES` points of Q and Q′. The sorted projections themselves are cheaper to make again than to send.
    """

    directions: Array32
    centre: Array
    cost: Array
    f: Array
    g: Array


def draw_directions(d: int, count: int, generator: Generator) -> Array32:
    """`count` independent directions, uniform on the sphere in R^d: (d, count)."""
    gauss = torch.randn(d, count, generator=generator, dtype=torch.float64)
    return (gauss / gauss.norm(dim=0)).float().numpy()


def slices(q: Array, q2: Array, directions: Array32) -> Slices:
    """What is computed once per target: W2² between its two held-out samples (n, d) along the directions (d, L)."""
    centre = q.mean(0)
    total = _along(directions, [q, q2], centre, [(0, 1)])[0]
    return Slices(directions, centre, total.cost, total.f, total.g)


def sliced_scores(p: Array, p2: Array, q: Array, reference: Slices) -> tuple[Score, Score]:
    """Sliced W2²(P, Q), debiased and plain, between samples (n, d) of the model and of the target.

    Each error holds the noise of the samples (the jackknife of `wasserstein.debiased`: the potentials averaged over
    the directions are the influence function of the average) and that of the directions, Var_θ(W2²_θ) / L.
    """
    pq, pp = _along(reference.directions, [p, p2, q], reference.centre, [(0, 2), (0, 1)])
    qq = reference
    per_direction = pq.cost - pp.cost / 2 - qq.cost / 2
    means = [Transport(float(part.cost.mean()), part.f, part.g) for part in (pq, pp, qq)]
    return (
        _score(per_direction, influences(*means), len(p)),
        _score(pq.cost, [pq.f, pq.g], len(p)),
    )


@dataclass(frozen=True)
class _Sliced:
    """Transport along each direction: cost (L,), and the mean potentials at the first points (INFLUENCES,)."""

    cost: Array
    f: Array
    g: Array


def _along(directions: Array32, samples: list[Array], centre: Array, pairs: list[tuple[int, int]]) -> list[_Sliced]:
    """Transport between pairs of samples along every direction, one direction at a time to stay in the cache."""
    few = min(INFLUENCES, len(samples[0]))
    centred = [(sample - centre).astype(np.float32) for sample in samples]
    count = directions.shape[1]
    costs = [np.empty(count) for _ in pairs]
    f, g = [np.zeros(few) for _ in pairs], [np.zeros(few) for _ in pairs]
    for index, direction in enumerate(directions.T):
        projected = [sample @ direction for sample in centred]
        ordered = [np.sort(values).astype(np.float64) for values in projected]
        for pair, (a, b) in enumerate(pairs):
            transport = solve_sorted(ordered[a], ordered[b], 2)
            costs[pair][index] = transport.cost
            f[pair] += np.interp(projected[a][:few], ordered[a], transport.f) / count
            g[pair] += np.interp(projected[b][:few], ordered[b], transport.g) / count
    return [_Sliced(*parts) for parts in zip(costs, f, g, strict=True)]


def _score(per_direction: Array, samples: list[Array], n: int) -> Score:
    """The mean over directions (L,), with the variance of influences that are known at the first points only."""
    sampling = jackknife_variance(samples) * len(samples[0]) / n
    slicing = float(per_direction.var(ddof=1)) / len(per_direction)
    return Score.of(float(per_direction.mean()), math.sqrt(sampling + slicing))
