"""The nodes of the targets of one and two dimensions: sums over them against closed forms and other integrals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import torch
from torch import Tensor

from benchmarks.targets.base import ExactTarget
from benchmarks.targets.gaussian_mixture import GaussianMixture
from benchmarks.targets.planar import Pinwheel, directions
from benchmarks.targets.quadrature import drop_light, gauss_legendre, grid, rows
from benchmarks.targets.transport import Brenier2D
from benchmarks.targets.univariate import StudentT2
from tests.targets.test_exact import EXACT, LOW, exact, generator, standard_errors

Rule = tuple[Tensor, Tensor]
ON_THE_LINE = [name for name in LOW if exact(name).dimension == 1]


def nodes(name: str, spacing: float = 1.0) -> Rule:
    found = exact(name).nodes(spacing)
    assert found is not None
    return found


def mean(rule: Rule, function: Callable[[Tensor], Tensor]) -> float:
    return float(rule[1] @ function(rule[0]))


def tensor(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- The rules themselves


@pytest.mark.parametrize("name", LOW)
def test_weights_sum_to_one_on_few_nodes_within_the_support(name):
    fine, coarse = nodes(name), nodes(name, 2.0)
    most = 5_000 if exact(name).dimension == 1 else 20_000
    for x, weights in (fine, coarse):
        assert x.shape == (len(weights), exact(name).dimension)
        assert x.dtype == weights.dtype == torch.float64
        assert len(x) <= most
        assert (weights >= 0).all()
        assert float(weights.sum()) == pytest.approx(1, abs=1e-8)
        assert torch.isfinite(exact(name).log_prob(x)).all()
    ratio = len(fine[0]) / len(coarse[0])
    assert ratio == pytest.approx(2 ** exact(name).dimension, rel=0.1)
    assert nodes(name)[0] is fine[0]  # laid once


def test_more_than_two_dimensions_have_no_nodes():
    for name in set(EXACT) - set(LOW):
        assert exact(name).nodes() is None
        assert exact(name).nodes(2.0) is None


def test_rows_are_midpoints():
    row, place = rows(torch.tensor([1, 3, 2]))
    assert row.tolist() == [0, 1, 1, 1, 2, 2]
    torch.testing.assert_close(place, tensor(1 / 2, 1 / 6, 3 / 6, 5 / 6, 1 / 4, 3 / 4), rtol=1e-15, atol=0)


def test_light_nodes_are_those_that_hardly_count_with_their_square():
    x, weights = tensor([0.0], [1e3], [1.0], [0.0]), tensor(0.5, 1e-7, 0.5, 1e-7)
    kept, mass = drop_light(x, weights, tolerance=1e-3)
    assert kept.flatten().tolist() == [0.0, 1e3, 1.0]
    assert mass.tolist() == [0.5, 1e-7, 0.5]


# --- Expectations with a closed form

PI = math.pi
SPIRAL_X, SPIRAL_Y = 3 / (4 * PI**2), -3 / (2 * PI)
SPIRAL_EXTRA, SPIRAL_XY = 27 / (64 * PI**2), 9 * (6 / (8 * PI) ** 3 - 1 / (8 * PI))
MOONS_XY = (0.5 - 2 / PI) / 2 - 0.125

# The mean and the covariance of each, by hand from the definitions in the targets' docstrings.
MOMENTS = {
    "laplace": ([0], [[2]]),
    "uniform": ([0], [[1 / 3]]),
    "bimodal": ([0], [[4 + 1 / 16]]),
    "student_t": ([0], [[3]]),
    "two_modes": ([0], [[17]]),
    "claw": ([0], [[0.5 + 0.1 * (1 + 0.25 + 0 + 0.25 + 1 + 5 * 0.01)]]),
    "eight_gaussians": ([0, 0], [[2.04, 0], [0, 2.04]]),
    "two_moons": (
        [0.5, 0.25],
        [[0.76, MOONS_XY], [MOONS_XY, (0.5 + 0.75 - 2 / PI) / 2 - 1 / 16 + 0.01]],
    ),
    "checkerboard": ([0, 0], [[4 / 3, 1 / 4], [1 / 4, 4 / 3]]),
    "rings": ([0, 0], [[7 / 3 + 0.01, 0], [0, 7 / 3 + 0.01]]),
    "pinwheel": ([0, 0], [[2.2, 0], [0, 2.2]]),  # the twist keeps |x| and the fivefold symmetry
    "spiral": (
        [SPIRAL_X, SPIRAL_Y],
        [
            [9 / 4 + SPIRAL_EXTRA + 0.01 - SPIRAL_X**2, SPIRAL_XY - SPIRAL_X * SPIRAL_Y],
            [SPIRAL_XY - SPIRAL_X * SPIRAL_Y, 9 / 4 - SPIRAL_EXTRA + 0.01 - SPIRAL_Y**2],
        ],
    ),
    "banana": ([0, 1], [[4, 0], [0, 2.25]]),
    "funnel": ([0, 0], [[2.25, 0], [0, math.exp(1.125)]]),
}


def test_every_target_with_two_moments_is_held_by_a_closed_form():
    assert set(LOW) - set(MOMENTS) == {"student_t2", "brenier_2d"}


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("name", MOMENTS)
def test_means_and_covariances(name, spacing):
    x, weights = nodes(name, spacing)
    centre, covariance = (tensor(*part) for part in MOMENTS[name])
    torch.testing.assert_close(weights @ x, centre, rtol=0, atol=1e-7)
    torch.testing.assert_close((weights[:, None] * (x - centre)).T @ (x - centre), covariance, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", MOMENTS)
def test_kl_to_the_moment_matched_gaussian(name):
    """It is ½ ln det 2πeΣ less the entropy: heavy tails and all, where a mean over samples does not settle."""
    centre, covariance = (tensor(*part) for part in MOMENTS[name])
    gaussian = torch.distributions.MultivariateNormal(centre, covariance)
    kl = mean(nodes(name), lambda x: exact(name).log_prob(x) - gaussian.log_prob(x))
    assert kl == pytest.approx(float(gaussian.entropy()) - exact(name).entropy(), abs=1e-7)


def test_tails_reach_far_enough():
    """Moments that live in the tails."""
    assert mean(nodes("laplace"), lambda x: x[:, 0] ** 4) == pytest.approx(24, rel=1e-9)
    assert mean(nodes("funnel"), lambda x: x[:, 1] ** 4) == pytest.approx(3 * math.exp(4.5), rel=1e-4)
    assert mean(nodes("student_t2"), lambda x: x[:, 0].abs()) == pytest.approx(math.sqrt(2), rel=1e-5)
    assert nodes("student_t2")[0].abs().max() > 1e4


def test_the_brenier_maps_mean_and_spread():
    """E x is a sum of normal distribution functions; E z·x = E tr ∇²φ by Stein's identity."""
    target = exact("brenier_2d")
    assert isinstance(target, Brenier2D)
    x, weights = nodes("brenier_2d")
    torch.testing.assert_close(weights @ x, target._mean, rtol=0, atol=1e-9)
    trace = float(target._mean_jacobian.trace())
    assert float(weights @ (x * target.inverse(x)).sum(dim=1)) == pytest.approx(trace, abs=1e-8)


