"""The moment-matched Gaussian: the score of not trying, and the frame that every table is read against."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal

from models.base import Budget, DensityModel, History, TransportModel, draw


class Gaussian(DensityModel, TransportModel):
    """N(m, S) with the mean and covariance of the training set: its maximum-likelihood Gaussian."""

    mean: Tensor
    scale_tril: Tensor

    def build(self, x: Tensor, generator: Generator) -> None:
        """Moments of x (n, d). A direction without spread gets the smallest spread that double precision can invert."""
        mean = x.mean(dim=0)
        covariance = (x - mean).T @ (x - mean) / len(x)
        jitter = 1e-12 * covariance.diagonal().max().clamp_min(1e-300)
        self.register_buffer("mean", mean)
        self.register_buffer(
            "scale_tril", torch.linalg.cholesky(covariance + jitter * torch.eye(x.shape[1], dtype=x.dtype))
        )

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Match the moments of x (n, d)."""
        self.build(x, generator)
        return History()

    def _distribution(self) -> MultivariateNormal:
        return MultivariateNormal(self.mean, scale_tril=self.scale_tril, validate_args=False)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n samples, (n, d)."""
        return draw(self._distribution(), (n,), generator)

    def transport(self, z: Tensor) -> Tensor:
        """m + S^½ z, (n, d): the optimal map from N(0, I) to N(m, S), for z (n, d)."""
        values, vectors = torch.linalg.eigh(self.scale_tril @ self.scale_tril.mT)
        return self.mean + z @ (vectors * values.clamp_min(0).sqrt()) @ vectors.mT

    def log_prob(self, x: Tensor) -> Tensor:
        """The normal log-density, (n,)."""
        return self._distribution().log_prob(x)
