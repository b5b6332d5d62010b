"""A strictly convex potential whose gradient is a transport map, with its Hessian in closed form.

Brenier (1991): between laws with densities the optimal map for the quadratic cost is the gradient of a convex function,
and every such gradient is optimal for its own image. So whatever parameters are learned here, u ↦ ∇φ(u) *is* an
optimal-transport map.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

# Keeps φ strongly convex and its pieces from becoming a kink, whatever the parameters.
CURVATURE_FLOOR = 1e-4
EPSILON_FLOOR = 1e-3


class ConvexPotential(nn.Module):
    """A quadratic, a soft maximum of convex quadratics, and ridges.

        φ(u) = ½ uᵀA u + ε log Σ_j exp(q_j(u) / ε) + Σ_i c_i² softplus(a_i·u + b_i),
        q_j(u) = ½ uᵀA_j u + y_j·u + h_j,

    with A positive definite, A_j positive semi-definite of rank `rank`, ε > 0: log-sum-exp is convex and increasing,
    so φ is strictly convex. With A_j = 0 the soft maximum is the entropic semi-discrete potential of atoms y_j
    (Genevay et al. 2016): it tears the mass apart. A_j gives each atom the spread of what it stands for, so that a
    mixture of Gaussians takes one piece a component rather than as many atoms as fill it. The ridges, one hidden layer
    of an input-convex network (Amos et al. 2017), bend the map smoothly along many directions at once, which a single
    maximum cannot: they matter from a few dimensions up.

    The parameters are A = L Lᵀ, A_j = F_j F_jᵀ, y_j = R ŷ_j, log ε, a_i, b_i, c_i; R (d, d), the `frame`, is as wide as
    the images are, so that ŷ_j is of order one however they are conditioned.
    """

    frame: Tensor

    def __init__(self, frame: Tensor, pieces: int, rank: int, ridges: int) -> None:
        """Start at the identity: φ(u) = ½ |u|², up to a constant."""
        super().__init__()
        d = len(frame)

        def zeros(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(shape, dtype=frame.dtype))

        self.register_buffer("frame", frame.clone())
        self.base = nn.Parameter((1 - CURVATURE_FLOOR) ** 0.5 * torch.eye(d, dtype=frame.dtype))
        self.curvature, self.atoms, self.heights = zeros(pieces, d, rank), zeros(pieces, d), zeros(pieces)
        self.directions, self.offsets, self.strengths = zeros(ridges, d), zeros(ridges), zeros(ridges)
        self.log_epsilon = zeros()

    def place(
        self, atoms: Tensor, heights: Tensor, slopes: Tensor, spread: float, epsilon: float, generator: Generator
    ) -> None:
        """Set y_j (K, d), h_j (K,), A + A_j ≈ slopes (K, d, d), A = spread · I and ε; ridges are weak and random."""
        (ridges, d), rank = self.directions.shape, self.curvature.shape[2]

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=like.dtype)

        with torch.no_grad():
            width, axes = torch.linalg.eigh(slopes)
            widest = slice(d - rank, d)
            self.curvature.copy_(axes[:, :, widest] * (width - spread).clamp_min(1e-3).sqrt()[:, None, widest])
            self.base.copy_(spread**0.5 * torch.eye(d, dtype=atoms.dtype))
            self.atoms.copy_(torch.linalg.solve(self.frame, atoms.T).T)
            self.heights.copy_(heights)
            self.log_epsilon.fill_(epsilon).log_()
            self.directions.copy_(2 * nn.functional.normalize(noise(self.directions), dim=1))
            self.offsets.copy_(2 * noise(self.offsets))
            # All ridges together bend the map by a tenth of A: more would undo the semi-discrete start.
            self.strengths.fill_((0.1 * spread * d / max(ridges, 1)) ** 0.5)

    def coefficients(self, softening: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A (d, d), A_j (K, d, d), y_j (K, d) and ε, made `softening` times larger."""
        floor = CURVATURE_FLOOR * torch.eye(len(self.base), dtype=self.base.dtype)
        return (
            self.base @ self.base.T + floor,
            self.curvature @ self.curvature.mT,
            self.atoms @ self.frame.T,
            softening * (self.log_epsilon.exp() + EPSILON_FLOOR),
        )

    def forward(self, u: Tensor, softening: float = 1.0) -> Tensor:
        """φ(u), (n,), for u (n, d)."""
        A, A_j, y, epsilon = self.coefficients(softening)
        q, _ = self._quadratics(u, A_j, y)
        ridges = nn.functional.softplus(self._heights_of_ridges(u)) @ self.strengths.square()
        return 0.5 * (u @ A * u).sum(-1) + epsilon * torch.logsumexp(q / epsilon, dim=-1) + ridges

    def gradient(self, u: Tensor) -> Tensor:
        """∇φ(u) = A u + Σ_j w_j ∇q_j(u) + Σ_i c_i² σ(t_i) a_i, (n, d): w = softmax(q / ε), t_i = a_i·u + b_i."""
        A, A_j, y, epsilon = self.coefficients()
        q, slopes = self._quadratics(u, A_j, y)
        w = torch.softmax(q / epsilon, dim=-1)
        ridges = (self._heights_of_ridges(u).sigmoid() * self.strengths.square()) @ self.directions
        return u @ A + (w[:, None] @ slopes)[:, 0] + ridges

    def derivatives(self, u: Tensor, softening: float = 1.0) -> tuple[Tensor, Tensor]:
        """∇φ(u), (n, d), and ∇²φ(u), (n, d, d).

        ∇²φ(u) = A + Σ_j w_j A_j + Cov_w(∇q) / ε + Σ_i c_i² σ(t_i) (1 − σ(t_i)) a_i a_iᵀ.
        """
        A, A_j, y, epsilon = self.coefficients(softening)
        q, slopes = self._quadratics(u, A_j, y)
        w = torch.softmax(q / epsilon, dim=-1)
        mean = w[:, None] @ slopes  # (n, 1, d)
        centred = slopes - mean
        a, c2 = self.directions, self.strengths.square()
        s = self._heights_of_ridges(u).sigmoid()
        outer = (a[:, :, None] * a[:, None, :]).flatten(1)
        bending = (A.flatten() + w @ A_j.flatten(1) + (s * (1 - s) * c2) @ outer).view(*u.shape, -1)
        hessian = torch.baddbmm(bending, (centred * (w / epsilon)[..., None]).mT, centred)
        return u @ A + mean[:, 0] + (s * c2) @ a, hessian

    def _quadratics(self, u: Tensor, A_j: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """q_j(u), (n, K), and ∇q_j(u) = A_j u + y_j, (n, K, d)."""
        bent = (u @ A_j.permute(1, 0, 2).flatten(1)).view(len(u), *y.shape)
        return ((0.5 * bent + y) @ u[..., None])[..., 0] + self.heights, bent + y

    def _heights_of_ridges(self, u: Tensor) -> Tensor:
        """t_i = a_i·u + b_i, (n, m)."""
        return u @ self.directions.T + self.offsets
