from __future__ import annotations

import math
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import solve_ivp
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from models.flow_matching import FlowMatching, VelocityField, couple, runge_kutta
from models.lockstep import Lockstep
from tests.models.fits import banana, normal, seeded, skewed, trained, two_modes

F64 = torch.float64


def rough(d: int) -> FlowMatching:
    """A flow that is far from the identity without any training: its last layer is drawn at random."""
    model = FlowMatching()
    model.build(skewed(400, d), seeded())
    model.double().requires_grad_(False)
    last = model.velocity.last.weight
    last.copy_(0.3 * normal(*last.shape) / math.sqrt(d))
    return model


@pytest.fixture(scope="module")
def bimodal() -> FlowMatching:
    return trained(FlowMatching(), two_modes(4000), effort=0.4)


@pytest.fixture(scope="module")
def bent() -> FlowMatching:
    return trained(FlowMatching(), banana(4000), effort=0.4)


@pytest.mark.parametrize("d", [1, 3, 16])
def test_divergence_is_the_trace_of_autograds_jacobian(d):
    field = rough(d).velocity
    x, t = normal(5, d), torch.tensor([[0.3]], dtype=F64)
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda q: field(q[None], t)[0], row) for row in x])
    both = field.with_divergence(x, t)
    torch.testing.assert_close(both[:, :d], field(x, t))
    torch.testing.assert_close(both[:, d], jacobians.diagonal(dim1=1, dim2=2).sum(1))


def test_the_solver_is_of_order_four_and_agrees_with_scipy():
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return torch.stack([-x[:, 1], x[:, 0].sin()], dim=1) + t.square()

    start = normal(1, 2)
    solution = solve_ivp(
        lambda t, x: velocity(torch.as_tensor(x)[None], torch.tensor([[t]], dtype=F64))[0].numpy(),
        (0, 1),
        start[0].numpy(),
        rtol=1e-12,
        atol=1e-12,
    )
    errors = [
        float((runge_kutta(velocity, start, torch.linspace(0, 1, n + 1, dtype=F64))[0].numpy() - solution.y[:, -1])[0])
        for n in (4, 8, 16)
    ]
    for coarse, fine in pairwise(errors):
        assert 13 < coarse / fine < 19  # 2⁴ = 16 in the limit
    grid = torch.linspace(0, 1, 33, dtype=F64)
    there = runge_kutta(velocity, start, grid)
    torch.testing.assert_close(runge_kutta(velocity, there, grid.flip(0)), start, rtol=0, atol=1e-7)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_couplings_are_optimal(d):
    noise, data = normal(64, d), skewed(64, d, seed=2)
    coupled = couple(noise, data)
    _, columns = linear_sum_assignment(torch.cdist(noise, data).square().numpy())
    torch.testing.assert_close(coupled, data[columns])
    assert torch.equal(coupled.sort(0).values, data.sort(0).values)
    if d == 1:
        assert torch.equal(coupled[noise[:, 0].argsort()], data.sort(0).values)


def test_pairs_have_the_noise_and_the_data_as_their_marginals():
    model, x = FlowMatching(), skewed(1000, 2)
    model.build(x, seeded())
    z, y = model.prepare(x, seeded()).chunk(2, dim=1)
    u, _ = model._inner(x)
    passes = len(y) // len(x)
    for block in y.split(len(x)):
        assert torch.equal(block.sort(0).values, u.float().sort(0).values)
    assert passes == 20
    # Blocks of a pass share no noise: 20,000 independent draws of N(0, I).
    assert z.mean(0).abs().max() < 4 / math.sqrt(len(z))
    assert (z.T @ z / len(z) - torch.eye(2)).abs().max() < 4 * math.sqrt(2 / len(z))
    assert ((y - z).square().sum(1)).mean() < 0.5 * ((y - z.roll(1, 0)).square().sum(1)).mean()


def test_before_training_the_model_is_a_gaussian_with_compressed_tails():
    """With v = 0 all that is left are the coordinates, which leave a Gaussian as it is."""
    x = normal(4000, 3) @ normal(3, 3, seed=8)
    model = FlowMatching()
    model.build(x, seeded())
    model.double()
    distances = model.whitening(x).norm(dim=1)
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov(correction=0))
    near = x[distances < 3]
    torch.testing.assert_close(model.log_prob(near), gaussian.log_prob(near), rtol=0, atol=0.1)


def test_the_loss_is_least_where_the_velocity_is_known():
    """From N(0, 1) to N(0, s²) the optimal coupling is y = sz, whose velocity is (s − 1) x / (1 + (s − 1) t)."""

    class Exact(VelocityField):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return (s - 1) * x / (1 + (s - 1) * t)

    s, model = 0.5, FlowMatching()
    z = normal(512, 1)
    model.build(z, seeded())
    model.velocity = Exact(1, 4, 1, seeded())
    assert float(model.loss(torch.cat([z, s * z], dim=1), seeded())) == pytest.approx(0, abs=1e-20)
    grid = torch.linspace(0, 1, 11, dtype=F64)
    torch.testing.assert_close(runge_kutta(model.velocity, z, grid), s * z, rtol=0, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 5, 16])
def test_log_prob_is_the_change_of_variables_of_the_discretised_map(d):
    """To less than 1e-3 nats, with autograd through all steps of the solver as the judge."""
    model = rough(d)
    noise = normal(6, d, seed=5)
    push = partial(FlowMatching.transport.__wrapped__, model)
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda z: push(z[None])[0], z) for z in noise])
    base = -0.5 * noise.square().sum(-1) - 0.5 * d * math.log(2 * math.pi)
    expected = base - torch.linalg.slogdet(jacobians).logabsdet
    torch.testing.assert_close(model.log_prob(model.transport(noise)), expected, rtol=0, atol=1e-3)


