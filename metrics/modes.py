"""Modes of the posterior p(z|x) of a latent-variable model, by Gauss–Newton, with their Laplace covariances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from metrics.gaussians import Gaussians
from metrics.kernel import NormalKernel
from metrics.quadrature import Quadrature
from models.base import LatentModel, draw
from models.pushforward import Pushforward

BANK = 5_000
CANDIDATES = 128
ITERATIONS = 12
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Bank:
    """What is decoded once per model, for all that is asked of it.

    Prior draws z (B, k), decoded: the normals with the moments of p(x|z). scale (k,): the draws' deviations.
    quadrature: the grids over its latents, where it has no more than two.
    """

    z: Tensor
    decoded: NormalKernel
    scale: Tensor
    quadrature: Quadrature

    @classmethod
    def of(cls, model: LatentModel, generator: Generator, size: int = BANK) -> Bank:
        """Draw and decode a bank; once per model."""
        return cls.at(model, draw(model.prior(), (size,), generator))

    @classmethod
    def at(cls, model: LatentModel, z: Tensor) -> Bank:
        """The bank of these latents (B, k)."""
        likelihood = model.likelihood(z)
        return cls(z, NormalKernel.of(likelihood.mean, likelihood.variance), z.std(0), Quadrature(model))

    def starts(self, x: Tensor, count: int) -> Tensor:
        """(count, C, k): for each x (C, d) the likeliest draws, each at least half a prior deviation from the last."""
        best = self.decoded(x).topk(min(CANDIDATES, len(self.z)), dim=-1)
        candidates, height = self.z[best.indices] / self.scale, best.values
        apart = 0.5 * math.sqrt(self.z.shape[-1])
        found = []
        for _ in range(count):
            chosen = candidates[torch.arange(len(x)), height.argmax(-1)]
            found.append(chosen * self.scale)
            near = (candidates - chosen[:, None]).norm(dim=-1) < apart
            height = torch.where(near, height - 1e12, height)
        return torch.stack(found)


def log_joint(model: LatentModel, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) (...) for x (..., d) and z (..., k), which broadcast."""
    return model.likelihood(z).log_prob(x) + model.prior().log_prob(z)


