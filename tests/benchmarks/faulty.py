"""Models that misbehave, each in its own way: loaded by file in the tests of the harness."""

from __future__ import annotations

import time

import torch

from models.base import Budget, DivergedError, History
from models.gaussian import Gaussian


class Raises(Gaussian):
    """Raises while fitting, with text that must be escaped wherever it is shown."""

    def fit(self, x, generator, budget: Budget = Budget()):
        raise RuntimeError("no <b>luck</b> | today [red]")


class Diverges(Gaussian):
    """Says that it diverged."""

    def fit(self, x, generator, budget: Budget = Budget()):
        raise DivergedError("the loss is not finite")


class WrongShape(Gaussian):
    """Samples one column too many."""

    def sample(self, n, generator):
        return torch.cat([super().sample(n, generator), torch.zeros(n, 1)], dim=1)


class NotFinite(Gaussian):
    """Samples NaN."""

    def sample(self, n, generator):
        return super().sample(n, generator) * float("nan")


class Large(Gaussian):
    """Has more parameters than a suite may allow, and does not look."""

    def fit(self, x, generator, budget: Budget = Budget()):
        self.ballast = torch.nn.Parameter(torch.zeros(1000))
        return super().fit(x, generator, budget)


class Unhurried(Gaussian):
    """Computes longer than a suite may allow, and does not look."""

    def fit(self, x, generator, budget: Budget = Budget()) -> History:
        started = time.process_time()
        while time.process_time() < started + 0.3:
            pass
        return super().fit(x, generator, budget)
