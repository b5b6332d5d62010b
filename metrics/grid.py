"""Nodes in one or two latents: ∫ f(z) p(z) dz as a sum, for every prior that models have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from metrics.gaussians import Gaussians
from models.pushforward import Pushforward

INTERVALS = {1: 8_192, 2: 256}
FEWEST = {1: 256, 2: 32}
REACH = 7.0


@dataclass(frozen=True)
class Grid:
    """Nodes z (G, k), each with log p(z) + log of its cell's volume (G,): ∫ f(z) p(z) dz ≈ Σ_g e^log_weight_g f(z_g).

    sums (G, 2 + H): weights of the full rule, of the rule on the edge alone, and of H rules on half of the nodes.
    """

    z: Tensor
    log_weight: Tensor
    sums: Tensor


def grid(prior: Distribution, fineness: float = 1.0) -> Grid | None:
    """The grid for a prior over one or two latents; None if there are more, or if the rule does not give it mass one.

    fineness: how many nodes along an axis, as a multiple of 8,192 for one latent and 256 for two.

    A box of mean ± 7 deviations, laid in the space of ε for a pushforward z = T(ε), where p(z) dz = N(ε; 0, I) dε, and
    around every component of a mixture of normals, however narrow. None if the mass is not 1 ± 1e-6: the prior is too
    rough for its box, or too wide.
    """
    k = prior.event_shape[-1]
    if k not in INTERVALS:
        return None
    intervals = round(fineness * INTERVALS[k])
    if isinstance(prior, Pushforward):
        unit, log_weight, sums = _standard(k, intervals)
        found = Grid(prior.push(unit), log_weight, sums)
    elif (
        isinstance(prior, MixtureSameFamily) and (components := Gaussians.of(prior.component_distribution)) is not None
    ):
        found = _of_components(prior.mixture_distribution.logits, components, intervals)
    else:
        found = _of_box(prior, intervals)
    mass = found.log_weight.exp() @ found.sums[:, [0, *range(2, found.sums.shape[1])]]
    return found if bool(((mass - 1).abs() < 1e-6).all()) else None


def _of_box(prior: Distribution, intervals: int) -> Grid:
    unit, _, sums = _standard(prior.event_shape[-1], intervals)
    z = prior.mean + prior.stddev * unit
    return Grid(z, prior.log_prob(z) + (prior.stddev * _spacing(unit)).log().sum(), sums)


def _of_components(log_share: Tensor, components: Gaussians, intervals: int) -> Grid:
    """One grid for each component, in its own coordinates, of as many nodes together as a single one has, or more."""
    number, k = components.mean.shape
    each = max(FEWEST[k], 2 * round(intervals * number ** (-1 / k) / 2))
    unit, log_weight, sums = _standard(k, each)
    z = components.mean[:, None] + unit @ components.matrix.mT
    return Grid(z.flatten(0, 1), (log_share[:, None] + log_weight).flatten(), sums.repeat(number, 1))


def _standard(k: int, intervals: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes (G, k) of a box of ± 7 in every coordinate, log N(ε; 0, I) + log of the cell's volume, and `Grid.sums`."""
    count = intervals + 1
    line = torch.linspace(-REACH, REACH, count, dtype=torch.float64)
    unit = torch.cartesian_prod(*[line] * k).view(-1, k)
    indices = torch.cartesian_prod(*[torch.arange(count)] * k).view(-1, k)
    edge = ((indices == 0) | (indices == count - 1)).any(1)
    # Every second node, in the plane the black squares of a chessboard; every second row; every second column.
    halves = [indices.sum(1) % 2 == 0, *(indices[:, i] % 2 == 0 for i in range(k if k > 1 else 0))]
    sums = torch.stack([torch.ones_like(edge), edge, *halves], dim=1).double()
    sums[:, 2:] *= 2
    log_weight = -(unit.square() + math.log(2 * math.pi)).sum(1) / 2 + k * math.log(_spacing(unit))
    return unit, log_weight, sums


def _spacing(unit: Tensor) -> float:
    """The distance between neighbours on a box of ± 7."""
    return float(unit[1, -1] - unit[0, -1])
