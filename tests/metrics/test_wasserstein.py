"""The Wasserstein distances against closed forms and an independent solver."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from metrics.score import Score
from metrics.sliced import draw_directions, sliced_scores, slices
from metrics.wasserstein import Array, TransportError, debiased, doubt_of_samples, plain, solve, solve_sorted


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def within(score: Score, truth: float, errors: float = 4.0) -> bool:
    assert score.value is not None
    assert score.error is not None
    return abs(score.value - truth) < errors * score.error + 1e-12


@pytest.mark.parametrize("d", [2, 16])
def test_cost_is_that_of_the_best_assignment(d: int) -> None:
    x, y = normal(0, 200, d), normal(1, 200, d) * 1.5
    costs = cdist(x, y, "sqeuclidean")
    assert solve(x, y).cost == pytest.approx(costs[linear_sum_assignment(costs)].mean(), rel=1e-10)


def test_potentials_are_feasible_and_tight() -> None:
    x, y = normal(0, 150, 3), normal(1, 150, 3) + 1
    transport = solve(x, y)
    assert (transport.f[:, None] + transport.g <= cdist(x, y, "sqeuclidean") + 1e-8).all()
    assert transport.f.mean() + transport.g.mean() == pytest.approx(transport.cost)


def test_stopping_before_the_optimum_is_an_error() -> None:
    with pytest.raises(TransportError, match="300"):
        solve(normal(0, 300, 2), normal(1, 300, 2), iterations=10)


@pytest.mark.parametrize("power", [1, 2])
def test_sorted_transport_is_exact_with_feasible_potentials(power: int) -> None:
    x, y = np.sort(normal(0, 120)), np.sort(2 * normal(1, 120) + 1)
    costs = abs(x[:, None] - y) ** power
    transport = solve_sorted(x, y, power)
    assert transport.cost == pytest.approx(costs[linear_sum_assignment(costs)].mean())
    assert (transport.f[:, None] + transport.g <= costs + 1e-10).all()
    assert transport.f.mean() + transport.g.mean() == pytest.approx(transport.cost)
    if power == 1:
        assert transport.cost == pytest.approx(wasserstein_distance(x, y))


def test_uniform_shift_on_the_line_is_exact() -> None:
    x = np.sort(np.random.default_rng(0).uniform(size=1_000))
    assert solve_sorted(x, x + 0.25, 1).cost == pytest.approx(0.25)
    assert solve_sorted(x, x + 0.25, 2).cost == pytest.approx(0.0625)


def test_two_normals_on_the_line() -> None:
    """W2² = (m₁ − m₂)² + (s₁ − s₂)², by the quantile functions."""
    p, p2, q, q2 = (np.sort(normal(seed, 50_000)) for seed in range(4))
    p, p2 = 1.5 * p + 0.3, 1.5 * p2 + 0.3
    score = debiased(solve_sorted(p, q, 2), solve_sorted(p, p2, 2), solve_sorted(q, q2, 2))
    assert within(score, 0.3**2 + 0.5**2)
    assert score.error is not None
    assert score.error < 0.02


def test_gaussians_in_the_plane_bures() -> None:
    """W2² = |m|² + tr(A + B − 2 (B^½ A B^½)^½), Bures–Wasserstein; here B = I."""
    root = np.array([[1.4, 0.3], [0.3, 0.8]])
    shift = np.array([0.5, -0.2])
    truth = shift @ shift + np.trace((root - np.eye(2)) @ (root - np.eye(2)))
    p, p2, q, q2 = (normal(seed, 1_000, 2) for seed in range(4))
    p, p2 = p @ root + shift, p2 @ root + shift
    pq = solve(p, q)
    assert within(debiased(pq, solve(p, p2), solve(q, q2)), truth, 3)
    assert plain(pq).value == pq.cost


def test_equal_laws_in_high_dimension_debias_to_zero() -> None:
    p, p2, q, q2 = (normal(seed, 500, 16) for seed in range(4))
    score = debiased(solve(p, q), solve(p, p2), solve(q, q2))
    assert within(score, 0.0, 3)
    assert plain(solve(p, q)).value > 3


def test_sliced_matches_the_plain_computation() -> None:
    p, p2, q, q2 = (normal(seed, 500, 3) for seed in range(4))
    directions = draw_directions(3, 20, torch.Generator().manual_seed(0))
    _, score = sliced_scores(p, p2, q, slices(q, q2, directions))
    expected = np.mean([((np.sort(p @ u) - np.sort(q @ u)) ** 2).mean() for u in directions.T])
    assert score.value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("d", "scale", "shift"), [(2, 1.0, 0.5), (16, 1.2, 0.0), (16, 1.0, 0.3)])
def test_sliced_of_gaussians(d: int, scale: float, shift: float) -> None:
    """Along every direction (m·θ)² + (s − 1)²; averaged over the sphere |m|²/d + (s − 1)²."""
    p, p2, q, q2 = (normal(seed, 20_000, d) for seed in range(4))
    directions = draw_directions(d, 64, torch.Generator().manual_seed(1))
    score, _ = sliced_scores(scale * p + shift, scale * p2 + shift, q, slices(q, q2, directions))
    assert within(score, shift**2 + (scale - 1) ** 2)


def test_distant_data_do_not_lose_digits() -> None:
    p, p2, q, q2 = (normal(seed, 2_000, 2) for seed in range(4))
    directions = draw_directions(2, 16, torch.Generator().manual_seed(1))
    near, _ = sliced_scores(p, p2, q, slices(q, q2, directions))
    far, _ = sliced_scores(p + 1e6, p2 + 1e6, q + 1e6, slices(q + 1e6, q2 + 1e6, directions))
    assert far.value == pytest.approx(near.value, abs=1e-5)


def test_samples_with_wild_outliers_are_doubted() -> None:
    x = normal(0, 5_000, 2)
    assert doubt_of_samples(x, 2) == ""
    x[:3] *= 1e6
    assert doubt_of_samples(np.random.default_rng(0).standard_cauchy((5_000, 2)), 2)
    assert math.isfinite(x.sum())
