"""What figures show of a model in one or two dimensions: its density on the target's window."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.targets.base import Target
from metrics import likelihood
from metrics.modes import Bank
from models.base import DensityModel, LatentModel, Model

POINTS = {1: 400, 2: 96}
IMPORTANCE_SAMPLES = 200


def grid(target: Target) -> Tensor:
    """A regular grid on the target's window: (POINTS^d, d), the last coordinate fastest."""
    low, high = target.window()
    axes = [
        torch.linspace(float(a), float(b), POINTS[target.dimension], dtype=torch.float64)
        for a, b in zip(low, high, strict=True)
    ]
    return torch.cartesian_prod(*axes).reshape(-1, target.dimension)


def density_on_grid(model: Model, target: Target) -> Tensor | None:
    """p_θ on the grid, (POINTS,) in 1-D and (POINTS, POINTS) in 2-D; None where the model has no density to show."""
    x = grid(target)
    match model:
        case DensityModel():
            log_prob = likelihood.of_density(model, x).log_prob
        case LatentModel():
            noise = torch.Generator().manual_seed(0)
            log_prob = likelihood.log_prob(model, x, IMPORTANCE_SAMPLES, Bank.of(model, noise), noise).log_prob
        case _:
            return None
    return log_prob.exp().reshape([POINTS[target.dimension]] * target.dimension).float()
