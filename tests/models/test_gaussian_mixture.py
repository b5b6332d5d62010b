"""The mixture of Gaussians: it finds a mixture that is there, and its density is the one that its parameters say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal

from models.base import Budget
from models.gaussian_mixture import GaussianMixture, fit_mixture, normal_mixture
from tests.models.fits import normal, seeded


def three_clusters(n: int, seed: int) -> Tensor:
    centre = torch.tensor([[0.0, 5.0], [-4.0, -3.0], [4.0, -3.0]], dtype=torch.float64)
    return centre[torch.randint(3, (n,), generator=seeded(seed))] + 0.5 * normal(n, 2, seed=seed + 1)


def fitted(x: Tensor, **arguments: int) -> GaussianMixture:
    model = GaussianMixture(**arguments)
    model.fit(x, seeded(0))
    return model


def test_a_mixture_is_found() -> None:
    """KL(p* ‖ p) of a maximum-likelihood fit is its number of parameters over 2n (Wilks), for 8 components 47/5400."""
    model, test = fitted(three_clusters(3000, 1)), three_clusters(4000, 9)
    factors = 0.5 * torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    centre = torch.tensor([[0.0, 5.0], [-4.0, -3.0], [4.0, -3.0]], dtype=torch.float64)
    truth = normal_mixture(torch.full((3,), 1 / 3, dtype=torch.float64), centre, factors).log_prob(test)
    gap = truth - model.log_prob(test)
    assert len(model.weights) <= 8
    assert float(gap.mean()) < 47 / 5400 + 4 * float(gap.std()) / math.sqrt(len(gap))


def test_log_prob_is_that_of_scipy() -> None:
    model, x = fitted(three_clusters(600, 1)), three_clusters(20, 2)
    densities = [
        weight * multivariate_normal(mean.numpy(), (factor @ factor.T).numpy()).pdf(x.numpy())
        for weight, mean, factor in zip(model.weights.numpy(), model.means, model.scale_trils, strict=True)
    ]
    np.testing.assert_allclose(model.log_prob(x).numpy(), np.log(np.sum(densities, axis=0)), rtol=1e-9)


@pytest.mark.parametrize("d", [1, 4])
def test_on_gaussian_data_it_is_as_good_as_the_moments(d: int) -> None:
    x, test = (3 + normal(3000, d, seed=seed) @ normal(d, d, seed=2) for seed in (1, 8))
    moments = MultivariateNormal(x.mean(0), torch.cov(x.T).view(d, d))
    assert float((moments.log_prob(test) - fitted(x).log_prob(test)).mean()) < 0.01


def test_samples_have_the_moments_of_the_density() -> None:
    model = fitted(three_clusters(3000, 1))
    x = model.sample(20_000, seeded(3))
    p = model.distribution()
    error = p.variance.sqrt() / math.sqrt(len(x))
    assert ((x.mean(0) - p.mean).abs() < 4 * error).all()
    torch.testing.assert_close(x.var(0), p.variance, rtol=0.05, atol=0)


def test_units_and_offsets_cost_nothing() -> None:
    x, test = three_clusters(1000, 1), three_clusters(50, 2)
    here, there = fitted(x), fitted(1000 * x - 5e5)
    torch.testing.assert_close(
        there.log_prob(1000 * test - 5e5), here.log_prob(test) - 2 * math.log(1000), rtol=0, atol=1e-3
    )


def test_factors_are_cholesky_factors() -> None:
    _, _, factors = fit_mixture(three_clusters(500, 1) @ normal(2, 2, seed=5), 4, 20, seeded(0))
    torch.testing.assert_close(torch.linalg.cholesky(factors @ factors.mT), factors)


def test_components_and_iterations_are_bounds() -> None:
    assert len(fitted(three_clusters(1000, 1), components=2).weights) <= 2
    few = GaussianMixture()
    few.fit(three_clusters(1000, 1), seeded(0), Budget(effort=0.01))
    assert few.log_prob(three_clusters(10, 2)).isfinite().all()


def test_a_handful_of_rows_and_a_constant_column() -> None:
    x = normal(12, 3, seed=1)
    x[:, 1] = 7.0
    model = fitted(x)
    assert model.log_prob(x).isfinite().all()
    assert model.sample(10, seeded(1)).isfinite().all()
