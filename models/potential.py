"""A strictly convex potential whose gradient is a transport map, and the inverse of that map by Newton's method.

Brenier (1991): between laws with densities the optimal map for the quadratic cost is the gradient of a convex function,
and every such gradient is optimal for its own image. So whatever parameters are learned here, z ↦ ∇φ(z) *is* an
optimal-transport map.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

# Keeps φ strongly convex and its pieces from becoming a kink, whatever the parameters.
CURVATURE_FLOOR = 1e-4
EPSILON_FLOOR = 1e-3


class ConvexPotential(nn.Module):
    """A quadratic, a soft maximum of convex quadratics, and ridges.

        φ(z) = ½ zᵀA z + ε log Σ_j exp(q_j(z) / ε) + Σ_i c_i² softplus(a_i·z + b_i),
        q_j(z) = ½ zᵀA_j z + y_j·z + h_j,

    with A positive definite, A_j positive semi-definite of rank `rank`, ε > 0: log-sum-exp is convex and increasing,
    so φ is strictly convex. With A_j = 0 the soft maximum is the entropic semi-discrete potential of atoms y_j
    (Genevay et al. 2016): it tears the mass apart. A_j gives each atom the spread of what it stands for, so that a
    mixture of Gaussians takes one piece a component rather than as many atoms as fill it. The ridges, one hidden layer
    of an input-convex network (Amos et al. 2017), bend the map smoothly along many directions at once, which a single
    maximum cannot: they matter from a few dimensions up.

    `frame` (d, d) is S^½, S the linear map of the moment-matched Gaussian: A = S^½ (L Lᵀ) S^½, A_j likewise,
    y_j = S ŷ_j and a_i = S^½ â_i, so that the parameters are of order one however the data is conditioned.
    """

    frame: Tensor

    def __init__(self, frame: Tensor, pieces: int, rank: int, ridges: int) -> None:
        """Start at the Gaussian's own map: φ(z) = ½ zᵀS z, up to a constant."""
        super().__init__()
        d = len(frame)

        def zeros(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(shape, dtype=frame.dtype))

        self.register_buffer("frame", frame)
        self.base = nn.Parameter((1 - CURVATURE_FLOOR) ** 0.5 * torch.eye(d, dtype=frame.dtype))
        self.curvature, self.atoms, self.heights = zeros(pieces, d, rank), zeros(pieces, d), zeros(pieces)
        self.directions, self.offsets, self.strengths = zeros(ridges, d), zeros(ridges), zeros(ridges)
        self.log_epsilon = zeros()

    def place(
        self, atoms: Tensor, heights: Tensor, slopes: Tensor, spread: float, epsilon: float, generator: Generator
    ) -> None:
        """Set y_j (K, d), h_j (K,), A + A_j ≈ slopes (K, d, d), A = spread · S and ε; ridges are weak and random."""
        (ridges, d), rank = self.directions.shape, self.curvature.shape[2]
        inverse = torch.linalg.inv(self.frame)

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=like.dtype)

        with torch.no_grad():
            width, axes = torch.linalg.eigh(inverse @ slopes @ inverse)
            widest = slice(d - rank, d)
            self.curvature.copy_(axes[:, :, widest] * (width - spread).clamp_min(1e-3).sqrt()[:, None, widest])
            self.base.copy_(spread**0.5 * torch.eye(d, dtype=atoms.dtype))
            self.atoms.copy_(torch.linalg.solve(self.frame @ self.frame, atoms.T).T)
            self.heights.copy_(heights)
            self.log_epsilon.fill_(epsilon).log_()
            self.directions.copy_(2 * nn.functional.normalize(noise(self.directions), dim=1))
            self.offsets.copy_(2 * noise(self.offsets))
            # All ridges together bend the map by a tenth of A: more would undo the semi-discrete start.
            self.strengths.fill_((0.1 * spread * d / max(ridges, 1)) ** 0.5)

    def coefficients(self, softening: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A (d, d), A_j (K, d, d), y_j (K, d) and ε, made `softening` times larger."""
        root, factors = self.frame @ self.base, self.frame @ self.curvature
        return (
            root @ root.T + CURVATURE_FLOOR * self.frame @ self.frame,
            factors @ factors.mT,
            self.atoms @ self.frame @ self.frame,
            softening * (self.log_epsilon.exp() + EPSILON_FLOOR),
        )

    def forward(self, z: Tensor, softening: float = 1.0) -> Tensor:
        """φ(z), (n,), for z (n, d)."""
        A, A_j, y, epsilon = self.coefficients(softening)
        q, _ = self._quadratics(z, A_j, y)
        t, _, c2 = self._ridges(z)
        ridges = nn.functional.softplus(t) @ c2
        return 0.5 * (z @ A * z).sum(-1) + epsilon * torch.logsumexp(q / epsilon, dim=-1) + ridges

    def gradient(self, z: Tensor) -> Tensor:
        """∇φ(z) = A z + Σ_j w_j ∇q_j(z) + Σ_i c_i² σ(t_i) a_i, (n, d): w = softmax(q / ε), t_i = a_i·z + b_i."""
        A, A_j, y, epsilon = self.coefficients()
        q, slopes = self._quadratics(z, A_j, y)
        t, a, c2 = self._ridges(z)
        return z @ A + (torch.softmax(q / epsilon, dim=-1)[:, None] @ slopes)[:, 0] + (t.sigmoid() * c2) @ a

    def derivatives(self, z: Tensor, softening: float = 1.0) -> tuple[Tensor, Tensor]:
        """∇φ(z), (n, d), and ∇²φ(z), (n, d, d).

        ∇²φ(z) = A + Σ_j w_j A_j + Cov_w(∇q) / ε + Σ_i c_i² σ(t_i) (1 − σ(t_i)) a_i a_iᵀ.
        """
        A, A_j, y, epsilon = self.coefficients(softening)
        q, slopes = self._quadratics(z, A_j, y)
        w = torch.softmax(q / epsilon, dim=-1)
        mean = w[:, None] @ slopes  # (n, 1, d)
        centred = slopes - mean
        t, a, c2 = self._ridges(z)
        s = t.sigmoid()
        outer = (a[:, :, None] * a[:, None, :]).flatten(1)
        bending = (A.flatten() + w @ A_j.flatten(1) + (s * (1 - s) * c2) @ outer).view(*z.shape, -1)
        hessian = torch.baddbmm(bending, (centred * (w / epsilon)[..., None]).mT, centred)
        return z @ A + mean[:, 0] + (s * c2) @ a, hessian

    def _quadratics(self, z: Tensor, A_j: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """q_j(z), (n, K), and ∇q_j(z) = A_j z + y_j, (n, K, d)."""
        bent = (z @ A_j.permute(1, 0, 2).flatten(1)).view(len(z), *y.shape)
        return ((0.5 * bent + y) @ z[..., None])[..., 0] + self.heights, bent + y

    def _ridges(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a_i·z + b_i, (n, m), a_i (m, d) and c_i², (m,)."""
        a = self.directions @ self.frame
        return z @ a.T + self.offsets, a, self.strengths.square()


@torch.no_grad()
def invert(
    potential: ConvexPotential, x: Tensor, z: Tensor, iterations: int, tolerance: float, softening: float = 1.0
) -> tuple[Tensor, Tensor]:
    """z with ∇φ(z) = x, and which rows got there: (n, d) and (n,), from a start z (n, d).

    Damped Newton on the strongly convex F(z) = φ(z) − x·z, whose minimum is −φ*(x), with Armijo's rule. A row is there
    when Newton's decrement λ² = rᵀ[∇²φ]⁻¹r, r = ∇φ(z) − x, is at most tolerance² · (1 + |x·z|): ½λ² is how far F is
    from its minimum, and unlike |r| it can be reached in floating point where φ has nearly a kink.
    """
    z = z.clone()
    active = torch.arange(len(z))
    for _ in range(iterations):
        gradient, hessian = potential.derivatives(z[active], softening)
        residual = gradient - x[active]
        step = torch.cholesky_solve(residual[..., None], torch.linalg.cholesky_ex(hessian)[0])[..., 0]
        decrement = (step * residual).sum(1)
        left = ~(decrement <= tolerance**2 * (1 + (x[active] * z[active]).sum(1).abs()))
        active, step, decrement = active[left], step[left], decrement[left]
        if not len(active):
            break
        z[active] = _armijo(potential, x[active], z[active], step, decrement, softening)
    converged = torch.ones(len(z), dtype=torch.bool)
    converged[active] = False
    return z, converged


def invert_from_afar(
    potential: ConvexPotential, x: Tensor, z: Tensor, tolerance: float, iterations: int = 200
) -> tuple[Tensor, Tensor]:
    """`invert`, and where Newton zigzags between pieces (far out the soft maximum is all but a kink), by continuation.

    With a larger ε the pieces blend: the solution of each softer problem is the start of the next sharper one.
    """
    z, converged = invert(potential, x, z, min(30, iterations), tolerance)
    hard = (~converged & x.isfinite().all(dim=1)).nonzero()[:, 0]
    if not len(hard):
        return z, converged
    start = torch.zeros_like(x[hard])
    reach = float((1 + x[hard].norm(dim=1).amax()) ** 2)
    for level in range(math.ceil(math.log(reach, 4)) + 3, 0, -1):
        start, _ = invert(potential, x[hard], start, 10, 0.01, softening=4.0**level)
    z[hard], converged[hard] = invert(potential, x[hard], start, iterations, tolerance)
    return z, converged


def _armijo(
    potential: ConvexPotential, x: Tensor, z: Tensor, step: Tensor, decrement: Tensor, softening: float
) -> Tensor:
    """z − t · step, t the first of 1, 0.4, 0.4², … that lowers φ(z) − x·z enough, row by row."""
    before = potential(z, softening) - (x * z).sum(1)
    rounding = 1e-13 * (1 + before.abs())
    length = torch.ones_like(before)
    moved = z - step
    left = torch.arange(len(z))
    for _ in range(40):
        after = potential(moved[left], softening) - (x[left] * moved[left]).sum(1)
        left = left[~(after <= before[left] - 1e-4 * length[left] * decrement[left] + rounding[left])]
        if not len(left):
            break
        length[left] *= 0.4
        moved[left] = z[left] - length[left, None] * step[left]
    return moved
