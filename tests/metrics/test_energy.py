from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance as root_of_it

from metrics.energy import energy_distance

NOISE = torch.Generator()


def mean_distance(shift: float, deviation: float) -> float:
    """E|Z| for Z ~ N(shift, deviation²): the mean of the folded normal law."""
    folded = deviation * math.sqrt(2 / math.pi) * math.exp(-(shift**2) / (2 * deviation**2))
    return folded + shift * math.erf(shift / (deviation * math.sqrt(2)))


def between_normals(shift: float, deviation: float) -> float:
    """The energy distance between N(shift, deviation²) and N(0, 1)."""
    across = mean_distance(shift, math.hypot(deviation, 1.0))
    return 2 * across - mean_distance(0.0, deviation * math.sqrt(2)) - mean_distance(0.0, math.sqrt(2))


def test_the_closed_form_is_that_of_other_software():
    x, y = np.random.default_rng(0).normal(size=(2, 400_000))
    assert root_of_it(0.7 + 1.5 * x, y) ** 2 == pytest.approx(between_normals(0.7, 1.5), rel=0.02)


@pytest.mark.parametrize("held_out", [50, 200, 1_000])
@pytest.mark.parametrize(("shift", "deviation"), [(0.0, 1.0), (0.1, 1.0), (0.3, 1.0), (1.0, 1.0), (0.0, 1.5)])
def test_it_is_unbiased_and_its_intervals_hold_the_closed_form(shift, deviation, held_out):
    generator = torch.Generator().manual_seed(1)
    truth, repetitions = between_normals(shift, deviation), 1_000
    x = torch.randn(repetitions, 200, 1, generator=generator, dtype=torch.float64)
    y = torch.randn(repetitions, held_out, 1, generator=generator, dtype=torch.float64)
    found = torch.tensor(
        [energy_distance(shift + deviation * a, b, NOISE) for a, b in zip(x, y, strict=True)], dtype=torch.float64
    )
    values, errors = found.T
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(repetitions)
    coverage = ((values - truth).abs() < 1.96 * errors).double().mean()
    # Between nearly equal laws a batch has longer tails than a normal law, and Student's interval is wide.
    assert 0.93 <= coverage <= (0.97 if truth > 0.01 else 0.985)


def test_heavy_tails_without_a_variance_keep_their_coverage():
    x, y = torch.from_numpy(np.random.default_rng(2).standard_t(1.5, (2, 1_000, 200, 1)))
    found = np.array([energy_distance(a, b, NOISE) for a, b in zip(x, y, strict=True)])
    assert np.mean(np.abs(found[:, 0]) < 1.96 * found[:, 1]) >= 0.93


def test_it_is_zero_for_equal_points_however_far_out():
    x = 1e8 + torch.randn(400, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = 1e8 + torch.randn(400, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    near = energy_distance(x - 1e8, y - 1e8, NOISE)
    assert energy_distance(x, y, NOISE) == pytest.approx(near, rel=1e-6)


def test_batches_are_an_argument_and_too_few_points_are_refused():
    x, y = torch.randn(2, 64, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert energy_distance(x, y, NOISE, batches=4) != energy_distance(x, y, NOISE)
    for few in ((x[:10], y), (x, y[:10])):
        with pytest.raises(ValueError, match="do not make 8 batches"):
            energy_distance(*few, NOISE)
    with pytest.raises(ValueError, match="do not make 1 batches"):
        energy_distance(x, y, NOISE, batches=1)
