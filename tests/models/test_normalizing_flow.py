from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from nflows.transforms.splines import unconstrained_rational_quadratic_spline
from scipy import stats
from torch import Tensor

from models import seeding
from models.base import Budget
from models.lockstep import Lockstep
from models.normalizing_flow import NormalizingFlow
from models.splines import LU, SplineCoupling, TailCompression, rational_quadratic_spline
from models.training import fit_replicates
from tests.models.fits import banana, normal, seeded, skewed, trained, two_modes

F64 = torch.float64


def rough(d: int, n: int = 400) -> NormalizingFlow:
    """A flow that is far from the identity without any training: every parameter is moved at random."""
    model = NormalizingFlow()
    model.build(skewed(n, d), seeded())
    model.double().requires_grad_(False)
    for parameter in model.parameters():
        parameter += (0.1 if d < 4 else 0.03) * torch.randn(
            parameter.shape, generator=seeded(len(parameter)), dtype=F64
        )
    return model


@pytest.fixture(scope="module")
def bimodal() -> NormalizingFlow:
    return trained(NormalizingFlow(), two_modes(4000), effort=0.4)


@pytest.fixture(scope="module")
def bent() -> NormalizingFlow:
    return trained(NormalizingFlow(), banana(4000), effort=0.2)


@pytest.mark.parametrize("bins", [1, 2, 8])
def test_spline_agrees_with_nflows(bins):
    x, raw = 3 * normal(500, 2), normal(500, 2, 3 * bins - 1, seed=2)
    # Ours counts slopes from the identity and has smaller least bins.
    theirs = raw.clone()
    theirs[..., 2 * bins :] += math.log(math.expm1(1 - 1e-3))
    for inverse in (False, True):
        y, log_slope = rational_quadratic_spline(x, raw, torch.tensor(4.0, dtype=F64), inverse)
        expected, expected_log_slope = unconstrained_rational_quadratic_spline(
            x,
            theirs[..., :bins],
            theirs[..., bins : 2 * bins],
            theirs[..., 2 * bins :],
            inverse=inverse,
            tail_bound=4.0,
            min_bin_width=1e-4,
            min_bin_height=1e-4,
        )
        torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(log_slope, expected_log_slope, rtol=1e-5, atol=1e-5)


def test_zeros_are_the_identity():
    x = 3 * normal(200, 3)
    y, log_slope = rational_quadratic_spline(x, torch.zeros(200, 3, 23, dtype=F64), torch.tensor(4.0, dtype=F64))
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros_like(x))
    y, log_det = LU(3).double()(x)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_det, torch.zeros(200, dtype=F64))


def test_tail_compression_is_inverted_and_its_determinant_is_autograds():
    w = normal(1000, 2) / normal(1000, 2, seed=2).abs()
    compression = TailCompression(w / w.std(dim=0))
    x = torch.linspace(-20, 20, 400, dtype=F64)[:, None].repeat(1, 2).requires_grad_()
    u, log_det = compression(x)
    torch.testing.assert_close(compression.inverse(u), x)
    (slopes,) = torch.autograd.grad(u.sum(), x)
    torch.testing.assert_close(log_det, slopes.log().sum(-1))


@pytest.mark.parametrize("d", [1, 2, 3, 5, 16])
def test_log_prob_is_the_change_of_variables_of_the_sampler(d):
    model = rough(d)
    noise = normal(6, d, seed=5)

    def push(z: Tensor) -> Tensor:
        return model.whitening.inverse(model.compression.inverse(model.transform.inverse(z)[0]))

    x = push(noise)
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda z: push(z[None])[0], z) for z in noise])
    base = -0.5 * noise.square().sum(-1) - 0.5 * d * math.log(2 * math.pi)
    torch.testing.assert_close(model.log_prob(x), base - torch.linalg.slogdet(jacobians).logabsdet, rtol=0, atol=1e-6)


def test_round_trip_of_a_fitted_flow(bimodal, bent):
    for model, x in ((bimodal, two_modes(2000, seed=3)), (bent, banana(2000, seed=3))):
        u, _ = model.compression(model.whitening(x))
        torch.testing.assert_close(model.transform.inverse(model.transform(u)[0])[0], u, rtol=0, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 3, 16, 64])
