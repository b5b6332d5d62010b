"""What the tests of models share: their names, a few data sets, and fits, each made only once where it can be."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import torch
from torch import Generator, Tensor

from benchmarks import lookup
from models.base import Budget, Model

MODELS = sorted(lookup.available("model"))
QUICK = Budget(effort=0.02)
M = TypeVar("M", bound=Model)


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def skewed(n: int, d: int, seed: int = 1) -> Tensor:
    """A correlated, skewed cloud off the origin, (n, d)."""
    z = normal(n, d, seed=seed)
    return 3 + z + 0.5 * z.roll(1, dims=1) + 0.3 * z.square()


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


@cache
def fitted(name: str, d: int, effort: float = QUICK.effort, rows: int = 400) -> Model:
    """The model of an entry point, fitted to `skewed(rows, d)`. Shared between tests, so none may change it."""
    return trained(new(name), skewed(rows, d), effort)


def having(*capabilities: type[Model]) -> list[str]:
    """The names of the models that have every one of these capabilities."""
    return [name for name in MODELS if all(isinstance(new(name), capability) for capability in capabilities)]
