"""What is true of every model's density, sampler and bound, whatever it has learned. By capability, never by name."""

from __future__ import annotations

import math
import random
from functools import cache

import numpy as np
import pytest
import safetensors.torch
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution

from metrics import likelihood, quadrature
from metrics.modes import Bank, log_joint
from models.base import DensityModel, LatentModel, Model, TransportModel, draw
from tests.models.fits import MODELS, QUICK, fitted, having, new, seeded, skewed
from tests.models.nodes import Nodes, independent, lattice

EFFORT, ROWS = 0.1, 1000  # enough to be far from where training starts
LATTICE_ERROR = 2e-3
Z_LIMIT = 4.0  # standard errors
KS_LEVEL = 1e-3
LATENT = having(LatentModel)
WITH_DENSITY = having(DensityModel) + LATENT
MAPS_WITH_DENSITY = having(DensityModel, TransportModel)
INDEPENDENT_NODES = 1000
IMPORTANCE_SAMPLES = 300


def model_of(name: str, d: int) -> Model:
    return fitted(name, d, EFFORT, ROWS)


@cache
def bank(name: str, d: int) -> Bank:
    return Bank.of(model_of(name, d), seeded(11), 2000)


def log_prob(name: str, d: int, x: Tensor) -> Tensor:
    """log p_θ at x (n, d): its own, by quadrature, or by importance sampling: then p, not log p, is unbiased."""
    model = model_of(name, d)
    if isinstance(model, DensityModel):
        return model.log_prob(x)
    return likelihood.log_prob(model, x, IMPORTANCE_SAMPLES, bank(name, d), seeded(12)).log_prob


@cache
def own_samples(name: str, d: int) -> Tensor:
    return model_of(name, d).sample(20_000, seeded(13))


@cache
def nodes(name: str, d: int) -> Nodes:
    """A lattice where log p_θ is exact, else independent nodes."""
    model, samples = model_of(name, d), own_samples(name, d)
    if isinstance(model, DensityModel):
        return lattice(samples, model.log_prob)
    grid = quadrature.grid(model.prior())
    if grid is None or not bool(quadrature.log_prob(model, samples[:500], grid)[1].all()):
        return independent(samples[:2000], lambda x: log_prob(name, d, x), INDEPENDENT_NODES, seeded(14))

    def by_quadrature(x: Tensor) -> Tensor:
        # Far from every sample it need not be resolved; what is left out there would be missed in the mass.
        values, resolved = quadrature.log_prob(model, x, grid)
        return values.where(resolved, -math.inf)

    return lattice(samples, by_quadrature)


@pytest.mark.parametrize("name", WITH_DENSITY)
@pytest.mark.parametrize("d", [1, 2])
def test_the_density_integrates_to_one(name, d):
    found = nodes(name, d)
    mass, error = found.integral(torch.ones_like(found.log_prob))
    assert error < 0.02
    assert abs(mass - 1) < Z_LIMIT * error + LATTICE_ERROR


@pytest.mark.parametrize("name", WITH_DENSITY)
@pytest.mark.parametrize("d", [1, 2])
def test_the_sampler_has_the_entropy_of_the_density(name, d):
    """−∫ p log p by the nodes, against the mean of −log p over the model's own samples."""
    found = nodes(name, d)
    entropy, error = found.integral(-found.log_prob.clamp_min(-700))
    own = -log_prob(name, d, own_samples(name, d)[-1000:])
    error = math.hypot(error, float(own.std()) / math.sqrt(len(own)))
    assert abs(float(own.mean()) - entropy) < Z_LIMIT * error + LATTICE_ERROR


@pytest.mark.parametrize("name", WITH_DENSITY)
@pytest.mark.parametrize("d", [1, 2])
def test_the_sampler_has_the_expectations_of_the_density(name, d):
    samples, found = own_samples(name, d), nodes(name, d)
    assert_same_law(samples, found)
    if found.axes is None:
        return
    for i, (points, distribution) in enumerate(found.marginals()):
        at = points.numpy(), distribution.numpy()
        assert stats.kstest(samples[:, i], lambda x, at=at: np.interp(x, *at)).pvalue > KS_LEVEL


