"""The error of a transport map itself, where the optimal map T* from N(0, I) is known (Korotin et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metrics.score import Score


def map_scores(mapped: Tensor, exact: Tensor, z: Tensor) -> tuple[Score, Score]:
    """L2-UVP in per cent and the cosine, of T(z) against T*(z), all (n, d), at points z of N(0, I).

    L2-UVP = 100 · E|T(z) − T*(z)|² / V(p*), V the total variance: 0 is the optimal map, 100 a constant one.
    cos = E⟨T(z) − z, T*(z) − z⟩ / (E|T(z) − z|² E|T*(z) − z|²)^½: 1 for the right directions.
    Their errors are those of ratios of means, by the delta method.
    """
    off = (mapped - exact).square().sum(1)
    spread = (exact - exact.mean(0)).square().sum(1)
    uvp = float(off.mean() / spread.mean())
    moved, meant = mapped - z, exact - z
    product, of_moved, of_meant = (moved * meant).sum(1), moved.square().sum(1), meant.square().sum(1)
    cosine = float(product.mean() / (of_moved.mean() * of_meant.mean()).sqrt())
    relative = (
        product / product.mean() - of_moved / of_moved.mean() / 2 - of_meant / of_meant.mean() / 2
        if cosine
        else torch.zeros_like(product)
    )
    return (
        Score.of(100 * uvp, 100 * _error((off - uvp * spread) / spread.mean())),
        Score.of(cosine, abs(cosine) * _error(relative)),
    )


def _error(influence: Tensor) -> float:
    return float(influence.std()) / math.sqrt(len(influence))
