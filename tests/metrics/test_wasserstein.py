"""The Wasserstein distances against closed forms and an independent solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from metrics.score import Score
from metrics.sliced import draw_directions, sliced_scores, slices
from metrics.transport import Array, TransportError, c_transform, solve, solve_sorted
from metrics.wasserstein import (
    batches,
    doubt_of_samples,
    potential_between,
    self_transports,
    w1_scores,
    w2_scores,
    w2_scores_on_the_line,
)


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


def test_c_transform_extends_the_potential() -> None:
    """At the points that were matched it is f itself, elsewhere feasible: f(x) + g_j ≤ |x − y_j|² with one equality."""
    x, y, elsewhere = normal(0, 100, 2), normal(1, 100, 2), normal(2, 40, 2)
    transport = solve(x, y)
    np.testing.assert_allclose(c_transform(x, y, transport.g), transport.f, atol=1e-9)
    slack = cdist(elsewhere, y, "sqeuclidean") - c_transform(elsewhere, y, transport.g)[:, None] - transport.g
    np.testing.assert_allclose(slack.min(axis=1), 0, atol=1e-12)


def test_batches_are_at_least_four_or_one() -> None:
    assert batches(10_000, 1_000, 8) == (8, 1_000)
    assert batches(5_500, 1_000, 8) == (5, 1_000)
    assert batches(3_999, 1_000, 8) == (1, 2_000)
    assert batches(300, 1_000, 8) == (1, 300)


def test_two_normals_on_the_line() -> None:
    """W2² = (m₁ − m₂)² + (s₁ − s₂)², by the quantile functions."""
    p, p2, q, q2 = (normal(seed, 50_000) for seed in range(4))
    score, plain, floor = w2_scores_on_the_line(1.5 * p + 0.3, 1.5 * p2 + 0.3, q, q2)
    assert within(score, 0.3**2 + 0.5**2)
    assert score.error is not None
    assert score.error < 0.02
    assert plain.value is not None
    assert plain.value > score.value
    costs = [
        solve_sorted(np.sort(a), np.sort(b), 2).cost for a, b in zip(q.reshape(8, -1), q2.reshape(8, -1), strict=True)
    ]
    assert floor.value == pytest.approx(np.mean(costs))


@pytest.mark.parametrize("count", [1, 5])
def test_debiased_is_the_formula_over_the_batches(count: int) -> None:
    """½ [W(P,Q) + W(P′,Q′) − W(P,P′) − W(Q,Q′)], by SciPy's assignments, whichever way its error is made."""
    p, p2, q, q2 = (normal(seed, 60 * count, 2) for seed in range(4))

    def cost(x: Array, y: Array) -> float:
        costs = cdist(x, y, "sqeuclidean")
        return float(costs[linear_sum_assignment(costs)].mean())

    rows = [slice(60 * i, 60 * (i + 1)) for i in range(count)]
    crossed = np.mean([(cost(p[r], q[r]) + cost(p2[r], q2[r])) / 2 for r in rows])
    own = np.mean([(cost(p[r], p2[r]) + cost(q[r], q2[r])) / 2 for r in rows])
    debiased, plain, floor = w2_scores(p, p2, q, q2, self_transports(q, q2, count, 60))
    assert debiased.value == pytest.approx(crossed - own)
    assert plain.value == pytest.approx(crossed)
    assert floor.value == pytest.approx(np.mean([cost(q[r], q2[r]) for r in rows]))
    assert debiased.error is not None
    assert debiased.error > 0


@pytest.mark.parametrize(("count", "size"), [(1, 1_000), (8, 250)])
def test_gaussians_in_the_plane_bures(count: int, size: int) -> None:
    """W2² = |m|² + tr(A + B − 2 (A^½ B A^½)^½), Bures–Wasserstein; here B = I. Other laws are in the ledger."""
    root = np.array([[1.4, 0.3], [0.3, 0.8]])
    shift = np.array([0.5, -0.2])
    truth = shift @ shift + np.trace((root - np.eye(2)) @ (root - np.eye(2)))
    p, p2, q, q2 = (normal(seed, count * size, 2) for seed in range(4))
    scores = w2_scores(p @ root + shift, p2 @ root + shift, q, q2, self_transports(q, q2, count, size))
    assert within(scores[0], truth, 3)


