"""NewTarget: what it is, and what it should tell about models."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.base import ExactTarget


class NewTarget(ExactTarget):
    """x = A e, e₁ and e₂ independent Laplace: edges along two slanted axes, tails heavier than a Gaussian's."""

    # The name is a promise: while it stays, the density stays. The summary says what makes the target hard.
    name = "new_target"
    summary = "Two slanted ridges that meet in a peak, with exponential tails"
    dimension = 2

    def __init__(self, slant: float = 0.7) -> None:
        """slant: how far the first axis leans; in a name, `new_target.py:NewTarget[slant=0.2]`."""
        if abs(slant) >= 1:
            raise ValueError(f"slant = {slant}: it must lie between −1 and 1")
        self.mixing = torch.tensor([[1.0, slant], [slant, 1.0]], dtype=torch.float64)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, 2)."""
        uniform = 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1
        return -uniform.sign() * torch.log1p(-uniform.abs()) @ self.mixing.mT

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, 2)."""
        e = torch.linalg.solve(self.mixing, x.mT).mT
        return -(e.abs() + math.log(2)).sum(1) - torch.linalg.slogdet(self.mixing).logabsdet

    def entropy(self) -> float:
        """−E log p*(x) in nats: that of two Laplace variables, and log |det A|."""
        return 2 * (1 + math.log(2)) + float(torch.linalg.slogdet(self.mixing).logabsdet)

    # `nodes`, a quadrature, makes the divergence of models from the target exact in one or two dimensions;
    # without it, it is a mean over held-out points. benchmarks/targets/README.md tells how to write one.