def test_round_trip(d):
    model = rough(d)
    u = 2 * normal(200, d, seed=3)
    z, log_det = model.transform(u)
    back, inverse_log_det = model.transform.inverse(z)
    torch.testing.assert_close(back, u, rtol=0, atol=1e-6)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=0, atol=1e-5)


def test_the_half_that_conditions_is_left_alone_without_splines_of_its_own():
    coupling = SplineCoupling(5, hidden=8, bins=4, bound=4.0, own=False)
    x = normal(10, 5).float()
    y, _ = coupling(x)
    assert torch.equal(y[:, :3], x[:, :3])
    assert not torch.equal(y[:, 3:], x[:, 3:])


def test_density_integrates_to_one_in_one_dimension(bimodal):
    x = torch.linspace(-8, 8, 200_001, dtype=F64)
    assert float(torch.trapezoid(bimodal.log_prob(x[:, None]).exp(), x)) == pytest.approx(1, abs=1e-3)


def test_density_integrates_to_one_in_two_dimensions(bent):
    x, y = torch.linspace(-6, 6, 301, dtype=F64), torch.linspace(-5, 25, 751, dtype=F64)
    density = bent.log_prob(torch.cartesian_prod(x, y)).exp().view(len(x), len(y))
    assert float(torch.trapezoid(torch.trapezoid(density, y), x)) == pytest.approx(1, abs=3e-3)


def test_samples_have_the_density_in_one_dimension(bimodal):
    x = torch.linspace(-8, 8, 20_001, dtype=F64)
    density = bimodal.log_prob(x[:, None]).exp()
    distribution = torch.cumulative_trapezoid(density, x).numpy()
    samples = bimodal.sample(20_000, seeded(3))[:, 0].numpy()
    test = stats.kstest(samples, lambda s: np.interp(s, x[1:].numpy(), distribution))
    assert test.pvalue > 1e-3


def test_samples_have_the_density_in_two_dimensions(bent):
    """Importance weights of a wide proposal turn expectations under the density into averages, to compare with."""
    samples = bent.sample(20_000, seeded(3))
    box = torch.tensor([[-5.0, 5.0], [-4.0, 20.0]], dtype=F64)
    uniform = torch.rand(200_000, 2, generator=seeded(4), dtype=F64)
    points = box[:, 0] + (box[:, 1] - box[:, 0]) * uniform
    weights = bent.log_prob(points).exp() * (box[:, 1] - box[:, 0]).prod()
    for statistic in (
        lambda x: x[:, 0].cos(),
        lambda x: x[:, 1].sin(),
        lambda x: (x[:, 0] * x[:, 1]).tanh(),
        lambda x: (x[:, 1] > 1).to(F64),
    ):
        drawn, weighted = statistic(samples), statistic(points) * weights
        error = math.hypot(float(drawn.std()) / len(drawn) ** 0.5, float(weighted.std()) / len(weighted) ** 0.5)
        assert abs(float(drawn.mean() - weighted.mean())) < 4 * error


def test_learns_two_modes_and_a_bend(bimodal, bent):
    x = two_modes(4000, seed=7)
    truth = torch.logsumexp(-0.5 * ((x - torch.tensor([-1.0, 1.0], dtype=F64)) / 0.3).square(), dim=1)
    truth = truth - math.log(2 * 0.3 * math.sqrt(2 * math.pi))
    assert float((truth - bimodal.log_prob(x)).mean()) < 0.05
    x = banana(4000, seed=7)
    truth = -0.5 * (x[:, 0].square() + ((x[:, 1] - x[:, 0].square()) / 0.5).square()) - math.log(math.pi)
    assert float((truth - bent.log_prob(x)).mean()) < 0.1


