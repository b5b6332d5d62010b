"""Where to look for the latents of a point: the encoder, the modes of the posterior, and the prior, as one mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from metrics.gaussians import Gaussians
from metrics.modes import Bank, laplace
from models.base import LatentModel, draw

MANY = 8
WIDENED = 1.2


@dataclass(frozen=True)
class Mixture:
    """A mixture of J Student-t laws per point, and the prior, drawn from in fixed numbers.

    loc (J, C, k) and scale_tril (J, C, k, k), for C points; counts: how many of the N draws come from each of the
    J laws and, last, from the prior.
    """

    loc: Tensor
    scale_tril: Tensor
    prior: Distribution
    counts: tuple[int, ...]

    @property
    def degrees(self) -> int:
        """Degrees of freedom: five, and ten in many dimensions, where a t5 hardly ever has the radius of a normal."""
        return 5 if self.loc.shape[-1] < MANY else 10

    def of_size(self, samples: int) -> Mixture:
        """The same mixture, drawn from `samples` times: the shares of its laws are kept, and each gets a draw."""
        total = sum(self.counts)
        others = [max(1, round(count / total * samples)) for count in self.counts[1:]]
        return replace(self, counts=(samples - sum(others), *others))

    def sample(self, generator: Generator) -> Tensor:
        """(C, N, k): the draws from the first law, then those from the second, …, then those from the prior."""
        _, points, k = self.loc.shape
        degrees = self.degrees
        parts = []
        for loc, scale_tril, count in zip(self.loc, self.scale_tril, self.counts, strict=False):
            normal = torch.randn(points, count, k, generator=generator, dtype=loc.dtype)
            chi2 = _chi2(degrees, (points, count), normal, generator)
            parts.append(loc[:, None] + (normal * (degrees / chi2).sqrt()[..., None]) @ scale_tril.mT)
        parts.append(draw(self.prior, (points, self.counts[-1]), generator))
        return torch.cat(parts, dim=1)

    def log_parts(self, z: Tensor, log_prior: Tensor) -> Tensor:
        """log(α_j q_j(z)) of each law, the prior last: (J + 1, C, N) for z (C, N, k) with log p(z) (C, N)."""
        k, shape = z.shape[-1], log_prior.new_tensor(self.counts) / sum(self.counts)
        degrees = self.degrees
        constant = math.lgamma((degrees + k) / 2) - math.lgamma(degrees / 2) - k / 2 * math.log(degrees * math.pi)
        eye = torch.eye(k, dtype=z.dtype)
        parts = []
        for loc, scale_tril in zip(self.loc, self.scale_tril, strict=True):
            whitener = torch.linalg.solve_triangular(scale_tril, eye.expand_as(scale_tril), upper=False)
            distance = ((z - loc[:, None]) @ whitener.mT).square().sum(-1)
            log_det = scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            parts.append(constant - log_det[:, None] - (degrees + k) / 2 * torch.log1p(distance / degrees))
        return torch.stack([*parts, log_prior]) + shape.log()[:, None, None]

    def at(self, rows: Tensor) -> Mixture:
        """The mixtures of some of the points, by their numbers."""
        return replace(self, loc=self.loc[:, rows], scale_tril=self.scale_tril[:, rows])


def mixture(model: LatentModel, x: Tensor, bank: Bank, samples: int) -> Mixture:
    """Proposals for points x (C, d): encoder widened 1.2×, Laplace at modes of p(z|x), prior.

    The modes are climbed to from the encoder's mean and from the best of a bank of prior draws. Of the samples, 30 %
    come from the encoder, 3 × 20 % from the modes and 10 % from the prior; from eight latents up 25, 45 + 25 and 5 %.
    """
    encoder = Gaussians.like(model.posterior(x))
    few = encoder.mean.shape[-1] < MANY
    starts = torch.cat([encoder.mean[None], bank.starts(x, 2 if few else 1)])
    modes, modes_tril = laplace(model, x, starts)
    shares = (0.3, 0.2, 0.2, 0.2, 0.1) if few else (0.25, 0.45, 0.25, 0.05)
    counts = [round(share * samples) for share in shares[1:]]
    return Mixture(
        torch.cat([encoder.mean[None], modes]),
        torch.cat([WIDENED * encoder.matrix[None], modes_tril]),
        model.prior(),
        (samples - sum(counts), *counts),
    )


def weigh(model: LatentModel, proposals: Mixture, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, z) − log Σ_j α_j q_j(z) (C, N) for x (C, d), z (C, N, k), and the terms log α_j q_j(z) (J + 1, C, N)."""
    log_prior = proposals.prior.log_prob(z)
    parts = proposals.log_parts(z, log_prior)
    return model.likelihood(z).log_prob(x[:, None]) + log_prior - parts.logsumexp(0), parts


def _chi2(degrees: int, shape: tuple[int, ...], like: Tensor, generator: Generator) -> Tensor:
    """Chi-squared draws: −2 log of a uniform has two degrees of freedom, the square of a normal one."""
    uniform = torch.rand(*shape, degrees // 2, generator=generator, dtype=like.dtype)
    chi2 = -2 * uniform.clamp_min(1e-16).log().sum(-1)
    if degrees % 2:
        chi2 = chi2 + torch.randn(*shape, generator=generator, dtype=like.dtype).square()
    return chi2