def test_a_fitted_flow_is_solved_to_a_thousandth_of_a_nat(bimodal, bent):
    for model, x in ((bimodal, two_modes(500, seed=3)), (bent, banana(500, seed=3))):
        log_prob, grid = model.log_prob(x), model.grid
        model.grid = torch.linspace(0, 1, 8 * (len(grid) - 1) + 1, dtype=F64)
        finer = model.log_prob(x)
        model.grid = grid
        assert abs(float((log_prob - finer).mean())) < 1e-3


def test_density_integrates_to_one_in_one_dimension(bimodal):
    x = torch.linspace(-8, 8, 4001, dtype=F64)
    assert float(torch.trapezoid(bimodal.log_prob(x[:, None]).exp(), x)) == pytest.approx(1, abs=1e-3)


def test_density_integrates_to_one_in_two_dimensions(bent):
    x, y = torch.linspace(-6, 6, 61, dtype=F64), torch.linspace(-5, 25, 151, dtype=F64)
    density = bent.log_prob(torch.cartesian_prod(x, y)).exp().view(len(x), len(y))
    assert float(torch.trapezoid(torch.trapezoid(density, y), x)) == pytest.approx(1, abs=1e-3)


def test_samples_have_the_density(bimodal):
    x = torch.linspace(-8, 8, 4001, dtype=F64)
    distribution = torch.cumulative_trapezoid(bimodal.log_prob(x[:, None]).exp(), x).numpy()
    samples = bimodal.sample(5000, seeded(3))[:, 0].numpy()
    assert stats.kstest(samples, lambda s: np.interp(s, x[1:].numpy(), distribution)).pvalue > 1e-3


def test_learns_two_modes_and_a_bend(bimodal, bent):
    x = two_modes(4000, seed=7)
    truth = torch.logsumexp(-0.5 * ((x - torch.tensor([-1.0, 1.0], dtype=F64)) / 0.3).square(), dim=1)
    truth = truth - math.log(2 * 0.3 * math.sqrt(2 * math.pi))
    assert float((truth - bimodal.log_prob(x)).mean()) < 0.05
    x = banana(4000, seed=7)
    truth = -0.5 * (x[:, 0].square() + ((x[:, 1] - x[:, 0].square()) / 0.5).square()) - math.log(math.pi)
    assert float((truth - bent.log_prob(x)).mean()) < 0.1


def test_the_map_is_nearly_monotone_in_one_dimension_and_optimal(bimodal):
    """In one dimension the optimal map is the increasing one, F⁻¹ ∘ Φ."""
    z = torch.linspace(-2.5, 2.5, 101, dtype=F64)
    mapped = bimodal.transport(z[:, None])[:, 0]
    assert (mapped.diff() > 0).all()
    quantiles = two_modes(200_000, seed=9)[:, 0].quantile(torch.special.ndtr(z))
    assert (mapped - quantiles).abs().mean() < 0.1


@pytest.mark.parametrize("d", [1, 2, 16, 64])
def test_every_dimension_fits_samples_and_restores_to_the_same_bits(d):
    x = skewed(300, d)
    model = trained(FlowMatching(), x, effort=0.02)
    samples, log_prob = model.sample(10, seeded()), model.log_prob(x)
    assert samples.shape == (10, d)
    assert log_prob.shape == (300,)
    assert samples.dtype == log_prob.dtype == F64
    assert torch.isfinite(log_prob).all()
    copy = FlowMatching()
    copy.restore(model.state_dict(), d)
    assert torch.equal(copy.log_prob(x), log_prob)
    assert torch.equal(copy.sample(10, seeded()), samples)


def test_replicates_in_lockstep_have_the_loss_that_they_have_alone():
    """In the mean over the times t, which a mapped loss draws for all replicates from one generator."""
    models = [rough(2) for _ in range(2)]
    pairs = torch.stack([normal(500, 4, seed=seed).float() for seed in (1, 2)])
    for model, seed in zip(models, (3, 4), strict=True):
        model.velocity.last.bias.copy_(normal(2, seed=seed))
        model.float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # vmap warns where it falls back to a loop
        lockstep = Lockstep(models, FlowMatching.loss, (), seeded(5))
        assert lockstep.can_be_mapped(pairs)
        together = torch.stack([lockstep.losses(lockstep.parameters, pairs) for _ in range(50)])
    alone = torch.stack(
        [torch.stack([m.loss(x, seeded(seed)) for m, x in zip(models, pairs, strict=True)]) for seed in range(50)]
    )
    error = ((together.var(0) + alone.var(0)) / 50).sqrt()
    assert ((together.mean(0) - alone.mean(0)).abs() < 4 * error).all()
    assert (alone.mean(0).diff().abs() > 20 * error[1:]).all()  # the replicates are told apart


@pytest.mark.parametrize("d", [1, 2, 5])
def test_heavy_tails_and_far_away_points_are_finite(d):
    cauchy = normal(3000, d) / normal(3000, d, seed=2)
    model = trained(FlowMatching(), cauchy, effort=0.05)
    assert torch.isfinite(model.log_prob(cauchy)).all()
    assert torch.isfinite(model.log_prob(torch.full((1, d), 1e12, dtype=F64))).all()
    assert torch.isfinite(model.sample(1000, seeded())).all()
