"""The inverse of the gradient of a strictly convex potential, by damped Newton steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.potential import ConvexPotential


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
    rounding = 500 * torch.finfo(x.dtype).eps * (1 + before.abs())
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