@pytest.mark.parametrize("name", LOW)
def test_large_samples_agree(name):
    x = exact(name).sample(50_000, generator(8))
    scale = x.quantile(0.84, dim=0) - x.quantile(0.16, dim=0)
    centre = x.median(dim=0).values
    for function in (
        lambda y: ((y - centre) / scale).tanh().sum(dim=1),
        lambda y: (3 * (y / scale).sum(dim=1)).sin(),
        lambda y: ((y - centre) / scale).norm(dim=1).log1p(),
        exact(name).log_prob,
    ):
        assert standard_errors(function(x), mean(nodes(name), function)) < 4


# --- Entropies


def reference_entropy(name: str) -> float:
    """By another rule than the target's own: a closed form, other coordinates, or a grid that is much finer."""
    target = exact(name)
    if name == "rings":
        radial = lambda r: -2 * PI * r * math.exp(log_p(r)) * log_p(r)  # noqa: E731
        log_p = lambda r: float(target.log_prob(tensor([r, 0])))  # noqa: E731
        edges = np.linspace(0, 4.2, 43)
        return sum(scipy.integrate.quad(radial, a, b)[0] for a, b in itertools.pairwise(edges))
    if isinstance(target, Pinwheel):
        points, volume = grid((-8.0, -8.0), (8.0, 8.0), step=0.04)
        return volume * float(torch.special.entr(target._arms.log_prob(points).exp()).sum())
    if isinstance(target, Brenier2D):
        z, volume = grid((-8.5, -8.5), (8.5, 8.5), step=0.04)
        normal = -0.5 * z.square().sum(dim=1) - math.log(2 * PI)
        return volume * float(normal.exp() @ (torch.linalg.slogdet(target.jacobian(z)).logabsdet - normal))
    if name in {"bimodal", "claw", "two_modes", "eight_gaussians", "two_moons", "spiral"}:
        points, volume = grid(*target.box, step=0.7 * target.step)  # type: ignore[attr-defined]
        return volume * float(torch.special.entr(target.log_prob(points).exp()).sum())
    return target.entropy()  # closed forms, which test_references.py holds against scipy's


