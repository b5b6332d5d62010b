"""The known transport maps: gradients of convex functions, differentiated by other means than their own."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.targets.transport import Brenier, Brenier2D, Brenier8D, Brenier32D

TARGETS = [Brenier2D, Brenier8D, Brenier32D]


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def brenier(request) -> Brenier:
    return request.param()


def latents(brenier: Brenier, n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, brenier.dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def potential(brenier: Brenier, z: torch.Tensor) -> torch.Tensor:
    """φ(z), (), for one point z (d,), written out from the class's docstring."""
    height = brenier._directions @ z - brenier._offsets
    s = brenier.sharpness
    hinge = height * torch.special.ndtr(s * height) + (-0.5 * (s * height) ** 2).exp() / (s * math.sqrt(2 * math.pi))
    return brenier.slope / 2 * z @ z + brenier.jump * hinge.sum()


def test_the_map_is_the_gradient_of_the_potential(brenier):
    z = latents(brenier, 50)
    gradient = torch.func.vmap(torch.func.grad(lambda point: potential(brenier, point)))(z)
    torch.testing.assert_close(brenier.transport(z), gradient, rtol=1e-11, atol=1e-11)


def test_the_jacobian_is_symmetric_positive_definite_and_autograds(brenier):
    z = latents(brenier, 50)
    autograd = torch.func.vmap(torch.func.jacrev(lambda point: brenier.transport(point[None])[0]))(z)
    torch.testing.assert_close(brenier.jacobian(z), autograd, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(autograd, autograd.mT, rtol=1e-10, atol=1e-10)
    assert (torch.linalg.eigvalsh(autograd) >= brenier.slope - 1e-10).all()


def test_the_density_is_the_change_of_variables(brenier):
    z = latents(brenier, 50)
    autograd = torch.func.vmap(torch.func.jacrev(lambda point: brenier.transport(point[None])[0]))(z)
    source = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0).log_prob(z).sum(dim=1)
    expected = source - torch.linalg.slogdet(autograd).logabsdet
    torch.testing.assert_close(brenier.log_prob(brenier.transport(z)), expected, rtol=1e-9, atol=1e-9)


def test_the_inverse_undoes_the_map_near_and_far(brenier):
    for scale in (1.0, 5.0, 100.0):
        z = scale * latents(brenier, 200)
        torch.testing.assert_close(brenier.inverse(brenier.transport(z)), z, rtol=1e-10, atol=1e-10)


def test_samples_are_transported_gaussians(brenier):
    generators = (torch.Generator().manual_seed(4) for _ in range(2))
    z = torch.randn(100, brenier.dimension, generator=next(generators), dtype=torch.float64)
    assert torch.equal(brenier.sample(100, next(generators)), brenier.transport(z))


def test_the_mean_is_known(brenier):
    """E ∇φ(z) and E ∇²φ(z) in closed form, which start the Newton solve, against an average."""
    z = latents(brenier, 20_000, seed=5)
    y, jacobian = brenier.transport(z), brenier.jacobian(z)
    assert ((y.mean(dim=0) - brenier._mean).abs() < 5 * y.std(dim=0) / math.sqrt(len(z))).all()
    assert ((jacobian.mean(dim=0) - brenier._mean_jacobian).abs() < 5 * jacobian.std(dim=0) / math.sqrt(len(z))).all()


def test_the_map_is_clearly_not_linear(brenier):
    """The best affine map leaves more than a twentieth of the variance unexplained (L2-UVP above 5 %)."""
    z = latents(brenier, 10_000)
    y = brenier.transport(z)
    y = y - y.mean(dim=0)
    residual = y - z @ torch.linalg.lstsq(z, y).solution
    assert residual.square().sum() / y.square().sum() > 0.05


def test_the_map_is_optimal_on_its_own_samples(brenier):
    """Cyclical monotonicity: no assignment of images to points is cheaper than the map's."""
    from scipy.optimize import linear_sum_assignment

    z = latents(brenier, 300)
    cost = torch.cdist(z, brenier.transport(z)).square()
    rows, columns = linear_sum_assignment(cost.numpy())
    assert (rows == columns).all()


def test_the_density_has_the_right_gradient():
    """The inverse is found by iteration, and autograd must still see it."""
    brenier = Brenier2D()
    x = brenier.sample(4, torch.Generator().manual_seed(0)).requires_grad_(True)
    assert torch.autograd.gradcheck(brenier.log_prob, x, atol=1e-4)


def test_nothing_hangs_on_nan():
    x = torch.full((3, 2), math.nan, dtype=torch.float64)
    assert Brenier2D().log_prob(x).isnan().all()
