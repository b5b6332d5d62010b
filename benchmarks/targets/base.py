"""The contract of a target: an exact sampler and, unless it is real data, an exact log-density.

A target is not a `torch.distributions.Distribution`, because those draw from the global generator and nothing here
may. The methods keep the names and the shapes of torch's. The name of a target is a promise: while the name stays,
the density stays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor


class Target(ABC):
    """A distribution p* on R^d that models are fitted to.

    name: how suites, tables and the command line call it.
    summary: one line that says what makes it hard.
    dimension: d.
    moments: E|x|^r is finite for every r below this; infinite unless the tails are heavy. A score that needs more
        moments than there are is n/a.
    image: (rows, columns) where a vector is a picture, row by row.
    window: (low, high) corners, each (d,), of the box that figures show.
    """

    name: str
    summary: str
    dimension: int
    moments: float = math.inf
    image: tuple[int, int] | None = None

    @abstractmethod
    def split(self, train: int, test: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """A training and a disjoint, independent test set of at most these sizes: (train, d) and (test, d), float64."""

    @abstractmethod
    def window(self) -> tuple[Tensor, Tensor]:
        """Opposite corners (d,), (d,) of the box that holds nearly all of the mass."""


class ExactTarget(Target):
    """A target that is known in closed form, or by a quadrature to 1e-8."""

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, d), float64. One call for n is the same law as n calls for one."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, d); −inf outside the support."""

    @abstractmethod
    def entropy(self) -> float:
        """The differential entropy −E log p*(x) in nats, exact or by quadrature."""

    def nodes(self, spacing: float = 1.0) -> tuple[Tensor, Tensor] | None:
        """Nodes x (G, d) and weights (G,), summing to 1, with E_p* f(x) ≈ Σ_g w_g f(x_g); None where there is no rule.

        spacing: how far apart the nodes are along each axis, as a multiple of the finest rule's. How far the answer of
        one is from that of the rule with twice its spacing says how far to trust it. The tensors are for reading only:
        every caller gets the same.
        """
        return None

    def split(self, train: int, test: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Fresh draws: a target that can be sampled has as much test data as is asked for."""
        return self.sample(train, generator), self.sample(test, generator)

    def window(self) -> tuple[Tensor, Tensor]:
        """The box of the central 99.8 % of each coordinate of a fixed sample, with a margin of a tenth."""
        x = self.sample(20_000, torch.Generator().manual_seed(0))
        low, high = x.quantile(0.001, dim=0), x.quantile(0.999, dim=0)
        margin = 0.1 * (high - low)
        return low - margin, high + margin


class TransportTarget(ExactTarget):
    """A target that is the pushforward of N(0, I) by a known Brenier map ∇φ, φ strictly convex."""

    @abstractmethod
    def transport(self, z: Tensor) -> Tensor:
        """The optimal map ∇φ(z) from N(0, I) for quadratic cost, (n, d) to (n, d)."""


class DataTarget(Target):
    """Real vectors with a fixed train / test split: samples, and no density."""

    def __init__(self, name: str, summary: str, train: Tensor, test: Tensor) -> None:
        """Take both halves of the split as they are: (n, d) and (m, d), float64."""
        self.name = name
        self.summary = summary
        self.dimension = train.shape[1]
        self.train = train
        self.test = test

    def split(self, train: int, test: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Rows of the fixed halves, in a random order, without replacement; fewer where there are fewer."""
        return tuple(  # type: ignore[return-value]
            rows[torch.randperm(len(rows), generator=generator)[:size]]
            for rows, size in ((self.train, train), (self.test, test))
        )

    def window(self) -> tuple[Tensor, Tensor]:
        """The box of the training rows, with a margin of a twentieth."""
        low, high = self.train.amin(dim=0), self.train.amax(dim=0)
        margin = 0.05 * (high - low)
        return low - margin, high + margin
