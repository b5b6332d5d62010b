"""How heavy a tail is: the shape k of a generalised Pareto distribution fitted to the largest values.

Moments of order r exist for k < 1/r. Importance sampling works up to k ≈ 0.7 (Vehtari, Simpson, Gelman, Yao, Gabry
2024, "Pareto smoothed importance sampling"); the same limit tells whether the mean of a sample can be believed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LIMIT = 0.7
FEWEST_CARRYING = 10
_FEWEST = 20


def pareto_k(x: Tensor) -> Tensor:
    """k-hat of the upper tail of each row of x (..., n), (...): −∞ for a row without a tail, +∞ beyond any fit.

    The tail is the min(n/5, 3√n) largest values (Vehtari et al. 2024). Fewer than 20 of them say nothing: −∞.
    """
    n = x.shape[-1]
    size = min(n // 5, math.ceil(3 * math.sqrt(n)))
    if size < _FEWEST:
        return torch.full(x.shape[:-1], -math.inf, dtype=x.dtype)
    largest = x.topk(size + 1, dim=-1).values.flip(-1)
    return _fit(largest[..., 1:] - largest[..., :1])


def unsettled(values: Tensor) -> str:
    """Why the mean of a sample (n,) and its standard error are not to be believed; empty if they are.

    Both signs have to be there: a tail with k-hat > 0.7, and a variance that rests on a few points. With d the distance
    from the mean, (Σd²)²/Σd⁴ points carry the variance. Under a tail with 1/k < 2 that number stays near
    1/(1 − 1/(2k)), 3.5 at k = 0.7, however large n is; under a law with few but bounded outliers, which k-hat alone
    takes for a heavy tail, it grows with n.
    """
    k = float(torch.maximum(pareto_k(values), pareto_k(-values)))
    squared = (values - values.mean()).square()
    squared = squared / squared.max().clamp_min(1e-300)
    carrying = float(squared.sum().square() / squared.square().sum().clamp_min(1e-300))
    if k <= LIMIT or carrying >= FEWEST_CARRYING:
        return ""
    return f"Pareto k-hat {k:.2f} is above {LIMIT}, and {carrying:.0f} points carry the variance"


def _fit(exceedances: Tensor) -> Tensor:
    """Shape of a generalised Pareto for ascending exceedances (..., m), (...).

    Zhang and Stephens 2009, "A new and efficient estimation method for the generalized Pareto distribution": a
    profile-likelihood average over the parameter θ, with the weakly informative prior on k of Vehtari et al. 2024.
    """
    m = exceedances.shape[-1]
    top = exceedances[..., -1]
    quartile = exceedances[..., int(m / 4 + 0.5) - 1]
    flat, beyond = top <= 0, quartile <= 1e-12 * top
    x = torch.where((flat | beyond)[..., None], torch.linspace(0.1, 1, m, dtype=exceedances.dtype), exceedances)

    count = 30 + int(math.sqrt(m))
    steps = 1 - (count / (torch.arange(1, count + 1, dtype=x.dtype) - 0.5)).sqrt()
    theta = 1 / x[..., -1:] + steps / (3 * x[..., int(m / 4 + 0.5) - 1, None])
    k = torch.log1p(-theta[..., None] * x[..., None, :]).mean(-1)
    profile = m * ((-theta / k).log() - k - 1)
    mean_theta = (profile.softmax(-1) * theta).sum(-1)
    k_hat = torch.log1p(-mean_theta[..., None] * x).mean(-1)
    k_hat = (m * k_hat + 10 * 0.5) / (m + 10)
    return k_hat.masked_fill(beyond, math.inf).masked_fill(flat, -math.inf)
