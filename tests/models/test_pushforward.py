"""The law of T(ε) against closed forms: where T is affine it is a multivariate normal, one for each of the batch."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import MultivariateNormal

from models.base import draw
from models.pushforward import Pushforward, standard_normal_log_prob
from tests.models.fits import seeded


def affine(batch: tuple[int, ...], k: int) -> tuple[Pushforward, MultivariateNormal]:
    """x = m + L ε, one m and one triangular L for each of the batch, and the same law as torch has it."""
    shift = torch.randn(*batch, k, generator=seeded(1), dtype=torch.float64)
    lower = torch.randn(*batch, k, k, generator=seeded(2), dtype=torch.float64).tril(-1)
    lower = lower + torch.diag_embed(torch.rand(*batch, k, generator=seeded(3), dtype=torch.float64) + 0.5)
    log_det = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def push(noise: Tensor) -> tuple[Tensor, Tensor]:
        return shift + (lower @ noise[..., None])[..., 0], log_det.expand(noise.shape[:-1])

    def pull(x: Tensor) -> tuple[Tensor, Tensor]:
        noise = torch.linalg.solve_triangular(lower, (x - shift)[..., None], upper=False)[..., 0]
        return noise, -log_det.expand(x.shape[:-1])

    law = Pushforward(push, pull, torch.Size(batch), torch.zeros(k, dtype=torch.float64))
    return law, MultivariateNormal(shift, scale_tril=lower)


CASES = [((), 1), ((), 3), ((4,), 2), ((2, 3), 2)]


@pytest.mark.parametrize(("batch", "k"), CASES)
def test_log_prob_of_an_affine_map_is_the_multivariate_normals(batch, k):
    law, normal = affine(batch, k)
    assert law.batch_shape == batch
    assert law.event_shape == (k,)
    x = 2 * torch.randn(50, *batch, k, generator=seeded(4), dtype=torch.float64)
    torch.testing.assert_close(law.log_prob(x), normal.log_prob(x))


@pytest.mark.parametrize(("batch", "k"), CASES)
def test_draws_of_an_affine_map_have_its_law(batch, k):
    """Undone by the normal's own Cholesky factor, draws are N(0, I): by their moments and by Kolmogorov–Smirnov."""
    law, normal = affine(batch, k)
    x = draw(law, (4000,), seeded(5))
    assert x.shape == (4000, *batch, k)
    lower = normal.scale_tril
    noise = torch.linalg.solve_triangular(lower, (x - normal.loc)[..., None], upper=False)[..., 0].flatten(1)
    assert noise.mean(0).abs().max() < 4 / math.sqrt(4000)
    covariance = torch.cov(noise.T).view(noise.shape[1], -1)
    assert (covariance - torch.eye(len(covariance))).abs().max() < 4 * math.sqrt(2 / 4000)
    assert all(stats.kstest(column, "norm").pvalue > 1e-3 for column in noise.T)


@pytest.mark.parametrize(("batch", "k"), CASES)
def test_draws_come_with_their_log_prob(batch, k):
    law, normal = affine(batch, k)
    x, log_prob = law.draw_with_log_prob((7,), seeded(6))
    assert torch.equal(x, law.draw((7,), seeded(6)))
    torch.testing.assert_close(log_prob, law.log_prob(x))
    torch.testing.assert_close(log_prob, normal.log_prob(x))


@pytest.mark.parametrize(("batch", "k"), CASES)
def test_mean_and_variance_are_near_the_closed_form(batch, k):
    """The nodes are antithetic, so the mean of an affine map is exact; its variance is that of 64 quasi-random ε."""
    law, normal = affine(batch, k)
    torch.testing.assert_close(law.mean, normal.mean)
    torch.testing.assert_close(law.variance, normal.variance, rtol=0.2, atol=0)


def test_a_map_that_is_not_affine_changes_variables():
    """x = exp(ε) is log-normal."""
    law = Pushforward(
        lambda noise: (noise.exp(), noise.sum(-1)),
        lambda x: (x.log(), -x.log().sum(-1)),
        torch.Size(),
        torch.zeros(2, dtype=torch.float64),
    )
    x = law.draw((100,), seeded())
    expected = torch.distributions.LogNormal(torch.zeros(2, dtype=torch.float64), 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(law.log_prob(x), expected)


def test_gradients_flow_through_draws():
    """∂/∂m of E (m + ε)² is 2 m on average over ε, exactly 2 (m + ε) for each."""
    m = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    law = Pushforward(
        lambda noise: (m + noise, noise.new_zeros(noise.shape[:-1])),
        lambda x: (x - m, x.new_zeros(x.shape[:-1])),
        torch.Size(),
        zero,
    )
    x = law.draw((10,), seeded())
    (gradient,) = torch.autograd.grad(x.square().sum(), m)
    torch.testing.assert_close(gradient, 2 * x.detach().sum(0))


def test_the_standard_normal():
    noise = torch.randn(5, 3, generator=seeded(), dtype=torch.float64)
    expected = MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(standard_normal_log_prob(noise), expected.log_prob(noise))