@pytest.mark.parametrize("name", LOW)
def test_entropies(name):
    reference = reference_entropy(name)
    assert exact(name).entropy() == pytest.approx(reference, abs=1e-8)
    assert -mean(nodes(name), exact(name).log_prob) == pytest.approx(reference, abs=1e-8)


# --- Expectations of a model's log-density


def stand_in(target: ExactTarget) -> GaussianMixture:
    """What a fitted density may look like: half of it wide, half in six bumps of deviation 0.1 off the centre."""
    x, bumps = target.sample(2000, generator(5)), target.sample(6, generator(6)) + 0.07
    identity = torch.eye(target.dimension, dtype=torch.float64)
    wide = 1.2 * x.std(dim=0).max() * identity
    return GaussianMixture(
        tensor(1 / 2, *[1 / 12] * 6),
        torch.cat([x.mean(dim=0, keepdim=True), bumps]),
        torch.cat([wide[None], 0.1 * identity.repeat(6, 1, 1)]),
    )


def far_finer(target: ExactTarget) -> Rule:
    """A rule in other coordinates than the target's own where there are any, and many times more nodes."""
    if isinstance(target, Pinwheel):
        z, volume = grid((-6.0, -6.0), (6.0, 6.0), step=0.02)
        return target._twist(z, 1), volume * target._arms.log_prob(z).exp()
    if isinstance(target, Brenier2D):
        z, volume = grid((-6.5, -6.5), (6.5, 6.5), step=0.012)
        return target.transport(z), volume * (-0.5 * z.square().sum(dim=1)).exp() / (2 * PI)
    if target.name == "rings":
        radius, width = gauss_legendre(torch.linspace(0, 4, 9, dtype=torch.float64), order=32)
        angle = 2 * PI * (torch.arange(1500, dtype=torch.float64) + 0.5) / 1500
        points = (radius[:, None, None] * directions(angle)).flatten(0, 1)
        area = (2 * PI / 1500 * radius * width).repeat_interleave(1500)
        return points, area * target.log_prob(points).exp()
    return target.rule(0.7 if target.name in {"two_moons", "spiral"} else 0.45)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in LOW if exact(name).dimension == 2])
def test_kl_to_a_model_in_the_plane(name):
    """To 1e-4 nats, and no further from the truth than the coarse rule is from the fine one, up to that."""
    target = exact(name)
    model = stand_in(target)
    reference = -mean(far_finer(target), model.log_prob) - target.entropy()
    fine, coarse = (
        mean(nodes(name, spacing), lambda x: target.log_prob(x) - model.log_prob(x)) for spacing in (1.0, 2.0)
    )
    assert fine == pytest.approx(reference, abs=1e-4)
    assert coarse == pytest.approx(reference, abs=2e-3)
    assert abs(fine - reference) < abs(fine - coarse) + 1e-7


@pytest.mark.parametrize("name", ON_THE_LINE)
def test_kl_to_a_model_on_the_line(name):
    """Against scipy's adaptive quadrature, in x = tan θ so that any tail is within reach."""
    target = exact(name)
    mixture = stand_in(target)

    def log_model(x: Tensor) -> Tensor:
        if not isinstance(target, StudentT2):
            return mixture.log_prob(x)
        # The KL to a model with Gaussian tails is infinite: this one has the target's own.
        return torch.logaddexp(mixture.log_prob(x), target.log_prob((x - 0.3) / 1.2) - math.log(1.2)) - math.log(2)

    def integrand(theta: float) -> float:
        x = tensor([math.tan(theta)])
        log_density = float(target.log_prob(x))
        if log_density < -300:
            return 0.0
        return math.exp(log_density) * (log_density - float(log_model(x))) / math.cos(theta) ** 2

    edges = sorted({*np.linspace(-PI / 2, PI / 2, 81), -PI / 4, 0.0, PI / 4})  # ± 1 are the edges of `uniform`
    reference = sum(
        scipy.integrate.quad(integrand, a, b, limit=200, epsabs=1e-10)[0] for a, b in itertools.pairwise(edges)
    )
    fine, coarse = (mean(nodes(name, spacing), lambda x: target.log_prob(x) - log_model(x)) for spacing in (1.0, 2.0))
    assert fine == pytest.approx(reference, abs=1e-6)
    assert coarse == pytest.approx(reference, abs=1e-4)
    assert abs(fine - reference) < abs(fine - coarse) + 1e-7
