"""A linear VAE, which is probabilistic principal component analysis: everything about it is known in closed form."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from models.base import Budget, History, LatentModel


class LinearVAE(LatentModel):
    """x = W z + b + σ ε. The encoder is the exact posterior, moved by `shift` of its deviations, its covariance
    scaled by `widen`², made diagonal on request (with the variances that are best for the ELBO), and `rotated`
    at random, which keeps the spectrum of the covariance and loses its orientation. Rotation makes it full."""

    def __init__(
        self,
        k: int,
        d: int,
        seed: int = 0,
        sigma: float = 0.3,
        shift: float = 0.0,
        widen: float = 1.0,
        diagonal: bool = False,
        rotated: bool = False,
    ) -> None:
        if rotated and diagonal:
            raise ValueError("a diagonal covariance that is rotated is not diagonal: choose one of the two")
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(d, k, generator=generator, dtype=torch.float64) / k**0.5
        self.bias = torch.randn(d, generator=generator, dtype=torch.float64)
        self.sigma = sigma
        precision = torch.eye(k, dtype=torch.float64) + self.weight.T @ self.weight / sigma**2
        self.exact_covariance = torch.linalg.inv(precision)
        covariance = torch.diag(1 / precision.diagonal()) if diagonal else self.exact_covariance
        if rotated:
            rotation = torch.linalg.qr(torch.randn(k, k, generator=generator, dtype=torch.float64))[0]
            covariance = rotation @ covariance @ rotation.T
            covariance = (covariance + covariance.T) / 2
        self.covariance = widen**2 * covariance
        self.offset = shift * self.exact_covariance.diagonal().sqrt()
        self.diagonal = diagonal

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Nothing to fit: the parameters are drawn from `seed`."""
        return History()

    def prior(self) -> Distribution:
        """p(z) = N(0, I)."""
        zero = torch.zeros(self.weight.shape[1], dtype=torch.float64)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x|z) = N(W z + b, σ²)."""
        mean = z @ self.weight.T + self.bias
        return Independent(Normal(mean, torch.full_like(mean, self.sigma)), 1)

    def posterior_mean(self, x: Tensor) -> Tensor:
        """The exact mean (..., k) of p(z|x), for x (..., d)."""
        return (x - self.bias) @ self.weight @ self.exact_covariance / self.sigma**2

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x): the exact posterior, spoilt as asked for."""
        mean = self.posterior_mean(x) + self.offset
        if self.diagonal:
            return Independent(Normal(mean, self.covariance.diagonal().sqrt().expand_as(mean)), 1)
        return MultivariateNormal(mean, self.covariance)

    def marginal(self) -> MultivariateNormal:
        """p(x) = N(b, W Wᵀ + σ²)."""
        d = len(self.bias)
        noise = self.sigma**2 * torch.eye(d, dtype=torch.float64)
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + noise)

    def exact_log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (n,), for x (n, d)."""
        return self.marginal().log_prob(x)

    def exact_gap(self) -> float:
        """log p(x) − ELBO(x) = KL(q(z|x) ‖ p(z|x)), the same for every x."""
        p = MultivariateNormal(torch.zeros(len(self.offset), dtype=torch.float64), self.exact_covariance)
        q = MultivariateNormal(self.offset, self.covariance)
        return float(torch.distributions.kl_divergence(q, p))

    def exact_approximation_gap(self) -> float:
        """log p(x) − ELBO of the best q of the encoder's family, the same for every x.

        Of diagonal ones that is the normal with the posterior's mean and its conditional variances, 1 / Λ_ii for the
        precision Λ: ½ (Σ log Λ_ii − log det Λ). A full one is the posterior itself: 0.
        """
        if not self.diagonal:
            return 0.0
        precision = torch.linalg.inv(self.exact_covariance)
        return float(precision.diagonal().log().sum() - torch.logdet(precision)) / 2

    def exact_amortisation_gap(self) -> float:
        """ELBO of the best q of the encoder's family − ELBO of the encoder, the same for every x.

        E log p(x, z) − log q(z) is quadratic in the mean and, for diagonal q, separate in the variances: with
        r_i = s_i² Λ_ii and the offset δ, what is lost is ½ [δᵀ Λ δ + Σ (r_i − 1 − log r_i)]. For full q with
        covariance S, the r_i are the eigenvalues of Λ S.
        """
        precision = torch.linalg.inv(self.exact_covariance)
        ratios = torch.linalg.eigvals(precision @ self.covariance).real
        if self.diagonal:
            ratios = precision.diagonal() * self.covariance.diagonal()
        return float(self.offset @ precision @ self.offset + (ratios - 1 - ratios.log()).sum()) / 2
