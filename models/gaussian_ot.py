"""The closed-form optimal map between Gaussians: what transport can do that knows only the first two moments."""

from __future__ import annotations

import torch
from ot.gaussian import bures_wasserstein_mapping
from torch import Generator, Tensor
from torch.distributions import Independent, Normal

from models.base import Budget, DensityModel, History, TransportModel

# The least width of a direction, relative to the widest: the map must have an inverse where a column is constant.
RELATIVE_FLOOR = 1e-6


class GaussianOT(DensityModel, TransportModel):
    """x = T(z) = A z + b, z ~ N(0, I): the Bures–Wasserstein map to N(m, S), so A = S^½ and b = m.

    Optimal for the cost |x − z|² among all maps to N(m, S) (Olkin & Pukelsheim 1982; POT's `ot.gaussian`), and of all
    affine maps of N(0, I) the one whose L2 distance to the Brenier map of the data is least.
    """

    matrix: Tensor
    shift: Tensor

    def build(self, x: Tensor, generator: Generator) -> None:
        """The map to the moments of x (n, d), by POT."""
        d = x.shape[1]
        mean = x.mean(dim=0)
        scale = x.std(dim=0, correction=0).max().clamp_min(torch.finfo(x.dtype).tiny)
        y = (x - mean) / scale  # POT forms the product of roots and inverses: keep it near one
        identity, origin = torch.eye(d, dtype=x.dtype), torch.zeros(d, dtype=x.dtype)
        covariance = y.T @ y / len(x) + RELATIVE_FLOOR**2 * identity
        matrix, shift = bures_wasserstein_mapping(origin, origin, identity, covariance)
        self.register_buffer("matrix", scale * matrix)
        self.register_buffer("shift", mean + scale * shift.reshape(d))

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Solve for the map to the moments of x (n, d)."""
        self.build(x, generator)
        return History()

    def transport(self, z: Tensor) -> Tensor:
        """T(z) = A z + b, (n, d), for z (n, d). A is symmetric and positive definite."""
        return z @ self.matrix + self.shift

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n draws of N(0, I), transported; (n, d)."""
        return self.transport(torch.randn(n, len(self.shift), generator=generator, dtype=self.shift.dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log N(z; 0, I) − log det A, z = A⁻¹(x − b): (n,), for x (n, d)."""
        z = torch.linalg.solve(self.matrix, (x - self.shift).T).T
        return _standard_normal(z) - torch.linalg.slogdet(self.matrix).logabsdet


def _standard_normal(z: Tensor) -> Tensor:
    return Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1).log_prob(z)