@pytest.mark.parametrize(("count", "size"), [(1, 500), (5, 200)])
def test_equal_laws_in_high_dimension_debias_to_zero(count: int, size: int) -> None:
    p, p2, q, q2 = (normal(seed, count * size, 16) for seed in range(4))
    debiased, plain, floor = w2_scores(p, p2, q, q2, self_transports(q, q2, count, size))
    assert within(debiased, 0.0, 3)
    for noisy in (plain, floor):
        assert noisy.value is not None
        assert noisy.value > 3


def test_w1_is_cross_fitted() -> None:
    """A potential of P′ and Q′, evaluated at P and Q: never steeper than 1, zero in the mean at equal laws."""
    p, p2, q, q2 = (np.sort(normal(seed, 20_000)) for seed in range(4))
    f = potential_between(p2, q2)
    merged = np.sort(np.concatenate([p2, q2]))
    np.testing.assert_array_less(abs(np.diff(f(merged))), np.diff(merged) + 1e-12)
    assert f(p2).mean() - f(q2).mean() == pytest.approx(wasserstein_distance(p2, q2))
    score, plain, floor = w1_scores(p, p2, q, q2)
    assert within(score, 0.0, 3)
    assert plain.value == pytest.approx(wasserstein_distance(p, q))
    assert floor.value == pytest.approx(wasserstein_distance(q, q2))
    assert within(w1_scores(p + 0.3, p2 + 0.3, q, q2)[0], 0.3)


def test_identical_samples_are_at_distance_zero() -> None:
    """Constant samples: no noise, no distance, and nothing divided by zero."""
    x = np.ones((40, 2))
    for score in (*w2_scores(x, x, x, x, self_transports(x, x, 1, 40)), *w1_scores(*[x[:, 0]] * 4)):
        assert (score.value, score.error) == (0, 0)


def test_sliced_matches_the_plain_computation() -> None:
    p, p2, q, q2 = (normal(seed, 500, 3) for seed in range(4))
    directions = draw_directions(3, 20, torch.Generator().manual_seed(0))
    debiased, plain, floor = sliced_scores(p, p2, q, q2, slices(q, q2, directions))

    def cost(x: Array, y: Array) -> float:
        lines = [((x @ u).reshape(4, 125), (y @ u).reshape(4, 125)) for u in directions.T]
        return float(np.mean([(np.sort(a) - np.sort(b)) ** 2 for a, b in lines]))

    crossed = (cost(p, q) + cost(p2, q2)) / 2
    assert plain.value == pytest.approx(crossed, rel=1e-5)
    assert floor.value == pytest.approx(cost(q, q2), rel=1e-5)
    assert debiased.value == pytest.approx(crossed - (cost(p, p2) + cost(q, q2)) / 2, rel=1e-3)


@pytest.mark.parametrize(("d", "scale", "shift"), [(2, 1.0, 0.5), (16, 1.2, 0.0), (16, 1.0, 0.3)])
def test_sliced_of_gaussians(d: int, scale: float, shift: float) -> None:
    """Along every direction (m·θ)² + (s − 1)²; averaged over the sphere |m|²/d + (s − 1)²."""
    p, p2, q, q2 = (normal(seed, 20_000, d) for seed in range(4))
    directions = draw_directions(d, 64, torch.Generator().manual_seed(1))
    score = sliced_scores(scale * p + shift, scale * p2 + shift, q, q2, slices(q, q2, directions))[0]
    assert within(score, shift**2 + (scale - 1) ** 2)


def test_distant_data_do_not_lose_digits() -> None:
    p, p2, q, q2 = (normal(seed, 2_000, 2) for seed in range(4))
    directions = draw_directions(2, 16, torch.Generator().manual_seed(1))
    near = sliced_scores(p, p2, q, q2, slices(q, q2, directions))[0]
    q, q2 = q + 1e6, q2 + 1e6
    far = sliced_scores(p + 1e6, p2 + 1e6, q, q2, slices(q, q2, directions))[0]
    assert far.value == pytest.approx(near.value, abs=1e-5)


def test_samples_with_wild_outliers_are_doubted() -> None:
    x = normal(0, 5_000, 2)
    assert doubt_of_samples(x, 2) == ""
    x[:3] *= 1e6
    assert doubt_of_samples(x, 2)
    assert doubt_of_samples(np.random.default_rng(0).standard_cauchy((5_000, 2)), 2)
