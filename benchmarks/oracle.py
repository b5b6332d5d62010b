"""The entrant `oracle`: the target itself, passed through the same pipeline; the best score this sample size allows."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from benchmarks.targets.base import ExactTarget, Target, TransportTarget
from models.base import Budget, DensityModel, History, Model, TransportModel


def oracle(target: Target) -> Model:
    """The target as a model: with its density where it has one, by its own training rows where it has not."""
    match target:
        case TransportTarget():
            return TransportOracle(target)
        case ExactTarget():
            return ExactOracle(target)
        case _:
            return DataOracle()


class ExactOracle(DensityModel):
    """Samples and density of the target itself."""

    def __init__(self, target: ExactTarget) -> None:
        super().__init__()
        self.target = target

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Nothing to learn."""
        return History()

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n samples of p*, (n, d)."""
        return self.target.sample(n, generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x), (n,)."""
        return self.target.log_prob(x)


class TransportOracle(ExactOracle, TransportModel):
    """The same, with the optimal map of the target."""

    target: TransportTarget

    def transport(self, z: Tensor) -> Tensor:
        """T*(z), (n, d), for z (n, d)."""
        return self.target.transport(z)


class DataOracle(Model):
    """Real data as their own model: the training rows, which are independent of the held-out ones.

    Rows are handed out in turn, so that two samples share none as long as there are enough: with shared rows the
    self-distance that the debiased Wasserstein estimate takes off would be too small.
    """

    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.position = 0

    def build(self, x: Tensor, generator: Generator) -> None:
        """Room for the rows x (n, d)."""
        self.register_buffer("rows", x[torch.randperm(len(x), generator=generator)])

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Keep the training rows, shuffled."""
        self.build(x, generator)
        return History()

    def sample(self, n: int, generator: Generator) -> Tensor:
        """The next n rows, (n, d), starting over where they end."""
        index = (self.position + torch.arange(n)) % len(self.rows)
        self.position = (self.position + n) % len(self.rows)
        return self.rows[index]
