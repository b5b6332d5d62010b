"""NewModel: what it is, and where it comes from (paper, equation)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal

from models.base import Budget, DensityModel, History


class NewModel(DensityModel):
    """A Gaussian with the moments of the data."""

    mean: Tensor
    root: Tensor

    # Hyper-parameters have a type and a default: "new_model.py:NewModel[ridge=0.1]" then sets one.
    def __init__(self, ridge: float = 1e-6) -> None:
        """ridge: what is added to the covariance, as a share of the mean variance."""
        super().__init__()
        self.ridge = ridge

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Fit to training samples x (n, d). Random numbers come from the generator; train budget.steps(1000) steps."""
        d = x.shape[1]
        covariance = torch.cov(x.T).view(d, d)
        covariance = covariance + self.ridge * covariance.diagonal().mean() * torch.eye(d, dtype=x.dtype)
        # What is fitted is kept in buffers or parameters: they are what a run saves.
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("root", torch.linalg.cholesky(covariance))
        return History()  # of a model that is trained: its losses

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n samples, (n, d)."""
        return self.mean + torch.randn(n, len(self.mean), generator=generator, dtype=self.mean.dtype) @ self.root.mT

    # A model without a density inherits from `Model` and leaves this out; one that is ∫ p(x|z) p(z) dz is a
    # `LatentModel`, one that is a map T(z) of N(0, I) also a `TransportModel`: see models/base.py.
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (n,), for x (n, d)."""
        return MultivariateNormal(self.mean, scale_tril=self.root).log_prob(x)
