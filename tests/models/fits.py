"""What the tests of models share: a few data sets, and fits."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from benchmarks import lookup
from benchmarks.checks.fits import normal, seeded, skewed
from models.base import Budget, Model

__all__ = ["banana", "new", "normal", "seeded", "skewed", "trained", "two_modes"]

M = TypeVar("M", bound=Model)


def two_modes(n: int, seed: int = 1) -> Tensor:
    """½ N(−1, 0.3²) + ½ N(1, 0.3²), (n, 1)."""
    return 0.3 * normal(n, 1, seed=seed) + normal(n, 1, seed=seed + 1).sign()


def banana(n: int, seed: int = 1) -> Tensor:
    """x₁ ~ N(0, 1), x₂ ~ N(x₁², 0.5²), (n, 2)."""
    z = normal(n, 2, seed=seed)
    return torch.stack([z[:, 0], 0.5 * z[:, 1] + z[:, 0].square()], dim=1)


def new(name: str) -> Model:
    """The model of an entry point, with its default hyper-parameters, not yet fitted."""
    model: Model = lookup.find("model", name).load()()
    return model


def trained(model: M, x: Tensor, effort: float = 0.1, seed: int = 0) -> M:
    """This model, fitted to x (n, d)."""
    model.fit(x, seeded(seed), Budget(effort=effort))
    return model
