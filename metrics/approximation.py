"""The best Gaussian q(z) for each point: it splits the inference gap into approximation and amortisation gap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from metrics.gaussians import Gaussians
from metrics.modes import Bank, laplace, log_joint
from models.base import LatentModel

DRAWS = 64
_POINTS = 256
_WIDTHS = (1.0, 0.5, 0.25, 0.125)


class Optimised(NamedTuple):
    """In nats, at each point (n,).

    elbo: that of the q which was found, estimated without bias by draws that had no part in finding it.
    encoder: that of the encoder's q, by the same draws, so that the noise of their difference is small.
    drift: how much of it the second half of the refinement gained, on common draws, where it gained. Where the noise
    of the gradients is all that is left, what is still missing falls as one over the number of steps: as much again.
    """

    elbo: Tensor
    encoder: Tensor
    drift: Tensor


@dataclass(frozen=True)
class Schedule:
    """How long to look for the best q.

    explore: steps from every start, with `few` draws a point; refine: steps from the best of them, then as many again
    to see what these gain, with `many` draws a point. rate: the first step, as a share of a full natural one.
    """

    explore: int = 12
    refine: int = 40
    few: int = 8
    many: int = 16
    rate: float = 0.4


def best_elbo(
    model: LatentModel, x: Tensor, bank: Bank, generator: Generator, schedule: Schedule = Schedule()
) -> Optimised | None:
    """The ELBO of the best q at each x (n, d), over the family of model.posterior(x); None if that is not Gaussian.

    Approximation gap = log p_θ(x) − best ELBO, amortisation gap = best ELBO − ELBO of the encoder (Cremer, Li and
    Duvenaud 2018, table 1). The ELBO has local optima where p(z|x) has several modes, so the search goes from several
    starts (`_starts`) and refines the best. It is a search: what is found is no better than the best q, and the
    split errs to the side of the approximation gap. `bank` are decoded prior draws of this model.

    Raises TypeError where the joint density cannot be differentiated in z.
    """
    if Gaussians.of(model.posterior(x[:1])) is None:
        return None
    parts = [_search(model, rows, bank, generator, schedule) for rows in x.split(_POINTS)]
    return Optimised(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _search(model: LatentModel, x: Tensor, bank: Bank, generator: Generator, schedule: Schedule) -> Optimised:
    k = bank.z.shape[-1]
    q = _starts(model, x, bank, generator)
    for step in range(schedule.explore):
        rate = schedule.rate * (1 + math.cos(math.pi * step / schedule.explore)) / 2
        q = _step(model, x, q, _antithetic(schedule.few, q.mean, generator), rate)
    q = q.pick(_elbo(model, x, q, _antithetic(DRAWS, q.mean[0], generator)[:, None]).argmax(0))
    half = q
    for step in range(2 * schedule.refine):
        # Steps of 1/t make the last q an average over what each of them asked for: nothing is fitted to a few draws.
        q = _step(model, x, q, _antithetic(schedule.many, q.mean, generator), 1 / (1 / schedule.rate + step))
        if step + 1 == schedule.refine:
            half = q
    both = Gaussians(torch.stack([half.mean, q.mean]), torch.stack([half.root, q.root]))
    q = both.pick(_elbo(model, x, both, _antithetic(DRAWS, q.mean, generator)[:, None]).argmax(0))
    noise = _antithetic(DRAWS, x.new_empty(len(x), k), generator)
    encoder = Gaussians.of(model.posterior(x))
    assert encoder is not None
    found = _elbo(model, x, q, noise)
    return Optimised(found, _elbo(model, x, encoder, noise), found - _elbo(model, x, half, noise))


def _starts(model: LatentModel, x: Tensor, bank: Bank, generator: Generator) -> Gaussians:
    """Four laws for each x (C, d), stacked: where the search begins.

    The encoder; its shape, moved to the likeliest of the prior draws; Laplace approximations at the modes near both.
    Each takes the best of four widths: of a curved posterior, Laplace's is often far too wide.
    """
    encoder = Gaussians.of(model.posterior(x))
    assert encoder is not None
    means = torch.cat([encoder.mean[None], bank.starts(x, 1)])
    modes, roots = laplace(model, x, means)
    if encoder.diagonal:  # the best diagonal q of a Gaussian posterior has its conditional variances, not its marginal
        roots = torch.cholesky_inverse(roots).diagonal(dim1=-2, dim2=-1).rsqrt()
    mean = torch.cat([means, modes])
    root = torch.cat([encoder.root.expand(2, *encoder.root.shape), roots])
    q = Gaussians(torch.stack([mean for _ in _WIDTHS]), torch.stack([width * root for width in _WIDTHS]))
    noise = _antithetic(16, encoder.mean, generator)
    return q.pick(_elbo(model, x, q, noise[:, None, None]).argmax(0))


def _step(model: LatentModel, x: Tensor, q: Gaussians, noise: Tensor, rate: float) -> Gaussians:
    """One natural-gradient step of all q (..., C, k) for x (C, d), with draws ε (D, ..., C, k).

    With u = Aᵀ ∇_z log p(x, z) + ε and B = E[u εᵀ], the natural gradient moves the mean by A u and the precision
    from A⁻ᵀ A⁻¹ to A⁻ᵀ (1 − ρ B) A⁻¹ (Khan and Rue 2023), so that at rate ρ = 1 on a Gaussian posterior it is
    Newton's step. ρ²B²/2 keeps it positive definite (Lin, Schmidt and Khan 2020). u is the path derivative of "sticking
    the landing" (Roeder, Wu and Duvenaud 2017): its mean and its noise vanish where q = p(z|x). A step is held within
    ‖ρB‖ ≤ 1 and within √k deviations of q.
    """
    u = q.transposed_times(_gradient(model, x, q.mean + q.times(noise))) + noise
    towards = u.mean(0)
    if q.diagonal:
        b = (u * noise).mean(0)
        b = rate * b / (rate * b.abs()).clamp_min(1)
        precision = 1 - b + b.square() / 2
        root, move = q.root * precision.rsqrt(), rate * towards / precision
    else:
        b = torch.einsum("s...i,s...j->...ij", u, noise) / len(noise)
        b = (b + b.mT) / 2
        b = rate * b / (rate * torch.linalg.matrix_norm(b)).clamp_min(1)[..., None, None]
        precision = torch.eye(b.shape[-1], dtype=b.dtype) - b + b @ b / 2
        factor = torch.linalg.cholesky(precision)
        root = torch.linalg.solve_triangular(factor, q.root.mT, upper=False).mT
        move = rate * torch.cholesky_solve(towards[..., None], factor).squeeze(-1)
    move = move / (move.norm(dim=-1, keepdim=True) / math.sqrt(move.shape[-1])).clamp_min(1)
    return Gaussians(q.mean + q.times(move[None])[0], root)


def _gradient(model: LatentModel, x: Tensor, z: Tensor) -> Tensor:
    """∇_z log p(x, z) (..., C, k), zero where it is not finite, so that a far draw does not end the search."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        likelihood, prior = model.likelihood(z).log_prob(x), model.prior().log_prob(z)
        if not likelihood.requires_grad:
            raise TypeError(f"the likelihood of {type(model).__name__} cannot be differentiated in z")
        (gradient,) = torch.autograd.grad((likelihood + prior).sum(), z)
    return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _elbo(model: LatentModel, x: Tensor, q: Gaussians, noise: Tensor) -> Tensor:
    """The ELBO (..., C) of q for x (C, d) by Monte Carlo with ε (D, ..., C, k), −inf where it is not a number."""
    z = q.mean + q.times(noise)
    return (log_joint(model, x, z) - q.log_density(noise)).mean(0).nan_to_num(nan=-math.inf, neginf=-math.inf)


def _antithetic(count: int, like: Tensor, generator: Generator) -> Tensor:
    """Standard normal draws (count, *like.shape) in pairs ε, −ε."""
    half = torch.randn(count // 2, *like.shape, generator=generator, dtype=like.dtype)
    return torch.cat([half, -half])
