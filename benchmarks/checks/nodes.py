"""Integrals against a density whose values are known: on a lattice, or by importance sampling with an error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from models.base import draw

PER_AXIS = {1: 1001, 2: 151}
AGREEMENT = 2e-3
REFINEMENTS = 1


@dataclass(frozen=True)
class Nodes:
    """∫ f(x) p(x) dx ≈ Σ_i f(x_i) p(x_i) v_i, with nodes x (m, d) and log p (m,).

    volume v: a number, that of a lattice's cell, or (m,), 1 / (m r(x_i)) for independent x_i from a density r.
    axes: of the lattice, None for independent nodes.
    """

    x: Tensor
    log_prob: Tensor
    volume: Tensor
    axes: list[Tensor] | None

    def integral(self, f: Tensor) -> tuple[float, float]:
        """∫ f p, for f (m,) at the nodes, and its error: a standard error, or what half of the lattice would change.

        Half of it means every second node, in the plane the black squares of a chessboard.
        """
        terms = f * self.log_prob.exp() * self.volume
        if self.axes is None:
            return float(terms.sum()), math.sqrt(len(terms)) * float(terms.std())
        indices = torch.cartesian_prod(*[torch.arange(len(axis)) for axis in self.axes]).view(len(terms), -1)
        half = 2 * terms[indices.sum(1) % 2 == 0].sum()
        return float(terms.sum()), abs(float(terms.sum() - half))

    def marginals(self) -> list[tuple[Tensor, Tensor]]:
        """For each coordinate, the points that bound a lattice's cells and the distribution function there."""
        assert self.axes is not None
        mass = (self.log_prob.exp() * self.volume).view([len(axis) for axis in self.axes])
        found = []
        for i, axis in enumerate(self.axes):
            along = mass.sum([j for j in range(mass.dim()) if j != i]) if mass.dim() > 1 else mass
            found.append((axis + (axis[1] - axis[0]) / 2, along.cumsum(0)))
        return found


def lattice(samples: Tensor, log_prob: Callable[[Tensor], Tensor]) -> Nodes:
    """A lattice over the range of samples (n, d) from p, and a quarter as far again to each side; d is 1 or 2.

    The rectangle rule, which is the trapezoidal rule where p vanishes at the border. Twice as fine where every second
    node does not give the same mass.
    """
    d = samples.shape[1]
    low, high = samples.amin(0), samples.amax(0)
    margin = (high - low) / 4
    for refinement in range(REFINEMENTS + 1):
        count = 2**refinement * (PER_AXIS[d] - 1) + 1
        axes = [
            torch.linspace(float(a), float(b), count, dtype=samples.dtype)
            for a, b in zip(low - margin, high + margin, strict=True)
        ]
        x = torch.cartesian_prod(*axes).view(-1, d)
        found = Nodes(x, log_prob(x), torch.stack([axis[1] - axis[0] for axis in axes]).prod(), axes)
        if found.integral(torch.ones_like(found.log_prob))[1] < AGREEMENT:
            break
    return found


def independent(samples: Tensor, log_prob: Callable[[Tensor], Tensor], count: int, generator: Generator) -> Nodes:
    """`count` nodes from a kernel density estimate r of samples (n, d) from p: wider than p, and else much like it.

    The kernel is that of Scott's rule (1992), n^(−1/(d+4)) times the deviations: the best for a normal p, wider than
    the best where p is sharper. The error of an integral is that of the weights p/r, which a kernel too wide spreads.
    """
    n, d = samples.shape
    kernel = n ** (-1 / (d + 4)) * torch.linalg.cholesky(torch.cov(samples.T).view(d, d))
    r = MixtureSameFamily(
        Categorical(torch.ones(len(samples), dtype=samples.dtype)),
        MultivariateNormal(samples, scale_tril=kernel.expand(len(samples), d, d)),
    )
    x = draw(r, (count,), generator)
    return Nodes(x, log_prob(x), (-r.log_prob(x)).exp() / count, None)
