"""A linear VAE, which is probabilistic principal component analysis: everything about it is known in closed form."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from models.base import Budget, History, LatentModel


class LinearVAE(LatentModel):
    """x = W z + b + σ ε. The encoder is the exact posterior, moved by `shift` of its deviations, its covariance
    scaled by `widen`², and made diagonal on request (with the variances that are best for the ELBO)."""

    def __init__(
        self, k: int, d: int, seed: int = 0, sigma: float = 0.3, shift: float = 0.0, widen: float = 1.0, diagonal=False
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(d, k, generator=generator, dtype=torch.float64) / k**0.5
        self.bias = torch.randn(d, generator=generator, dtype=torch.float64)
        self.sigma = sigma
        precision = torch.eye(k, dtype=torch.float64) + self.weight.T @ self.weight / sigma**2
        self.exact_covariance = torch.linalg.inv(precision)
        covariance = torch.diag(1 / precision.diagonal()) if diagonal else self.exact_covariance
        self.covariance = widen**2 * covariance
        self.offset = shift * self.exact_covariance.diagonal().sqrt()
        self.diagonal = diagonal

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        return History()

    def prior(self) -> Distribution:
        zero = torch.zeros(self.weight.shape[1], dtype=torch.float64)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        mean = z @ self.weight.T + self.bias
        return Independent(Normal(mean, torch.full_like(mean, self.sigma)), 1)

    def posterior_mean(self, x: Tensor) -> Tensor:
        return (x - self.bias) @ self.weight @ self.exact_covariance / self.sigma**2

    def posterior(self, x: Tensor) -> Distribution:
        mean = self.posterior_mean(x) + self.offset
        if self.diagonal:
            return Independent(Normal(mean, self.covariance.diagonal().sqrt().expand_as(mean)), 1)
        return MultivariateNormal(mean, self.covariance)

    def marginal(self) -> MultivariateNormal:
        d = len(self.bias)
        noise = self.sigma**2 * torch.eye(d, dtype=torch.float64)
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + noise)

    def exact_log_prob(self, x: Tensor) -> Tensor:
        return self.marginal().log_prob(x)

    def exact_gap(self) -> float:
        """log p(x) − ELBO(x) = KL(q(z|x) ‖ p(z|x)), the same for every x."""
        p = MultivariateNormal(torch.zeros(len(self.offset), dtype=torch.float64), self.exact_covariance)
        q = MultivariateNormal(self.offset, self.covariance)
        return float(torch.distributions.kl_divergence(q, p))
