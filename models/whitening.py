"""Whitening by the training set's own statistics, with its log-determinant: scores stay in the target's units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# A direction that is this much narrower than the widest one is treated as if it were that wide: dividing by
# less would amplify rounding, and a constant column has no scale of its own.
RELATIVE_FLOOR = 1e-6


class Standardization(nn.Module):
    """x ↦ (x − m) / s, one location and one scale per coordinate: keeps low-dimensional structure as it is."""

    shift: Tensor
    scale: Tensor

    def __init__(self, x: Tensor) -> None:
        """Take location and scale from training samples x (n, d)."""
        super().__init__()
        scale = x.std(dim=0, correction=0)
        widest = scale.max().clamp_min(torch.finfo(x.dtype).tiny)
        self.register_buffer("shift", x.mean(dim=0))
        self.register_buffer("scale", torch.where(scale > RELATIVE_FLOOR * widest, scale, widest))

    def forward(self, x: Tensor) -> Tensor:
        """Data (..., d) to unit scale."""
        return (x - self.shift) / self.scale

    def inverse(self, y: Tensor) -> Tensor:
        """Unit scale (..., d) to data."""
        return self.shift + self.scale * y

    def log_abs_det(self) -> Tensor:
        """log |det ∂y/∂x|, a scalar: add it to a log-density of y to get one of x."""
        return -self.scale.log().sum()


class Whitening(nn.Module):
    """x ↦ Σ^(−1/2) (x − m) with the symmetric root: unit covariance, axes kept as near to the data's as can be."""

    shift: Tensor
    root: Tensor
    inverse_root: Tensor

    def __init__(self, x: Tensor) -> None:
        """Take mean and covariance from training samples x (n, d)."""
        super().__init__()
        centred = x - x.mean(dim=0)
        variance, axes = torch.linalg.eigh(centred.T @ centred / len(x))
        widest = variance.max().clamp_min(torch.finfo(x.dtype).tiny)
        variance = torch.where(variance > RELATIVE_FLOOR**2 * widest, variance, widest)
        self.register_buffer("shift", x.mean(dim=0))
        self.register_buffer("root", (axes * variance.sqrt()) @ axes.T)
        self.register_buffer("inverse_root", (axes / variance.sqrt()) @ axes.T)

    def forward(self, x: Tensor) -> Tensor:
        """Data (..., d) to unit covariance."""
        return (x - self.shift) @ self.inverse_root

    def inverse(self, y: Tensor) -> Tensor:
        """Unit covariance (..., d) to data."""
        return self.shift + y @ self.root

    def log_abs_det(self) -> Tensor:
        """log |det ∂y/∂x|, a scalar: add it to a log-density of y to get one of x."""
        return torch.linalg.slogdet(self.inverse_root).logabsdet
