"""One test, every model: what it returns, and which data it survives. Asked by capability and never by name."""

from __future__ import annotations

import math

import pytest
import torch

from models.base import DensityModel, LatentModel, draw
from models.training import fit_replicates
from tests.models.fits import MODELS, QUICK, fitted, new, seeded, skewed


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("d", [1, 2, 5, 64])
def test_shapes_types_and_finiteness(name, d):
    model = fitted(name, d)
    x = model.sample(7, seeded())
    assert x.shape == (7, d)
    assert x.dtype == torch.float64
    assert torch.isfinite(x).all()
    points = skewed(5, d, seed=2)
    if isinstance(model, DensityModel):
        log_prob = model.log_prob(points)
        assert log_prob.shape == (5,)
        assert log_prob.dtype == torch.float64
        assert torch.isfinite(log_prob).all()
    if isinstance(model, LatentModel):
        k = model.prior().event_shape[0]
        posterior = model.posterior(points)
        assert posterior.batch_shape == (5,)
        assert posterior.event_shape == (k,)
        z = draw(posterior, (3,), seeded())
        assert z.shape == (3, 5, k)
        likelihood = model.likelihood(z)
        assert likelihood.batch_shape == (3, 5)
        assert likelihood.event_shape == (d,)
        assert torch.isfinite(likelihood.log_prob(points)).all()
        assert torch.isfinite(model.prior().log_prob(z)).all()
        assert torch.isfinite(posterior.log_prob(z)).all()


@pytest.mark.parametrize("name", MODELS)
def test_units_do_not_matter(name):
    """The density of 1000·x is that of x over 1000^d: whitening is accounted for. Far offsets cost no precision."""
    d = 2
    x, points = skewed(400, d), skewed(20, d, seed=2)
    model, moved = fitted(name, d), new(name)
    moved.fit(1000 * x - 5e5, seeded(), QUICK)
    moved_points = 1000 * points - 5e5
    if isinstance(model, DensityModel):
        expected = model.log_prob(points) - d * math.log(1000)
        torch.testing.assert_close(moved.log_prob(moved_points), expected, rtol=0, atol=0.02)
    if isinstance(model, LatentModel):
        z = draw(model.prior(), (20,), seeded())
        first = model.likelihood(z).log_prob(points) - d * math.log(1000)
        torch.testing.assert_close(moved.likelihood(z).log_prob(moved_points), first, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_replicates_are_fitted_to_their_own_data(name):
    models = [new(name) for _ in range(2)]
    xs = [skewed(400, 2), skewed(400, 2, seed=7) + 10]
    fit_replicates(models, xs, [seeded(0), seeded(1)], QUICK)
    for model, x in zip(models, xs, strict=True):
        sample = model.sample(2000, seeded())
        assert (sample.mean(0) - x.mean(0)).abs().max() < 2 * float(x.std(0).max())


@pytest.mark.parametrize("name", MODELS)
def test_a_constant_column_and_few_rows_are_survived(name):
    x = skewed(60, 3)
    x[:, 1] = 2.0
    model = new(name)
    model.fit(x, seeded(), QUICK)
    assert torch.isfinite(model.sample(100, seeded())).all()