def assert_same_law(samples: Tensor, found: Nodes) -> None:
    """Bounded statistics of samples (n, d) and of the density: location, spread, dependence and tails."""
    centre, spread = samples.mean(0), samples.std(0)
    deciles = samples[:2000].quantile(torch.tensor([0.1, 0.5, 0.9], dtype=samples.dtype), dim=0)

    def statistics(x: Tensor) -> Tensor:
        u = (x - centre) / spread
        below = [torch.special.ndtr((cut - x) / (0.3 * spread)) for cut in deciles]
        return torch.cat([u.tanh(), u.cos(), u.tanh() * u.tanh().roll(1, 1), *below], dim=1)

    drawn = statistics(samples)
    for own, at_nodes in zip(drawn.unbind(1), statistics(found.x).unbind(1), strict=True):
        value, error = found.integral(at_nodes)
        error = math.hypot(error, float(own.std()) / math.sqrt(len(own)))
        assert abs(float(own.mean()) - value) < Z_LIMIT * error + LATTICE_ERROR


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("d", [1, 2])
def test_every_law_of_a_latent_model_is_the_law_of_its_draws(name, d):
    """p(z), p(x|z), q(z|x): each has mass one and the expectations of what `draw` makes of it."""
    model = model_of(name, d)
    points = skewed(2, d, seed=2)
    z = draw(model.prior(), (1,), seeded(1))[0]
    laws: list[Distribution] = [model.prior(), model.likelihood(z), *(model.posterior(x) for x in points)]
    for seed, law in enumerate(laws):
        samples = draw(law, (4000,), seeded(seed))
        found = independent(samples[:2000], law.log_prob, INDEPENDENT_NODES, seeded(seed + 10))
        mass, error = found.integral(torch.ones_like(found.log_prob))
        assert error < 0.05
        assert abs(mass - 1) < Z_LIMIT * error
        assert_same_law(samples, found)


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_elbo_is_a_lower_bound(name, d):
    """ELBO(x) ≤ log p_θ(x), on average and at each point, at points of the data and away from them."""
    model = model_of(name, d)
    x = torch.cat([skewed(60, d, seed=3), skewed(20, d, seed=4) + 1])
    estimate = likelihood.log_prob(model, x, IMPORTANCE_SAMPLES, bank(name, d), seeded(5))
    q = model.posterior(x)
    z = draw(q, (400,), seeded(6))
    summand = log_joint(model, x, z) - q.log_prob(z)
    gap = estimate.log_prob - summand.mean(0)
    variance = summand.var(0) / len(summand) + estimate.variance
    assert float(gap.mean()) > -Z_LIMIT * float(variance.mean()) ** 0.5 / math.sqrt(len(x))
    assert bool((gap > -(Z_LIMIT + 1) * variance.sqrt() - 1e-8).all())
    # The harness's own ELBO is the same number.
    elbo = likelihood.elbo(model, x, seeded(7))
    noise = float((summand.var(0) / likelihood.ELBO_DRAWS).mean()) ** 0.5 / math.sqrt(len(x))
    assert abs(float(elbo.mean() - summand.mean())) < 2 * Z_LIMIT * noise + 1e-8


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_points_know_nothing_of_their_batch(name, d):
    model = fitted(name, d)
    x = skewed(60, d, seed=3)
    z = torch.randn(60, d, generator=seeded(4), dtype=torch.float64)

    def assert_same(function, *rows: Tensor) -> None:
        whole = function(*rows)
        for size in (1, 7, 60):
            parts = [function(*batch) for batch in zip(*(r.split(size) for r in rows), strict=True)]
            torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-8, atol=1e-8)

    if isinstance(model, DensityModel):
        assert_same(model.log_prob, x)
    if isinstance(model, TransportModel):
        assert_same(model.transport, z)
    if isinstance(model, LatentModel):
        codes = draw(model.posterior(x), (), seeded(5))
        assert_same(model.prior().log_prob, codes)
        assert_same(lambda x, z: model.likelihood(z).log_prob(x), x, codes)
        assert_same(lambda x, z: model.posterior(x).log_prob(z), x, codes)
        assert_same(lambda x: model.posterior(x).mean, x)
        several = torch.stack([codes, codes + 0.1])
        torch.testing.assert_close(
            log_joint(model, x, several)[1], log_joint(model, x, several[1]), rtol=1e-8, atol=1e-8
        )


@pytest.mark.parametrize("name", MODELS)
def test_the_generator_is_the_only_source_of_randomness(name):
    x = skewed(400, 2)
    first, copy = fitted(name, 2), x.clone()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    second = new(name)
    second.fit(x, seeded(), QUICK)
    assert torch.equal(first.sample(9, seeded(5)), second.sample(9, seeded(5)))
    assert not torch.equal(first.sample(9, seeded(5)), second.sample(9, seeded(6)))
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    if isinstance(second, DensityModel):
        second.log_prob(x[:5])
    if isinstance(second, LatentModel):
        second.posterior(x[:5]).mean  # noqa: B018
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0]), "torch's global random state was touched"
    assert np.array_equal(before[1], after[1]), "NumPy's global random state was touched"
    assert before[2] == after[2], "Python's global random state was touched"
    assert torch.equal(x, copy), "the training data were changed"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_model_read_from_its_file_is_the_same_to_the_last_bit(name, d, tmp_path):
    model, again = fitted(name, d), new(name)
    # Cloned, because safetensors refuses tensors that share their memory.
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    again.restore(safetensors.torch.load_file(tmp_path / "model.safetensors"), d)
    assert torch.equal(model.sample(11, seeded()), again.sample(11, seeded()))
    x = skewed(11, d, seed=2)
    if isinstance(model, DensityModel):
        assert isinstance(again, DensityModel)
        assert torch.equal(model.log_prob(x), again.log_prob(x))
    if isinstance(model, TransportModel):
        assert isinstance(again, TransportModel)
        assert torch.equal(model.transport(x), again.transport(x))
    if isinstance(model, LatentModel):
        assert isinstance(again, LatentModel)
        assert torch.equal(likelihood.elbo(model, x, seeded()), likelihood.elbo(again, x, seeded()))


@pytest.mark.parametrize("name", MAPS_WITH_DENSITY)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_map_carries_the_normal_law_to_the_density(name, d):
    """log p(T(z)) = log N(z; 0, I) − log |det ∂T/∂z|, with the Jacobian by central differences."""
    model = model_of(name, d) if d < 3 else fitted(name, d)
    z = torch.randn(50, d, generator=seeded(4), dtype=torch.float64)
    step = 1e-6 * torch.eye(d, dtype=torch.float64)
    columns = [(model.transport(z + h) - model.transport(z - h)) / 2e-6 for h in step]
    log_det = torch.linalg.slogdet(torch.stack(columns, dim=-1)).logabsdet
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) - log_det
    torch.testing.assert_close(model.log_prob(model.transport(z)), expected, rtol=0, atol=1e-4)
