"""log N(x; m_j, diag v_j) of many points under many normals, as one matrix product."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NormalKernel:
    """(x, j) ↦ log N(x; m_j, diag v_j) + log w_j for j = 1 … G: mean and variance (d, G), log_scale (G,).

    log_scale is log w_j less half the log-determinant of 2π diag v_j; weights (2d + 1, G) are the coefficients of x²,
    x and 1. centre (d,) is taken off all points and means, so that data far from the origin do not lose digits.
    """

    mean: Tensor
    variance: Tensor
    log_scale: Tensor
    weights: Tensor
    centre: Tensor

    @classmethod
    def of(cls, mean: Tensor, variance: Tensor, log_weight: Tensor | float = 0.0) -> NormalKernel:
        """For means and variances (G, d), with the weights (G,)."""
        centre = mean.mean(0)
        mean, variance = (mean - centre).T.contiguous(), variance.T.contiguous()
        log_scale = log_weight - (2 * math.pi * variance).log().sum(0) / 2
        constant = log_scale - (mean.square() / variance).sum(0) / 2
        weights = torch.cat([-0.5 / variance, mean / variance, constant[None]])
        return cls(mean, variance, log_scale, weights, centre)

    def __call__(self, x: Tensor) -> Tensor:
        """Its values (n, G) at x (n, d)."""
        y = x - self.centre
        return torch.cat([y.square(), y, torch.ones_like(y[:, :1])], dim=1) @ self.weights

    def at(self, which: Tensor) -> NormalKernel:
        """The kernel of those normals only whose numbers are given."""
        mean, variance, weights = (each[:, which] for each in (self.mean, self.variance, self.weights))
        return NormalKernel(mean, variance, self.log_scale[which], weights, self.centre)

    def near(self, x: Tensor, negligible: float) -> Tensor:
        """The numbers of the normals that count at some x (n, d): not below the largest by `negligible` at all of them.

        Bounds over the box of the points: each normal is largest where the box is nearest to its mean.
        """
        low, high = x.amin(0)[:, None] - self.centre[:, None], x.amax(0)[:, None] - self.centre[:, None]
        below, above = low - self.mean, self.mean - high
        nearest = torch.maximum(below, above).clamp_min_(0)
        farthest = torch.maximum(-below, -above)
        most = self.log_scale - (nearest.square_() / self.variance).sum(0) / 2
        least = self.log_scale - (farthest.square_() / self.variance).sum(0) / 2
        return (most > least.max() - negligible).nonzero().squeeze(1)
