"""The optimal-transport map: it is a gradient of a convex function, its density is exact, and it generalises."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from models.base import Budget, BudgetExceededError, DivergedError, History
from models.convex_inverse import invert, invert_from_afar
from models.ot_map import OTMap
from models.potential import ConvexPotential
from tests.models.fits import normal, seeded


def clusters(n: int, d: int, seed: int) -> Tensor:
    """Two to four well-separated normal clusters at the corners of a box."""
    signs = torch.randint(2, (n, min(d, 2)), generator=seeded(seed)).double() * 2 - 1
    x = 0.3 * normal(n, d, seed=seed + 1)
    x[:, : signs.shape[1]] += signs
    return x


def fitted(x: Tensor, effort: float = 0.2, seed: int = 0) -> OTMap:
    model = OTMap()
    model.fit(x, seeded(seed), Budget(effort=effort))
    return model


@pytest.fixture(scope="module")
def line() -> OTMap:
    return fitted(clusters(2000, 1, 1), effort=0.4)


@pytest.fixture(scope="module")
def plane() -> OTMap:
    return fitted(clusters(4000, 2, 1))


def rough_potential(d: int, seed: int = 0) -> ConvexPotential:
    """A potential with every term at work."""
    potential = ConvexPotential(torch.diag(torch.linspace(0.5, 1.5, d, dtype=torch.float64)), 7, min(d, 2), 5)
    generator = seeded(seed)
    for parameter in potential.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    potential.log_epsilon.data.fill_(math.log(0.1))
    return potential


@pytest.mark.parametrize("d", [1, 2, 5])
def test_derivatives_are_those_of_the_potential(d: int) -> None:
    potential, z = rough_potential(d), normal(20, d, seed=3)
    gradient, hessian = potential.derivatives(z)
    by_autograd = torch.func.vmap(torch.func.grad(lambda point: potential(point[None])[0]))(z)
    twice = torch.func.vmap(torch.func.hessian(lambda point: potential(point[None])[0]))(z)
    torch.testing.assert_close(gradient, by_autograd)
    torch.testing.assert_close(potential.gradient(z), by_autograd)
    torch.testing.assert_close(hessian, twice)


@pytest.mark.parametrize("d", [1, 2, 5, 16])
def test_newton_inverts_the_map_from_anywhere(d: int) -> None:
    potential, z = rough_potential(d), normal(100, d, seed=4)
    x, far = potential.gradient(z).detach(), 1e4 * normal(100, d, seed=5)
    for image in (x, far):
        back, converged = invert_from_afar(potential, image, torch.zeros_like(z), tolerance=1e-9)
        assert converged.all()
        error = (potential.gradient(back).detach() - image).norm(dim=1) / image.norm(dim=1)
        assert error.max() < 1e-3
    back, _ = invert_from_afar(potential, x, torch.zeros_like(z), tolerance=1e-9)
    torch.testing.assert_close(back, z, atol=1e-6, rtol=1e-6)


def test_newton_says_so_when_it_did_not_get_there() -> None:
    potential, x = rough_potential(2), 100 * normal(10, 2, seed=6)
    _, converged = invert(potential, x, torch.zeros_like(x), iterations=1, tolerance=1e-12)
    assert not converged.any()
    with pytest.raises(ArithmeticError, match="did not invert"):
        fitted(clusters(100, 2, 7), effort=0.02).log_prob(torch.full((1, 2), torch.nan, dtype=torch.float64))


def test_the_density_integrates_to_one_on_the_line(line: OTMap) -> None:
    x = torch.linspace(-6, 6, 6001, dtype=torch.float64)
    assert torch.trapezoid(line.log_prob(x[:, None]).exp(), x).item() == pytest.approx(1, abs=1e-5)


def test_the_density_integrates_to_one_in_the_plane(plane: OTMap) -> None:
    axis = torch.linspace(-4, 4, 201, dtype=torch.float64)
    density = plane.log_prob(torch.cartesian_prod(axis, axis)).exp().view(201, 201)
    assert torch.trapezoid(torch.trapezoid(density, axis), axis).item() == pytest.approx(1, abs=1e-3)


def test_the_density_is_the_change_of_variables_by_autograd(plane: OTMap) -> None:
    z = normal(50, 2, seed=8)

    def transport(point: Tensor) -> Tensor:
        return plane.shift + plane.scale * (plane.frame @ plane.potential.gradient((plane.frame @ point)[None])[0])

    jacobian = torch.func.vmap(torch.func.jacrev(transport))(z)
    expected = -0.5 * z.square().sum(1) - math.log(2 * math.pi) - torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(plane.log_prob(plane.transport(z)), expected, atol=1e-6, rtol=1e-6)
    # Brenier: the Jacobian of an optimal map is symmetric and positive definite.
    torch.testing.assert_close(jacobian, jacobian.mT, atol=1e-9, rtol=1e-9)
    assert torch.linalg.eigvalsh(jacobian).min() > 0


def test_the_map_is_optimal_for_the_images_it_makes(plane: OTMap) -> None:
    z = normal(300, 2, seed=9)
    plan = ot.emd(np.full(300, 1 / 300), np.full(300, 1 / 300), ot.dist(z.numpy(), plane.transport(z).numpy()))
    np.testing.assert_array_equal(plan.argmax(axis=1), np.arange(300))


def test_a_correlated_gaussian_gets_its_closed_form_map() -> None:
    factor = torch.tensor([[100.0, 0.0], [80.0, 1.0]], dtype=torch.float64)
    x = 5 + normal(20_000, 2, seed=10) @ factor.T
    zero, one = torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    A, b = ot.gaussian.bures_wasserstein_mapping(zero, zero + 5, one, factor @ factor.T)
    z = normal(1000, 2, seed=11)
    model = fitted(x, effort=0.05)
    error = (model.transport(z) - (z @ A + b)).square().sum(1).mean() / (factor @ factor.T).trace()
    assert error < 1e-3
    truth = torch.distributions.MultivariateNormal(zero + 5, scale_tril=factor)
    assert (truth.log_prob(x) - model.log_prob(x)).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("d", "bound"), [(2, 0.25), (6, 0.4)])
def test_a_known_map_is_found_better_than_by_the_linear_one(d: int, bound: float) -> None:
    known = rough_potential(d, seed=1)
    known.atoms.data.mul_(3)
    x, z = known.gradient(normal(5000, d, seed=12)).detach(), normal(4000, d, seed=13)
    truth = known.gradient(z).detach()
    root, bias = ot.gaussian.empirical_bures_wasserstein_mapping(normal(10_000, d, seed=14), x)

    def unexplained(image: Tensor) -> float:
        return float((image - truth).square().sum(1).mean() / truth.var(dim=0).sum())

    linear = unexplained(z @ root + bias)
    assert unexplained(fitted(x).transport(z)) < bound * linear


def test_samples_are_new_points_of_the_target(plane: OTMap) -> None:
    training, fresh, samples = clusters(4000, 2, 1), clusters(2000, 2, 30), plane.sample(2000, seeded(15))

    def nearest(points: Tensor) -> Tensor:
        return torch.cdist(points, training).amin(dim=1)

    assert nearest(samples).median() == pytest.approx(nearest(fresh).median().item(), rel=0.3)
    assert (nearest(samples) < 1e-6).sum() == 0
    assert (samples.sign() == -1).double().mean(dim=0) == pytest.approx([0.5, 0.5], abs=0.06)


def test_two_clusters_beat_the_gaussian(line: OTMap) -> None:
    fresh = clusters(2000, 1, 31)
    truth = torch.logsumexp(-0.5 * ((fresh - torch.tensor([-1.0, 1.0])) / 0.3).square(), dim=1)
    truth = truth - math.log(2 * 0.3 * math.sqrt(2 * math.pi))
    assert (truth - line.log_prob(fresh)).mean() < 0.1


def test_a_fit_is_a_function_of_its_data_and_generator() -> None:
    x = clusters(300, 2, 16)
    first, second, other = (fitted(x, effort=0.02, seed=seed) for seed in (1, 1, 2))
    torch.testing.assert_close(first.log_prob(x), second.log_prob(x), atol=0, rtol=0)
    torch.testing.assert_close(first.sample(5, seeded(1)), second.sample(5, seeded(1)), atol=0, rtol=0)
    assert not torch.equal(first.log_prob(x), other.log_prob(x))


def test_global_random_state_is_not_touched() -> None:
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    model = fitted(clusters(300, 2, 17), effort=0.02)
    model.log_prob(model.sample(10, seeded(0)))
    assert torch.equal(torch_before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_restored_model_is_the_model(d: int) -> None:
    x = clusters(300, d, 18)
    model, again = fitted(x, effort=0.02), OTMap()
    again.restore(model.state_dict(), d)
    torch.testing.assert_close(again.log_prob(x), model.log_prob(x), atol=0, rtol=0)
    torch.testing.assert_close(again.sample(7, seeded(3)), model.sample(7, seeded(3)), atol=0, rtol=0)


def test_sixty_four_dimensions() -> None:
    x = clusters(500, 64, 19)
    model = fitted(x, effort=0.02)
    assert model.sample(7, seeded(0)).shape == (7, 64)
    assert torch.isfinite(model.log_prob(x[:50])).all()


@pytest.mark.parametrize("spoil", ["constant column", "duplicates", "fifty rows"])
def test_awkward_data(spoil: str) -> None:
    x = clusters(50, 3, 20)
    if spoil == "constant column":
        x[:, 1] = 4.0
    elif spoil == "duplicates":
        x = x[:5].repeat(10, 1)
    model = fitted(x, effort=0.05)
    assert torch.isfinite(model.log_prob(x)).all()
    assert torch.isfinite(model.sample(100, seeded(0))).all()


def test_units_do_not_matter() -> None:
    x = clusters(500, 2, 21)
    small, large = fitted(x, effort=0.05), fitted(1e6 * x, effort=0.05)
    shifted = large.log_prob(1e6 * x) + 2 * math.log(1e6)
    torch.testing.assert_close(shifted.mean(), small.log_prob(x).mean(), atol=0.05, rtol=0)


def test_far_points_have_a_density(plane: OTMap) -> None:
    far = 1e3 * normal(20, 2, seed=22)
    log_prob = plane.log_prob(far)
    assert torch.isfinite(log_prob).all()
    assert (log_prob < -1e3).all()


@pytest.mark.parametrize(
    ("budget", "error", "message"),
    [
        (Budget(effort=0.05, parameters=10), ValueError, "parameters"),
        (Budget(effort=0.05, cpu_seconds=1e-3), BudgetExceededError, "CPU seconds"),
    ],
)
def test_the_budget_is_kept(budget: Budget, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OTMap().fit(clusters(300, 2, 23), seeded(0), budget)


def test_divergence_is_retried_once_and_then_reported() -> None:
    model, rates = OTMap(learning_rate=1e200), []
    train = model._maximise_likelihood

    def watched(*arguments: Any) -> History:
        rates.append(arguments[-1])
        return train(*arguments)

    model._maximise_likelihood = watched  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match="not finite"):
        model.fit(clusters(300, 2, 24), seeded(0), Budget(effort=0.05))
    assert rates == [1e200, pytest.approx(2e199)]


def test_a_fit_that_diverged_once_is_rescued_by_a_smaller_step() -> None:
    """The first attempt leaves the finite numbers; the second begins where the first did, and is kept."""
    model, starts = OTMap(), []
    train = model._maximise_likelihood

    def fails_at_first(*arguments: Any) -> History:
        starts.append({name: value.clone() for name, value in model.potential.state_dict().items()})
        if len(starts) == 1:
            model.potential.float().atoms.data.fill_(math.nan)
            raise DivergedError("as if")
        return train(*arguments)

    model._maximise_likelihood = fails_at_first  # type: ignore[method-assign]
    x = clusters(300, 2, 24)
    model.fit(x, seeded(0), Budget(effort=0.05))
    for name, value in starts[0].items():
        torch.testing.assert_close(starts[1][name], value, atol=0, rtol=0)
    assert torch.isfinite(model.log_prob(x)).all()


def test_the_start_counts_against_the_time_limit() -> None:
    """Before the first training step, and whatever the checkpoints are."""
    model = OTMap()
    model._maximise_likelihood = lambda *_: pytest.fail("trained past the limit")  # type: ignore[method-assign]
    with pytest.raises(BudgetExceededError, match="by the start"):
        model.fit(clusters(300, 2, 23), seeded(0), Budget(effort=0.05, cpu_seconds=1e-3))


def test_the_density_is_consistent_with_the_samples(plane: OTMap) -> None:
    """E log p over own samples is −entropy: by the grid's integral of p log p, within four standard errors."""
    at_samples = plane.log_prob(plane.sample(4000, seeded(40)))
    axis = torch.linspace(-4, 4, 201, dtype=torch.float64)
    log_prob = plane.log_prob(torch.cartesian_prod(axis, axis))
    negative_entropy = float((log_prob.exp() * log_prob).sum()) * float(axis[1] - axis[0]) ** 2
    standard_error = float(at_samples.std()) / math.sqrt(4000)
    assert abs(float(at_samples.mean()) - negative_entropy) < 4 * standard_error + 1e-3


@pytest.mark.parametrize("make", [lambda: OTMap(rank=0), lambda: OTMap(pieces=3, ridges=0), lambda: OTMap(steps=5)])
def test_hyper_parameters(make: Callable[[], OTMap]) -> None:
    x = clusters(300, 2, 25)
    model = make()
    history = model.fit(x, seeded(0), Budget(effort=0.1))
    assert len(history.step) == len(history.training) == len(history.validation) > 0
    assert torch.isfinite(model.log_prob(x)).all()
