"""A fitted model as a map of N(0, I), whatever its family."""

from __future__ import annotations

import torch
from torch import Tensor

from models.base import LatentModel, Model, TransportModel

REACH, NODES = 5.0, 20_001


def pushed(model: Model, z: Tensor) -> Tensor:
    """T(z) (n, d) for z (n, d): of a decoder with as many latents as dimensions, the mean of p(x|z).

    Raises TypeError for a model that is no map of N(0, I) in d dimensions.
    """
    match model:
        case TransportModel():
            return model.transport(z)
        case LatentModel() if model.prior().event_shape[-1] == z.shape[1]:
            mean: Tensor = model.likelihood(z).mean
            return mean
        case _:
            raise TypeError(f"{type(model).__name__} is not a map of N(0, I)")


def steepest(model: Model, *_: object) -> float:
    """The largest slope of T between neighbours of a grid on ±5: from below, its Lipschitz constant on the line."""
    z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)[:, None]
    slope = pushed(model, z).diff(dim=0) / z.diff(dim=0)
    return float(slope.abs().max())