def laplace(model: LatentModel, x: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Modes (S, C, k) of log p(x, z) near starts (S, C, k) for x (C, d), and Cholesky factors of H⁻¹ (S, C, k, k).

    Levenberg–Marquardt with the Gauss–Newton curvature of a normal p(x|z) with mean m(z) and deviations s(z),
    H = J_mᵀ S⁻² J_m + 2 J_sᵀ J_s + Λ, with J_s the Jacobian of log s and Λ the curvature of the prior. A likelihood
    of another family is treated as the normal with its moments; steps are still accepted by its own density.
    """
    k = starts.shape[-1]
    eye = torch.eye(k, dtype=starts.dtype)
    z, at = starts.reshape(-1, k).clone(), x.expand(*starts.shape[:-1], -1).reshape(-1, x.shape[-1])
    damping = torch.full_like(z[:, 0], 1e-3)
    height = log_joint(model, at, z)
    climbing = torch.arange(len(z))
    for _ in range(ITERATIONS):
        here = z[climbing]
        gradient, curvature = _expand(model, at[climbing], here)
        ridge = damping[climbing, None, None] * curvature.diagonal(dim1=-2, dim2=-1).diag_embed()
        step = torch.cholesky_solve(gradient[..., None], _cholesky(curvature + ridge, eye)).squeeze(-1)
        there = log_joint(model, at[climbing], here + step)
        gain = there - height[climbing]
        better = gain > 0
        z[climbing] = torch.where(better[:, None], here + step, here)
        height[climbing] = torch.where(better, there, height[climbing])
        damping[climbing] = torch.where(better, damping[climbing] / 10, damping[climbing] * 10).clamp(1e-9, 1e9)
        flat = (gradient * step).sum(-1) < TOLERANCE
        arrived = torch.where(better, gain < TOLERANCE, flat | (damping[climbing] > 1e3))
        climbing = climbing[~arrived]
        if len(climbing) == 0:
            break
    _, curvature = _expand(model, at, z)
    covariance = torch.cholesky_inverse(_cholesky(curvature, eye))
    return z.view_as(starts), _cholesky(covariance, eye).view(*starts.shape, k)


def _expand(model: LatentModel, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (..., k) and Gauss–Newton curvature (..., k, k) of log p(x, z) at z (..., k)."""
    (mean, log_scale), (mean_jacobian, scale_jacobian) = _jacobian(lambda z: _moments(model.likelihood(z)), z)
    residual = (x - mean) * (-log_scale).exp()
    weighted = mean_jacobian * (-log_scale).exp()[..., None]
    score, precision = _prior_curvature(model.prior(), z)
    gradient = torch.einsum("...dk,...d->...k", weighted, residual)
    gradient = gradient + torch.einsum("...dk,...d->...k", scale_jacobian, residual.square() - 1) + score
    return gradient, weighted.mT @ weighted + 2 * scale_jacobian.mT @ scale_jacobian + precision


def _moments(likelihood: Distribution) -> tuple[Tensor, Tensor]:
    return likelihood.mean, likelihood.variance.log() / 2


def _jacobian(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], z: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Values (..., d) of a pair of pointwise functions of z (..., k), and their Jacobians (..., d, k).

    Forward mode, one tangent per latent in one batch: not `vmap`, which cannot trace the checks of distributions.
    """
    k = z.shape[-1]
    tangents = torch.eye(k, dtype=z.dtype).view(k, *([1] * (z.dim() - 1)), k).expand(k, *z.shape)
    jvp: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
    jvp = torch.func.jvp(function, (z.repeat(k, *[1] * z.dim()),), (tangents.clone(),))  # type: ignore[assignment]
    values, derivatives = jvp
    return (values[0][0], values[1][0]), (derivatives[0].movedim(0, -1), derivatives[1].movedim(0, -1))


def _prior_curvature(prior: Distribution, z: Tensor) -> tuple[Tensor, Tensor]:
    """∇ log p(z) (..., k) and a positive definite approximation (..., k, k) to −∇² log p(z)."""
    if (normal := Gaussians.of(prior)) is not None:
        precision = torch.cholesky_inverse(normal.matrix)
        return (normal.mean - z) @ precision, precision.expand(*z.shape, -1)
    if isinstance(prior, Pushforward):
        # Gauss–Newton once more, for ε(z) = T⁻¹(z) under N(0, I); the curvature of the log-determinant is left out.
        (noise, _), (jacobian, volume) = _jacobian(prior.pull, z)
        return volume.squeeze(-2) - (jacobian.mT @ noise[..., None]).squeeze(-1), jacobian.mT @ jacobian
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (score,) = torch.autograd.grad(prior.log_prob(z).sum(), z, create_graph=True)
        if not score.requires_grad:
            raise TypeError(f"the log-density of the prior {type(prior).__name__} cannot be differentiated twice")
        rows = [torch.autograd.grad(score[..., i].sum(), z, retain_graph=True)[0] for i in range(z.shape[-1])]
    hessian = torch.stack(rows, dim=-1)
    least = 0.01 / float(prior.variance.max())
    values, vectors = torch.linalg.eigh(-(hessian + hessian.mT) / 2)
    return score.detach(), (vectors * values.clamp_min(least)[..., None, :]) @ vectors.mT


def _cholesky(matrix: Tensor, eye: Tensor) -> Tensor:
    """The Cholesky factor, with a ridge in the last digits for matrices that rounding has made indefinite."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if not bool(failed.any()):
        return factor
    size = matrix.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    return torch.linalg.cholesky(matrix + 1e-10 * size * eye)
