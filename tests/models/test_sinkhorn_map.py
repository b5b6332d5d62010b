"""The entropic map: the conditional means of POT's plan, the gradient of a convex function, near the known map."""

from __future__ import annotations

import math

import ot
import pytest
import torch

from benchmarks import lookup
from models.base import Budget
from models.sinkhorn_map import SinkhornMap, _entropic_map, _sinkhorn, _sobol_normal
from tests.models.fits import normal, seeded


@pytest.fixture(scope="module")
def plane() -> SinkhornMap:
    model = SinkhornMap(sources=512, atoms=600, held_out=200)
    model.fit(normal(2000, 2, seed=1) * torch.tensor([2.0, 0.5], dtype=torch.float64), seeded(0))
    return model


def test_at_the_sources_the_map_is_the_conditional_mean_of_the_plan() -> None:
    """Against POT's plain Sinkhorn: T(z_i) = Σ_j P_ij y_j / Σ_j P_ij."""
    z, y = normal(60, 2, seed=1), 2 * normal(80, 2, seed=2)
    cost, epsilon = torch.cdist(z, y).square(), 0.5
    potentials = _sinkhorn(cost, epsilon, 2000, None)
    plan = ot.sinkhorn(torch.full((60,), 1 / 60).double(), torch.full((80,), 1 / 80).double(), cost, epsilon)
    mean = plan @ y / plan.sum(1, keepdim=True)
    torch.testing.assert_close(_entropic_map(z, y, potentials[1], epsilon), mean, rtol=1e-5, atol=1e-5)


def test_annealed_potentials_are_those_from_a_cold_start() -> None:
    z, y = normal(300, 2, seed=3), normal(300, 2, seed=4) + 1
    cost = torch.cdist(z, y).square()
    start = None
    for epsilon in (2.0, 1.0, 0.5, 0.25):
        start = _sinkhorn(cost, epsilon, 200, start)
    cold = _sinkhorn(cost, 0.25, 3000, None)
    points = normal(50, 2, seed=5)
    torch.testing.assert_close(
        _entropic_map(points, y, start[1], 0.25), _entropic_map(points, y, cold[1], 0.25), rtol=0, atol=1e-3
    )


def test_the_map_is_the_gradient_of_a_convex_function(plane: SinkhornMap) -> None:
    """Its Jacobian is symmetric and positive semi-definite: 2 Cov_w(y)/ε."""
    z = normal(20, 2, seed=6)
    jacobian = torch.stack([torch.func.jacfwd(lambda point: plane.transport(point[None])[0])(point) for point in z])
    torch.testing.assert_close(jacobian, jacobian.mT, rtol=1e-6, atol=1e-8)
    assert (torch.linalg.eigvalsh(jacobian) > -1e-9).all()


def test_a_gaussian_gets_nearly_the_linear_map(plane: SinkhornMap) -> None:
    z = normal(2000, 2, seed=7)
    exact = z * torch.tensor([2.0, 0.5], dtype=torch.float64)
    error = (plane.transport(z) - exact).square().sum(1).mean() / exact.square().sum(1).mean()
    assert error < 0.03


def test_it_is_nearer_to_a_known_map_than_the_linear_one() -> None:
    target = lookup.find("target", "brenier_2d").load()()
    x, z = target.sample(3000, seeded(1)), normal(2000, 2, seed=8)
    exact = target.transport(z)
    model = SinkhornMap(sources=512, atoms=1500, held_out=200)
    model.fit(x, seeded(0))
    error = (model.transport(z) - exact).square().sum(1).mean() / exact.var(0).sum()
    design = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    residual = exact - design @ torch.linalg.lstsq(design, exact).solution
    assert error < residual.square().sum(1).mean() / exact.var(0).sum() / 5


def test_samples_stay_in_the_hull_of_the_training_points(plane: SinkhornMap) -> None:
    atoms = plane.shift + plane.scale * plane.atoms
    sample = plane.sample(1000, seeded(3))
    assert (sample >= atoms.amin(0)).all()
    assert (sample <= atoms.amax(0)).all()


def test_sobol_points_have_the_moments_of_the_normal_law_to_better_than_chance() -> None:
    z = _sobol_normal(1024, 3, seeded(1))
    assert z.mean(0).abs().max() < 1 / math.sqrt(1024) / 3
    assert (z.var(0) - 1).abs().max() < 0.03
    assert torch.equal(z, _sobol_normal(1024, 3, seeded(1)))


def test_few_rows_and_a_constant_column() -> None:
    x = normal(20, 3, seed=9)
    x[:, 1] = 4.0
    model = SinkhornMap()
    model.fit(x, seeded(0), Budget(effort=0.02))
    sample = model.sample(50, seeded(1))
    assert sample.isfinite().all()
    assert (sample[:, 1] - 4).abs().max() < 1e-9