@pytest.mark.parametrize("d", [2, 5])
def test_recovers_the_entropy_of_a_correlated_gaussian(d):
    root = normal(d, d, seed=8)
    entropy = 0.5 * d * math.log(2 * math.pi * math.e) + float(torch.linalg.slogdet(root).logabsdet)
    model = trained(NormalizingFlow(), normal(5000, d) @ root.T, effort=0.2 if d == 2 else 0.1)
    test = normal(10_000, d, seed=9)
    log_prob, truth = model.log_prob(test @ root.T), 0.5 * (d - test.square().sum(-1)) - entropy
    assert 0 <= float((truth - log_prob).mean()) + 0.01 < 0.09


@pytest.mark.parametrize("d", [1, 2, 3, 16, 64])
def test_every_dimension_fits_samples_and_restores_to_the_same_bits(d):
    x = skewed(300, d)
    model = trained(NormalizingFlow(), x, effort=0.02)
    samples = model.sample(10, seeded())
    assert samples.shape == (10, d)
    assert samples.dtype == F64
    log_prob = model.log_prob(x)
    assert log_prob.shape == (300,)
    assert log_prob.dtype == F64
    assert torch.isfinite(log_prob).all()

    copy = NormalizingFlow()
    copy.restore(model.state_dict(), d)
    assert torch.equal(copy.log_prob(x), log_prob)
    assert torch.equal(copy.sample(10, seeded()), samples)


def test_same_generator_same_bits_and_the_global_one_is_untouched():
    before = torch.get_rng_state()
    x = skewed(300, 4)
    one, two, other = (trained(NormalizingFlow(), x, effort=0.02, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.sample(5, seeded()), two.sample(5, seeded()))
    assert torch.equal(one.log_prob(x), two.log_prob(x))
    assert not torch.equal(one.log_prob(x), other.log_prob(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_restores_the_global_generator_whatever_happens():
    def draw(source: torch.Generator) -> Tensor:
        with seeding.seeded(source):
            return torch.nn.Linear(2, 3).weight.detach()

    before = torch.get_rng_state()
    assert torch.equal(draw(seeded(1)), draw(seeded(1)))
    source = seeded(1)
    assert not torch.equal(draw(source), draw(source))
    with pytest.raises(RuntimeError), seeding.seeded(seeded()):
        torch.rand(3) @ torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_replicates_train_in_lockstep_as_they_would_alone(d):
    data = [skewed(300, d, seed=seed) for seed in (1, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # vmap warns where it falls back to a loop
        models = [NormalizingFlow() for _ in data]
        together = fit_replicates(models, data, [seeded(seed) for seed in (5, 6)], Budget(effort=0.02))
    built = [NormalizingFlow() for _ in data]
    for model, x, seed in zip(built, data, (5, 6), strict=True):
        model.build(x, seeded(seed))
    rows = torch.stack([model.prepare(x, seeded()) for model, x in zip(built, data, strict=True)])
    assert Lockstep(built, NormalizingFlow.loss, (), seeded()).can_be_mapped(rows)
    for history, x, seed in zip(together, data, (5, 6), strict=True):
        alone = NormalizingFlow().fit(x, seeded(seed), Budget(effort=0.02))
        assert history.training == pytest.approx(alone.training, rel=1e-2)


def test_log_prob_does_not_depend_on_the_batch(bent):
    x = banana(5000, seed=6)
    parts = torch.cat([bent.log_prob(part) for part in x.split(999)])
    torch.testing.assert_close(bent.log_prob(x), parts, rtol=0, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_heavy_tails_and_far_away_points_are_finite(d):
    cauchy = normal(3000, d) / normal(3000, d, seed=2)
    model = trained(NormalizingFlow(), cauchy, effort=0.1)
    assert torch.isfinite(model.log_prob(cauchy)).all()
    assert torch.isfinite(model.log_prob(torch.full((1, d), 1e12, dtype=F64))).all()
    assert torch.isfinite(model.sample(1000, seeded())).all()


def test_a_constant_column_is_survived():
    x = torch.cat([normal(300, 1), torch.ones(300, 1, dtype=F64)], dim=1)
    assert torch.isfinite(trained(NormalizingFlow(), x, effort=0.02).log_prob(x)).all()
