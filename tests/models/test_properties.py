"""What is true of every latent model's bound in the harness; all else is said by the checks (benchmarks/checks)."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks import lookup
from metrics import likelihood
from metrics.modes import log_joint
from models.base import LatentModel, draw
from tests.models.fits import new, seeded, skewed, trained

LATENT = [name for name in sorted(lookup.available("model")) if isinstance(new(name), LatentModel)]
DRAWS = 400


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("d", [1, 2])
def test_the_elbo_of_the_harness_is_that_of_its_definition(name, d):
    """The mean of `likelihood.elbo`, by antithetic draws, against plain Monte Carlo, within eight standard errors."""
    model = trained(new(name), skewed(400, d), effort=0.02)
    x = skewed(60, d, seed=3)
    q = model.posterior(x)
    z = draw(q, (DRAWS,), seeded(6))
    summand = log_joint(model, x, z) - q.log_prob(z)
    noise = float((summand.var(0) / likelihood.ELBO_DRAWS).mean()) ** 0.5 / math.sqrt(len(x))
    elbo = likelihood.elbo(model, x, seeded(7))
    assert abs(float(elbo.mean() - summand.mean())) < 8 * noise + 1e-8
    torch.testing.assert_close(log_joint(model, x, z)[1], log_joint(model, x, z[1]), rtol=1e-8, atol=1e-8)
