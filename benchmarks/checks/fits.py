"""What checks of models share: data to fit to, and fits, samples and densities, each made only once."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor

from benchmarks.checks.check import Make
from benchmarks.checks.nodes import Nodes, independent, lattice
from metrics import likelihood, quadrature
from metrics.modes import Bank
from models.base import Budget, DensityModel, LatentModel, Model

QUICK = Budget(effort=0.02)
LONGER = Budget(effort=0.1)  # enough to be far from where training starts
ROWS = {QUICK: 400, LONGER: 1000}
SAMPLES = 20_000
INDEPENDENT_NODES = 1000
IMPORTANCE_SAMPLES = 300


def seeded(seed: int = 0) -> Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    """Independent N(0, 1), float64."""
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def skewed(n: int, d: int, seed: int = 1) -> Tensor:
    """A correlated, skewed cloud off the origin, (n, d)."""
    z = normal(n, d, seed=seed)
    return 3 + z + 0.5 * z.roll(1, dims=1) + 0.3 * z.square()


def fit(make: Make, x: Tensor, budget: Budget = QUICK) -> Model:
    """A new model, fitted to x (n, d)."""
    model: Model = make()
    refit(model, x, budget)
    return model


def refit(model: Model, x: Tensor, budget: Budget = QUICK) -> Any:
    """Fit a model to x (n, d); what its `fit` returns."""
    with torch.enable_grad():  # checks run without
        return model.fit(x, seeded(), budget)


@cache
def fitted(make: Make, d: int, budget: Budget = QUICK) -> Model:
    """A model fitted to `skewed` rows in d dimensions. Shared between checks, so none may change it."""
    return fit(make, skewed(ROWS[budget], d), budget)


@cache
def bank(make: Make, d: int) -> Bank:
    """What the estimate of a latent model's log-density is searched from."""
    model = fitted(make, d, LONGER)
    assert isinstance(model, LatentModel)
    return Bank.of(model, seeded(11), 2000)


def log_prob(make: Make, d: int, x: Tensor) -> Tensor:
    """log p_θ at x (n, d): its own, by quadrature, or by importance sampling: then p, not log p, is unbiased."""
    model = fitted(make, d, LONGER)
    if isinstance(model, DensityModel):
        return model.log_prob(x)
    assert isinstance(model, LatentModel)
    return likelihood.log_prob(model, x, IMPORTANCE_SAMPLES, bank(make, d), seeded(12)).log_prob


@cache
def own_samples(make: Make, d: int) -> Tensor:
    """Many samples of the model."""
    return fitted(make, d, LONGER).sample(SAMPLES, seeded(13)).double()


@cache
def nodes(make: Make, d: int) -> Nodes:
    """Nodes for integrals against p_θ, d ≤ 2: a lattice where log p_θ is exact, else independent ones."""
    model, samples = fitted(make, d, LONGER), own_samples(make, d)
    if isinstance(model, DensityModel):
        return lattice(samples, model.log_prob)
    assert isinstance(model, LatentModel)
    grid = quadrature.grid(model.prior())
    if grid is None or not bool(quadrature.log_prob(model, samples[:500], grid)[1].all()):
        return independent(samples[:2000], lambda x: log_prob(make, d, x), INDEPENDENT_NODES, seeded(14))

    def by_quadrature(x: Tensor) -> Tensor:
        # Far from every sample it need not be resolved; what is left out there would be missed in the mass.
        values, resolved = quadrature.log_prob(model, x, grid)
        return values.where(resolved, -math.inf)

    return lattice(samples, by_quadrature)
