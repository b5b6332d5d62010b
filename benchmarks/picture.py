"""What figures show of a model in one or two dimensions: its density on the target's window."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from benchmarks.targets.base import Target
from metrics import quadrature
from models.base import DensityModel, LatentModel, Model, draw

POINTS = {1: 400, 2: 96}
DRAWS = 2**16


def density_on_grid(model: Model, target: Target) -> Tensor | None:
    """p_θ on a regular grid of the window, (POINTS,) or (POINTS, POINTS); None where there is no density to show."""
    low, high = (corner.tolist() for corner in target.window())
    count = POINTS[target.dimension]
    axes = [torch.linspace(a, b, count, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    match model:
        case DensityModel():
            x = torch.cartesian_prod(*axes).reshape(-1, target.dimension)
            return model.log_prob(x).exp().reshape([count] * target.dimension).float()
        case LatentModel():
            return _render(model, axes)
        case _:
            return None


def _render(model: LatentModel, axes: list[Tensor]) -> Tensor | None:
    """∫ p(x|z) p(z) dz on the product of these axes, for a p(x|z) with independent normal coordinates.

    Its kernel is then a product over the axes, and the whole grid one matrix product over the nodes of z: those of the
    quadrature where there are one or two latents, else draws from the prior. For pictures: the scores' own estimate
    checks itself at every point, and that is dear where there is nothing to see.
    """
    grid = quadrature.grid(model.prior())
    if grid is not None:
        z, weight = grid.z, grid.log_weight.exp()
    else:
        z = draw(model.prior(), (DRAWS,), torch.Generator().manual_seed(0))
        weight = torch.full((DRAWS,), 1 / DRAWS, dtype=torch.float64)
    likelihood = model.likelihood(z)
    if not (isinstance(likelihood, Independent) and isinstance(likelihood.base_dist, Normal)):
        return None
    mean, scale = likelihood.base_dist.loc, likelihood.base_dist.scale
    kernels = [Normal(mean[:, i], scale[:, i]).log_prob(axis[:, None]).exp() for i, axis in enumerate(axes)]
    first = kernels[0] * weight
    return (first.sum(1) if len(kernels) == 1 else first @ kernels[1].T).float()
