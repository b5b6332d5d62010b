"""Whether prior, likelihood and posterior of a latent model are distributions, and its ELBO a lower bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from benchmarks.checks.check import Make, check, fail
from benchmarks.checks.density import Z_LIMIT, assert_same_law
from benchmarks.checks.fits import (
    IMPORTANCE_SAMPLES,
    INDEPENDENT_NODES,
    LONGER,
    bank,
    fitted,
    seeded,
    skewed,
)
from benchmarks.checks.nodes import independent
from metrics import likelihood
from metrics.modes import log_joint
from models.base import LatentModel, draw

ELBO_DRAWS = 400
QUADRATURE_ERROR = 2e-3  # of log p at a point, where it is not estimated by sampling


def _latent(make: Make, d: int) -> LatentModel:
    model = fitted(make, d, LONGER)
    assert isinstance(model, LatentModel)
    return model


@check(LatentModel, after=("shapes",))
def latent_shapes(make: Make) -> None:
    """The event is a vector, z or x, and every leading dimension is a batch: none, one or two of them."""
    for d in (1, 2, 5):
        model = _latent(make, d)
        prior = model.prior()
        if len(prior.event_shape) != 1 or len(prior.batch_shape) != 0:
            fail(
                make, "prior", "batch shape () and event shape (k,); `Independent` makes events of batches", _of(prior)
            )
        x = skewed(15, d, seed=2)
        z = draw(prior, (15,), seeded(3))
        for leading in ((), (5,), (3, 5)):
            count = math.prod(leading)
            for method, law, event in (
                ("likelihood", model.likelihood(z[:count].view(*leading, -1)), (d,)),
                ("posterior", model.posterior(x[:count].view(*leading, -1)), tuple(prior.event_shape)),
            ):
                if tuple(law.batch_shape) != leading or tuple(law.event_shape) != event:
                    fail(make, method, f"batch shape {leading} and event shape {event}", _of(law))


def _of(law: Distribution) -> str:
    return f"batch shape {tuple(law.batch_shape)} and event shape {tuple(law.event_shape)}"


@check(LatentModel, after=("shapes", "latent_shapes", "finite"))
def proper_laws(make: Make) -> None:
    """p(z), p(x|z) and q(z|x) each have mass 1, and the expectations of what `draw` makes of them."""
    for d in (1, 2):
        model = _latent(make, d)
        points = skewed(2, d, seed=2)
        z = draw(model.prior(), (1,), seeded(1))[0]
        laws = [("prior", model.prior()), ("likelihood", model.likelihood(z))]
        laws += [("posterior", model.posterior(x)) for x in points]
        for seed, (method, law) in enumerate(laws):
            samples = draw(law, (4000,), seeded(seed))
            found = independent(samples[:2000], law.log_prob, INDEPENDENT_NODES, seeded(seed + 10))
            total, error = found.integral(torch.ones_like(found.log_prob))
            if not abs(total - 1) < Z_LIMIT * min(error, 0.05):
                fail(
                    make, method, f"a distribution of mass 1, for data in {d} dimensions", f"{total:.4g} ± {error:.1g}"
                )
            assert_same_law(make, method, samples, found)


@check(LatentModel, after=("shapes", "latent_shapes", "finite", "proper_laws"))
def elbo_bound(make: Make) -> None:
    """ELBO(x) ≤ log p(x), on average and at each point, at points of the data and away from them."""
    for d in (1, 2, 5):
        model = _latent(make, d)
        x = torch.cat([skewed(60, d, seed=3), skewed(20, d, seed=4) + 1])
        estimate = likelihood.log_prob(model, x, IMPORTANCE_SAMPLES, bank(make, d), seeded(5))
        q = model.posterior(x)
        z = draw(q, (ELBO_DRAWS,), seeded(6))
        summand = log_joint(model, x, z) - q.log_prob(z)
        gap = estimate.log_prob - summand.mean(0)
        variance = summand.var(0) / len(summand) + estimate.variance
        average = float(variance.mean()) ** 0.5 / math.sqrt(len(x))
        if not float(gap.mean()) > -Z_LIMIT * average - QUADRATURE_ERROR:
            _above(make, d, "on average", gap.mean(), average)
        worst = (gap + (Z_LIMIT + 1) * variance.sqrt()).argmin()
        if not float(gap[worst]) > -(Z_LIMIT + 1) * float(variance[worst]) ** 0.5 - QUADRATURE_ERROR:
            _above(make, d, "at one point", gap[worst], float(variance[worst]) ** 0.5)


def _above(make: Make, d: int, place: str, gap: Tensor, error: float) -> None:
    got = f"an ELBO that is {-float(gap):.3g} ± {error:.1g} nats above it {place}"
    fail(make, "posterior", f"ELBO ≤ log p in {d} dimensions", got)


CHECKS = (latent_shapes, proper_laws, elbo_bound)
