"""The sliced Wasserstein distance: the mean of W2² over one-dimensional projections, from sorts alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from metrics.debiasing import Costs, error_of_batches, error_with_shortfall
from metrics.score import Score
from metrics.transport import Array
from metrics.wasserstein import batches_on_the_line

Array32 = NDArray[np.float32]


@dataclass(frozen=True)
class Slices:
    """The directions that all models of a target share, and W2²(Q, Q′) along them.

    directions (d, L) of unit length; centre (d,) is taken off before single precision; cost (B, L): in each batch. The
    sorted projections themselves are cheaper to make again than to send.
    """

    directions: Array32
    centre: Array
    cost: Array


def draw_directions(d: int, count: int, generator: Generator) -> Array32:
    """`count` independent directions, uniform on the sphere in R^d: (d, count)."""
    gauss = torch.randn(d, count, generator=generator, dtype=torch.float64)
    return (gauss / gauss.norm(dim=0)).float().numpy()


def slices(q: Array, q2: Array, directions: Array32) -> Slices:
    """What is computed once per target: W2² between its two held-out samples (n, d) along the directions (d, L)."""
    centre = q.mean(axis=0)
    costs = [_cost(y, y2) for y, y2 in _sorted([q, q2], centre, directions)]
    return Slices(directions, centre, np.stack(costs, axis=1))


def sliced_scores(p: Array, p2: Array, q: Array, q2: Array, reference: Slices) -> tuple[Score, Score, Score]:
    """Sliced W2²(P, Q) debiased and plain, and its floor, between samples (n, d) of the model and of the target.

    Each error holds the noise of the samples, by the spread of the batches, and that of the directions, Var_θ / L.
    """
    found = [
        (_cost(x, y), _cost(x2, y2), _cost(x, x2))
        for x, x2, y, y2 in _sorted([p, p2, q, q2], reference.centre, reference.directions)
    ]
    pq, p2q2, pp2 = (np.stack(costs, axis=1) for costs in zip(*found, strict=True))
    costs = Costs(pq, p2q2, pp2, reference.cost)
    d = p.shape[1]  # along a random direction the means and variances of R^d are divided by d
    value, noise = float(costs.debiased.mean()), float(costs.noise.mean())
    error = error_with_shortfall(d * _error(costs.debiased), d * value, d * noise, p, q) / d
    return (
        Score.of(value, error),
        Score.of(float(costs.crossed.mean()), _error(costs.crossed)),
        Score.of(float(costs.qq2.mean()), _error(costs.qq2)),
    )


def _sorted(samples: list[Array], centre: Array, directions: Array32) -> Iterator[list[Array]]:
    """The samples along every direction, sorted within batches (B, n), one direction at a time to stay in the cache."""
    count = batches_on_the_line(len(samples[0]))
    size = len(samples[0]) // count
    centred = [(sample[: count * size] - centre).astype(np.float32) for sample in samples]
    for direction in directions.T:
        yield [np.sort((sample @ direction).reshape(count, size)).astype(np.float64) for sample in centred]


def _cost(x: Array, y: Array) -> Array:
    """W2² on the line between sorted batches (B, n), (B,)."""
    return np.square(x - y).mean(axis=1)


def _error(costs: Array) -> float:
    """The standard error of the mean over batches and directions (B, L), both of them random.

    Two-way analysis of variance: the variance between directions, over L, adds to that between batches, over B; what
    both contain, the residual variance over BL, is counted once.
    """
    count, lines = costs.shape
    of_batch, of_line = costs.mean(axis=1), costs.mean(axis=0)
    residual = costs - of_batch[:, None] - of_line + costs.mean()
    shared = float(np.square(residual).sum()) / ((count - 1) * (lines - 1)) / (count * lines)
    slicing = max(float(of_line.var(ddof=1)) / lines - shared, 0.0)
    return math.hypot(error_of_batches(of_batch), math.sqrt(slicing))
