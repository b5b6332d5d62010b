"""Draws of mixtures, batched or not, have the law that torch gives them; what has no draw is refused by name."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Gamma,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from models.base import draw
from tests.models.fits import normal, seeded

K, N = 3, 4000


def mixture(batch: tuple[int, ...], components: Distribution) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(logits=normal(*batch, K, seed=4)), components)


def diagonal(*shape: int) -> Normal:
    return Normal(3 * normal(*shape, seed=5), 0.2 + normal(*shape, seed=6).abs())


def full(*batch: int) -> MultivariateNormal:
    lower = normal(*batch, 2, 2, seed=7).tril(-1) + torch.diag_embed(0.2 + normal(*batch, 2, seed=8).abs())
    return MultivariateNormal(3 * normal(*batch, 2, seed=9), scale_tril=lower)


MIXTURES = {
    "scalars": mixture((), diagonal(K)),
    "diagonal": mixture((), Independent(diagonal(K, 2), 1)),
    "full": mixture((), full(K)),
    "a batch of scalars": mixture((4,), diagonal(4, K)),
    "a batch of diagonal ones": mixture((2, 4), Independent(diagonal(2, 4, K, 2), 1)),
    "a batch of full ones": mixture((4,), full(4, K)),
    "a batch with the same weights": mixture((), full(4, K)),
}


def projected(law: MixtureSameFamily, x: Tensor) -> Tensor:
    """For each of the batch, P(a·X ≤ a·x) in closed form, a = (1, −1) for pairs and 1 for scalars: uniform for X."""
    match law.component_distribution:
        case MultivariateNormal() as parts:
            a = torch.tensor([1.0, -1.0], dtype=torch.float64)
            loc, scale = parts.loc @ a, (a @ parts.scale_tril).norm(dim=-1)
            x = x @ a
        case Independent() as parts:
            a = torch.tensor([1.0, -1.0], dtype=torch.float64)
            loc, scale = parts.base_dist.loc @ a, parts.base_dist.scale.norm(dim=-1)
            x = x @ a
        case parts:
            loc, scale = parts.loc, parts.scale
    return (law.mixture_distribution.probs * torch.special.ndtr((x[..., None] - loc) / scale)).sum(-1)


@pytest.mark.parametrize("name", MIXTURES)
def test_draws_of_a_mixture_have_its_law(name):
    law = MIXTURES[name]
    x = draw(law, (N,), seeded(1))
    assert x.shape == (N, *law.batch_shape, *law.event_shape)
    uniform = projected(law, x).view(N, -1)
    assert all(stats.kstest(column, "uniform").pvalue > 1e-3 for column in uniform.T)
    # Elements of a batch are drawn independently of each other.
    correlation = torch.corrcoef(uniform.T).view(uniform.shape[1], -1) - torch.eye(uniform.shape[1])
    assert correlation.abs().max() < 4.5 / math.sqrt(N)


@pytest.mark.parametrize("name", MIXTURES)
def test_draws_of_a_mixture_have_every_shape(name):
    law = MIXTURES[name]
    for shape in ((), (1,), (2, 3)):
        assert draw(law, shape, seeded(1)).shape == (*shape, *law.batch_shape, *law.event_shape)


def test_gradients_flow_through_location_and_scale():
    loc, scale = normal(K).requires_grad_(), torch.ones(K, dtype=torch.float64, requires_grad=True)
    law = MixtureSameFamily(Categorical(torch.ones(K).double()), Normal(loc, scale))
    x = draw(law, (N,), seeded(2))
    by_loc, by_scale = torch.autograd.grad(x.sum(), (loc, scale))
    assert float(by_loc.sum()) == N
    assert float((by_loc * loc + by_scale).sum().detach()) == pytest.approx(float(x.sum().detach()))


@pytest.mark.parametrize("batch", [(), (4,)])
def test_what_cannot_be_drawn_is_named(batch):
    gamma = Gamma(torch.ones(*batch, K), torch.ones(*batch, K))
    for law in (gamma, Independent(gamma, 1), MixtureSameFamily(Categorical(torch.ones(K)), gamma)):
        with pytest.raises(TypeError, match="cannot draw from Gamma with a generator; use Normal"):
            draw(law, (2,), seeded())
