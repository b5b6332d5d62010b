"""Error bars held to account where the ledger's coverage (`benchmarks/verify`) does not: signs, limits, identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm, t

from metrics.debiasing import error_of_batches, jackknife_error, shrinkage
from metrics.score import Score
from metrics.sliced import draw_directions, sliced_scores, slices
from metrics.transport import Array
from metrics.wasserstein import batches_on_the_line, self_transports, w1_scores, w2_scores, w2_scores_on_the_line

LAWS = [pytest.param(1.0, 0.7, id="shifted"), pytest.param(1.6, 0.0, id="wider")]


def samples(repetitions: int, n: int, d: int, scale: float, shift: float) -> list[tuple[Array, Array, Array, Array]]:
    """P, P′, Q, Q′ (n, d): N(shift, scale²) and N(0, 1) in every coordinate."""
    normal = np.random.default_rng(17).standard_normal((repetitions, 4, n, d))
    return [(shift + scale * p, shift + scale * p2, q, q2) for p, p2, q, q2 in normal]


def claimed(scores: list[Score], truth: float, batches: int | None = None) -> float:
    """The mean square of the errors that are claimed, without Student's factor, over that of the errors made."""
    values, errors = (np.array([getattr(score, name) for score in scores]) for name in ("value", "error"))
    widening = 1.0 if batches is None else float(t.ppf(0.975, batches - 1) / norm.ppf(0.975))
    return float(((errors / widening) ** 2).mean() / ((values - truth) ** 2).mean())


@pytest.mark.parametrize(("scale", "shift"), LAWS)
@pytest.mark.parametrize("metric", [w1_scores, w2_scores_on_the_line], ids=["w1", "w2"])
def test_claimed_error_on_the_line_is_the_one_that_is_made(metric, scale: float, shift: float) -> None:
    """Of 500 values: a mean square is known to √(2/500) = 6 %, the bound is three of them, or four for batches."""
    truth = (shift or 0.6 * np.sqrt(2 / np.pi)) if metric is w1_scores else shift**2 + (scale - 1) ** 2
    found = [metric(*(part[:, 0] for part in parts))[0] for parts in samples(500, 300, 1, scale, shift)]
    if metric is w1_scores:
        assert 0.81 < claimed(found, truth) < 1.19
    else:  # the allowance for shrinkage adds to it
        assert 0.75 < claimed(found, truth, batches_on_the_line(300)) < 1.3


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_claimed_error_in_the_plane_is_the_one_that_is_made(shift: float) -> None:
    """Also at equal laws, where the jackknife of each sample by itself would claim twice the square."""
    found = [
        w2_scores(p, p2, q, q2, self_transports(q, q2, 1, 100))[0] for p, p2, q, q2 in samples(500, 100, 2, 1.0, shift)
    ]
    assert 0.75 < claimed(found, 2 * shift**2) < 1.3


def test_claimed_error_of_the_sliced_distance_is_the_one_that_is_made() -> None:
    generator = torch.Generator().manual_seed(2)
    found = []
    for p, p2, q, q2 in samples(300, 200, 4, 1.0, 0.7):
        found.append(sliced_scores(p, p2, q, q2, slices(q, q2, draw_directions(4, 16, generator)))[0])
    # Student's factor widens the noise of the four batches, (3.18 / 1.96)² = 2.6, and not that of the directions.
    assert 0.75 < claimed(found, 0.49) < 2.6 * 1.3


def test_batches_have_students_error() -> None:
    """±1.96 errors of the mean of four normal numbers hold it 95 % of the time, ±1.96 plain ones 86 %."""
    values = np.random.default_rng(3).standard_normal((4_000, 4))
    held = np.array([abs(row.mean()) < 1.96 * error_of_batches(row) for row in values])
    assert abs(held.mean() - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4_000)
    assert error_of_batches(np.array([1.0, 1.0, 1.0, 1.0])) == 0


def test_jackknife_error_of_a_shift_is_that_of_the_means() -> None:
    """W2² of a shift by Δ has D = Δ² + 2Δ(p̄ − q̄) to first order: potentials 2Δx, and variance 4Δ²·2/(2n)."""
    x, y = np.random.default_rng(4).standard_normal((2, 100_000))
    assert jackknife_error(2 * 0.5 * x, -2 * 0.5 * y, 50_000) == pytest.approx(np.sqrt(1 / 50_000), rel=0.02)


def test_shrinkage_is_nothing_for_a_shift_and_for_points() -> None:
    x = np.random.default_rng(5).standard_normal((5_000, 3))
    moved = x + 1.0
    assert shrinkage(3.0, 1.0, moved, x) == pytest.approx(0.0, abs=0.01)
    assert shrinkage(0.0, 1.0, x, x) == 0
    assert shrinkage(-0.1, 1.0, x, x) == 0
    assert shrinkage(2.0, 0.0, 2 * x, x) == 0
    assert shrinkage(1.0, 0.0, np.ones((5, 2)), np.zeros((5, 2))) == 0


def test_shrinkage_undoes_the_factor() -> None:
    """A law scaled by two about its mean: D = W (1 − ρ), and D plus the allowance is W."""
    x = np.random.default_rng(6).standard_normal((200_000, 2))
    truth, noise = 2.0, 1.0
    rho = noise / (2 + 8)
    assert truth * (1 - rho) + shrinkage(truth * (1 - rho), noise, 2 * x, x) == pytest.approx(truth, rel=0.01)
