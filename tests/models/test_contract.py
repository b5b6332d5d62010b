"""One test, every model: what the contract promises, checked by capability and never by name."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import kl_divergence

from benchmarks import lookup
from models.base import Budget, DensityModel, LatentModel, Model, TransportModel, draw
from models.training import fit_replicates

MODELS = sorted(lookup.available("model"))
QUICK = Budget(effort=0.02)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(n: int, d: int, seed: int = 1) -> torch.Tensor:
    """A correlated, skewed cloud off the origin."""
    z = torch.randn(n, d, generator=generator(seed), dtype=torch.float64)
    return 3 + z + 0.5 * z.roll(1, dims=1) + 0.3 * z.square()


def fitted(name: str, d: int, n: int = 400) -> Model:
    model = lookup.find("model", name).load()()
    model.fit(data(n, d), generator(), QUICK)
    return model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("d", [1, 2, 5, 64])
def test_shapes_types_and_finiteness(name, d):
    model = fitted(name, d)
    x = model.sample(7, generator())
    assert x.shape == (7, d)
    assert x.dtype == torch.float64
    assert torch.isfinite(x).all()
    points = data(5, d, seed=2)
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
        z = draw(posterior, (3,), generator())
        assert z.shape == (3, 5, k)
        likelihood = model.likelihood(z)
        assert likelihood.batch_shape == (3, 5)
        assert likelihood.event_shape == (d,)
        assert torch.isfinite(likelihood.log_prob(points)).all()
        assert torch.isfinite(model.prior().log_prob(z)).all()
        assert torch.isfinite(posterior.log_prob(z)).all()


@pytest.mark.parametrize("name", MODELS)
def test_the_generator_is_the_only_source_of_randomness(name):
    before = torch.get_rng_state()
    first, second = fitted(name, 2), fitted(name, 2)
    assert torch.equal(first.sample(9, generator(5)), second.sample(9, generator(5)))
    assert not torch.equal(first.sample(9, generator(5)), first.sample(9, generator(6)))
    assert torch.equal(before, torch.get_rng_state()), "the global random state was touched"


@pytest.mark.parametrize("name", MODELS)
def test_the_training_data_are_left_as_they_were(name):
    x = data(300, 2)
    copy = x.clone()
    lookup.find("model", name).load()().fit(x, generator(), QUICK)
    assert torch.equal(x, copy)


@pytest.mark.parametrize("name", MODELS)
def test_a_restored_model_is_the_same_to_the_last_bit(name):
    model = fitted(name, 3)
    again = lookup.find("model", name).load()()
    again.restore(model.state_dict(), 3)
    assert torch.equal(model.sample(11, generator()), again.sample(11, generator()))
    points = data(11, 3, seed=2)
    if isinstance(model, DensityModel):
        assert torch.equal(model.log_prob(points), again.log_prob(points))
    if isinstance(model, LatentModel):
        assert torch.equal(model.posterior(points).mean, again.posterior(points).mean)


@pytest.mark.parametrize("name", MODELS)
def test_a_density_does_not_depend_on_how_points_are_batched(name):
    model = fitted(name, 2)
    points = data(50, 2, seed=3)
    if isinstance(model, DensityModel):
        one_by_one = torch.cat([model.log_prob(point[None]) for point in points])
        torch.testing.assert_close(model.log_prob(points), one_by_one, rtol=1e-8, atol=1e-8)
    if isinstance(model, LatentModel):
        one_by_one = torch.cat([model.posterior(point[None]).mean for point in points])
        torch.testing.assert_close(model.posterior(points).mean, one_by_one, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_units_do_not_matter(name):
    """The density of 1000·x is that of x over 1000^d: whitening is accounted for. Far offsets cost no precision."""
    d = 2
    x, points = data(400, d), data(20, d, seed=2)
    models = [lookup.find("model", name).load()() for _ in range(2)]
    models[0].fit(x, generator(), QUICK)
    models[1].fit(1000 * x - 5e5, generator(), QUICK)
    moved = 1000 * points - 5e5
    if isinstance(models[0], DensityModel):
        expected = models[0].log_prob(points) - d * math.log(1000)
        torch.testing.assert_close(models[1].log_prob(moved), expected, rtol=0, atol=0.02)
    if isinstance(models[0], LatentModel):
        z = draw(models[0].prior(), (20,), generator())
        first = models[0].likelihood(z).log_prob(points) - d * math.log(1000)
        torch.testing.assert_close(models[1].likelihood(z).log_prob(moved), first, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_replicates_are_fitted_to_their_own_data(name):
    models = [lookup.find("model", name).load()() for _ in range(2)]
    xs = [data(400, 2), data(400, 2, seed=7) + 10]
    fit_replicates(models, xs, [generator(0), generator(1)], QUICK)
    for model, x in zip(models, xs, strict=True):
        sample = model.sample(2000, generator())
        assert (sample.mean(0) - x.mean(0)).abs().max() < 2 * float(x.std(0).max())


@pytest.mark.parametrize("name", MODELS)
def test_a_constant_column_and_few_rows_are_survived(name):
    x = data(60, 3)
    x[:, 1] = 2.0
    model = lookup.find("model", name).load()()
    model.fit(x, generator(), QUICK)
    assert torch.isfinite(model.sample(100, generator())).all()


def test_the_vae_loss_is_the_negative_elbo_that_the_distributions_say():
    """The training loss against the same quantity from prior, likelihood and posterior, in the data's units."""
    vae = fitted("gaussian_vae", 2)
    assert isinstance(vae, LatentModel)
    x = data(200, 2, seed=4)
    q = vae.posterior(x)
    z = draw(q, (400,), generator())
    elbo = vae.likelihood(z).log_prob(x).mean(0) - kl_divergence(q, vae.prior())
    losses = torch.stack([vae.loss(x, generator(seed)) for seed in range(200)])
    expected = -(float(elbo.mean()) - float(vae.whitening.log_abs_det()))
    error = math.sqrt(float(losses.var()) / len(losses) + float(elbo.var()) / (400 * len(x)))
    assert abs(float(losses.mean()) - expected) < 4 * error


def test_a_map_carries_the_normal_law_to_the_density():
    """log p(T(z)) = log N(z; 0, I) − log |det ∂T/∂z|, with the Jacobian by central differences."""
    maps = [model for model in (fitted(name, 3) for name in MODELS) if isinstance(model, TransportModel)]
    assert len(maps) >= 3
    for model in maps:
        assert isinstance(model, DensityModel)
        z = torch.randn(50, 3, generator=generator(4), dtype=torch.float64)
        step = 1e-5 * torch.eye(3, dtype=torch.float64)
        columns = [(model.transport(z + h) - model.transport(z - h)) / 2e-5 for h in step]
        log_det = torch.linalg.slogdet(torch.stack(columns, dim=-1)).logabsdet
        expected = -0.5 * z.square().sum(1) - 1.5 * math.log(2 * math.pi) - log_det
        torch.testing.assert_close(model.log_prob(model.transport(z)), expected, rtol=0, atol=1e-4)
