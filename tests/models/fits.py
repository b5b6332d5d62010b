"""What the tests of every model share: their names, one awkward data set, and each fit made only once."""

from __future__ import annotations

from functools import cache

import torch
from torch import Generator, Tensor

from benchmarks import lookup
from models.base import Budget, Model

MODELS = sorted(lookup.available("model"))
QUICK = Budget(effort=0.02)


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def skewed(n: int, d: int, seed: int = 1) -> Tensor:
    """A correlated, skewed cloud off the origin, (n, d)."""
    z = torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)
    return 3 + z + 0.5 * z.roll(1, dims=1) + 0.3 * z.square()


def new(name: str) -> Model:
    """The model of an entry point, with its default hyper-parameters, not yet fitted."""
    model: Model = lookup.find("model", name).load()()
    return model


@cache
def fitted(name: str, d: int, effort: float = QUICK.effort, rows: int = 400) -> Model:
    """The model of an entry point, fitted to `skewed(rows, d)`. Shared between tests, so none may change it."""
    model = new(name)
    model.fit(skewed(rows, d), seeded(), Budget(effort=effort))
    return model


def having(*capabilities: type[Model]) -> list[str]:
    """The names of the models that have every one of these capabilities."""
    return [name for name in MODELS if all(isinstance(new(name), capability) for capability in capabilities)]
