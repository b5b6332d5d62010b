"""The closed-form Gaussian map: Bures–Wasserstein, against its definition and against other models of the same law."""

from __future__ import annotations

import ot
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from models.gaussian import Gaussian
from models.gaussian_ot import GaussianOT
from tests.models.fits import seeded


def correlated(n: int, d: int, seed: int) -> Tensor:
    noise = torch.randn(n + d, d, generator=seeded(seed), dtype=torch.float64)
    return 3 + noise[:n] @ noise[n:]


def fitted(x: Tensor) -> GaussianOT:
    model = GaussianOT()
    model.fit(x, seeded(0))
    return model


def test_the_matrix_is_the_symmetric_root_of_the_covariance() -> None:
    x = correlated(400, 5, 1)
    model = fitted(x)
    torch.testing.assert_close(model.matrix, model.matrix.T)
    assert (torch.linalg.eigvalsh(model.matrix) > 0).all()
    torch.testing.assert_close(model.matrix @ model.matrix, torch.cov(x.T, correction=0), rtol=1e-8, atol=1e-8)


def test_the_map_costs_the_bures_wasserstein_distance() -> None:
    """E|z − T(z)|² = |m|² + tr(I + S − 2 S^½), here by POT and by the moments of the map."""
    x = correlated(400, 4, 2)
    model = fitted(x)
    eye, origin = torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    distance = ot.gaussian.bures_wasserstein_distance(origin, x.mean(0), eye, torch.cov(x.T, correction=0))
    cost = (model.matrix - eye).square().sum() + model.shift.square().sum()
    torch.testing.assert_close(cost, distance.squeeze() ** 2)


def test_the_density_is_the_moment_matched_gaussians() -> None:
    x, points = correlated(400, 6, 3), correlated(50, 6, 4)
    exact = MultivariateNormal(x.mean(0), torch.cov(x.T, correction=0)).log_prob(points)
    torch.testing.assert_close(fitted(x).log_prob(points), exact, rtol=1e-6, atol=1e-6)


def test_the_map_is_that_of_the_moment_matched_gaussian() -> None:
    x, z = correlated(400, 3, 5), torch.randn(20, 3, generator=seeded(6), dtype=torch.float64)
    gaussian = Gaussian()
    gaussian.fit(x, seeded(0))
    torch.testing.assert_close(fitted(x).transport(z), gaussian.transport(z), rtol=1e-6, atol=1e-6)


def test_a_constant_column_stays_constant() -> None:
    x = correlated(100, 3, 7)
    x[:, 1] = 2.0
    sample = fitted(x).sample(500, seeded(1))
    assert (sample[:, 1] - 2).abs().max() < 1e-4 * float(x.std(0).max())
