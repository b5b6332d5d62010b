"""A fitted model as a map of N(0, I), whatever its family."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal

from metrics.grid import grid
from models.base import LatentModel, Model, TransportModel

REACH, NODES = 5.0, 20_001
FAR, DRAWS = 6.5, 200_000


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


def mass(model: Model, low: float, high: float) -> float:
    """P_θ(low < x < high) on the line.

    Of a map and of a decoder with one or two latents by quadrature over their noise, to 1e-5; of any other model by
    sampling, with a standard error of √(p/200,000).
    """
    edges = torch.tensor([high, low], dtype=torch.float64)
    if isinstance(model, TransportModel):
        z = torch.linspace(-FAR, FAR, NODES, dtype=torch.float64)
        x = model.transport(z[:, None]).squeeze(1)
        weight = Normal(0.0, 1.0).log_prob(z).exp() * (z[1] - z[0])
        return float(weight @ ((low < x) & (x < high)).double())
    nodes = grid(model.prior()) if isinstance(model, LatentModel) else None
    if isinstance(model, LatentModel) and nodes is not None:
        decoded = model.likelihood(nodes.z)
        below = torch.special.ndtr((edges - decoded.mean) / decoded.variance.sqrt())
        return float((nodes.log_weight.exp() * nodes.sums[:, 0]) @ (below[:, 0] - below[:, 1]))
    generator = torch.Generator().manual_seed(0)
    inside = [(low < x) & (x < high) for x in (model.sample(DRAWS // 8, generator) for _ in range(8))]
    return float(torch.cat(inside).double().mean())


def steepest(model: Model, *_: object) -> float:
    """The largest slope of T between neighbours of a grid on ±5: from below, its Lipschitz constant on the line."""
    z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)[:, None]
    slope = pushed(model, z).diff(dim=0) / z.diff(dim=0)
    return float(slope.abs().max())
