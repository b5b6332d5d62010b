"""Tests of whether samples and a density are those of one law, through expectations of harmonic functions."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import chi2, ks_2samp
from torch import Generator, Tensor

from benchmarks.targets.base import ExactTarget

KERNELS = 1_000
WAVES = 6


def weighted(target: ExactTarget, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Points x (n, d) of a kernel estimate q of the target's density, and p*(x)/q(x) (n,).

    Cauchy kernels of three widths: they cover tails and all scales whatever the target is.
    """
    d, centres = target.dimension, target.sample(KERNELS, generator)
    scale = _scale(centres)
    widths = torch.tensor([0.03, 0.2, 1.0], dtype=torch.float64)
    rows, columns = (torch.randint(most, (size,), generator=generator) for most in (KERNELS, len(widths)))
    normal = torch.randn(size, d + 1, generator=generator, dtype=torch.float64)
    x = centres[rows] + scale * widths[columns, None] * normal[:, :d] / normal[:, d:]
    height = math.gamma((1 + d) / 2) / (math.pi ** ((1 + d) / 2) * float(scale.prod()))
    distance = torch.cdist(x / scale, centres / scale).square()
    kernels = [height / h**d * (1 + distance / h**2).pow(-(1 + d) / 2).mean(1) for h in widths.tolist()]
    return x, target.log_prob(x).exp() / torch.stack(kernels).mean(0)


def characteristic_function(target: ExactTarget, samples: Tensor, generator: Generator) -> tuple[Tensor, float]:
    """p*/q (n,), whose mean is the density's mass, and the p-value of equal characteristic functions.

    Of the density, by importance sampling and divided by its mass, and of the samples (n, d); for d ≤ 2.
    """
    x, weight = weighted(target, len(samples), generator)
    waves = _waves(samples, generator)
    by_density = weight[:, None] / weight.mean() * _features(x @ waves)
    return weight, _p_value(by_density, _features(samples @ waves))


def stein(target: ExactTarget, samples: Tensor, generator: Generator) -> float:
    """p-value of Stein's identity, E[∂f + f ∂ log p*] = 0 for bounded f, over samples (n, d): it needs no integral."""
    x = samples.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(target.log_prob(x).sum(), x)
    waves = _waves(samples, generator)
    length, along = waves.square().sum(0).repeat(2), (gradient @ waves).repeat(1, 2)
    terms = _features(samples @ waves) * along + _features(samples @ waves + math.pi / 2) * length
    return _p_value(terms, torch.zeros_like(terms))


def two_samples(a: Tensor, b: Tensor, generator: Generator) -> float:
    """p-value of the hypothesis that a (n, d) and b (m, d) have one law: Kolmogorov–Smirnov along four directions."""
    directions = torch.eye(1, dtype=torch.float64) if a.shape[1] == 1 else _directions(b, 4, generator)
    values = [ks_2samp((a @ w).numpy(), (b @ w).numpy()).pvalue for w in directions.T]
    return min(1.0, len(values) * min(values))


def _p_value(a: Tensor, b: Tensor) -> float:
    """Of the χ² test that the columns of a (n, F) and of b (m, F), independent samples, have equal means."""
    apart = (a.mean(0) - b.mean(0)).numpy()
    covariance = (a.T.cov() / len(a) + b.T.cov() / len(b)).numpy()
    return float(chi2.sf(apart @ np.linalg.solve(covariance, apart), len(apart)))


def _directions(x: Tensor, count: int, generator: Generator) -> Tensor:
    """Random directions (d, count) of unit length, in units of the samples' own spread in each coordinate."""
    random = torch.randn(x.shape[1], count, generator=generator, dtype=torch.float64)
    return random / random.norm(dim=0) / _scale(x)[:, None]


def _scale(x: Tensor) -> Tensor:
    return (x.quantile(0.84, dim=0) - x.quantile(0.16, dim=0)) / 2


def _waves(x: Tensor, generator: Generator) -> Tensor:
    """Six wave vectors (d, 6), of one to six radians per deviation."""
    return _directions(x, WAVES, generator) * torch.arange(1, WAVES + 1)


def _features(angle: Tensor) -> Tensor:
    """Both phases of the waves: (n, 12) for (n, 6). Harmonics, so that their covariance is far from singular."""
    return torch.cat([angle.cos(), angle.sin()], dim=1)
