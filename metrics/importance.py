"""log p_θ(x) of a latent-variable model by multiple importance sampling, with a diagnostic for every point."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from metrics.modes import Bank
from metrics.pareto import LIMIT, pareto_k
from metrics.proposals import Mixture, mixture
from models.base import LatentModel, draw

FEWEST_EFFECTIVE = 50
SECOND_TRY = 4
_POINTS, _ROWS = 256, 40_000


class Estimate(NamedTuple):
    """Log-densities (n,) in nats; per point the effective sample size and the Pareto k-hat of the weights.

    variance: Var(p̂)/p², so that log p̂ is low by half of it in expectation. A point that needed no sampling, because
    quadrature settled it, has no variance, and nan for the two diagnostics. failing: bool, the points not to trust.
    """

    log_prob: Tensor
    effective: Tensor
    k: Tensor
    variance: Tensor
    failing: Tensor

    def put(self, where: Tensor, other: Estimate) -> Estimate:
        """This estimate, with that of other points in the places where (n,) is true."""
        return Estimate(*(mine.masked_scatter(where, theirs) for mine, theirs in zip(self, other, strict=True)))


def log_prob(model: LatentModel, x: Tensor, samples: int, bank: Bank, generator: Generator) -> Estimate:
    """A lower bound on log p_θ(x) in expectation, for x (n, d): log (1/N) Σ_i p(x, z_i) / Σ_j α_j q_j(z_i).

    The q_j are the proposals of `mixture` and the balance heuristic (Veach and Guibas 1995; Owen and Zhou
    2000) weighs their draws; log of an unbiased estimate, so Jensen's inequality makes it a lower bound (Burda et al.
    2016). Points with k-hat > 0.7 or fewer than min(50, N/20) effective samples are estimated afresh with four times
    as many; those that fail again are `failing`. (A higher bar at small N would choose between estimates by their
    value, which biases them: by +0.008 nats for N = 100 and a bar of 50.)
    """
    least = min(FEWEST_EFFECTIVE, samples / 20)
    first = _estimate(model, x, samples, least, bank, generator)
    if not bool(first.failing.any()):
        return first
    return first.put(first.failing, _estimate(model, x[first.failing], SECOND_TRY * samples, least, bank, generator))


def sandwich(
    model: LatentModel, x: Tensor, z: Tensor, samples: int, bank: Bank, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds, in expectation, on log p_θ at x (n, d) drawn together with z (n, k) from p_θ(x, z).

    Bidirectional Monte Carlo (Grosse, Ghahramani and Adams 2015): z is an exact sample of p(z|x). Let it take the
    place of one of the N draws, in stratum j with probability α_j q_j(z) / Σ_i α_i q_i(z): the draws then have the
    density p̂(x)/p_θ(x) times that of the proposals, under which E log p̂ ≥ log p_θ. Without it, they give the lower.
    """
    lower, upper = [], []
    for weights, proposals, rows in _log_weights(model, x, samples, bank, generator):
        own, parts = _weigh(model, proposals, x[rows], z[rows, None])
        stratum = torch.multinomial(parts.squeeze(-1).softmax(0).T, 1, generator=generator)
        first = torch.tensor([0, *proposals.counts[:-1]]).cumsum(0)[stratum]
        replaced = weights.scatter(1, first, own)
        lower.append(weights.logsumexp(1) - math.log(samples))
        upper.append(replaced.logsumexp(1) - math.log(samples))
    return torch.cat(lower), torch.cat(upper)


def draw_joint(model: LatentModel, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """x (n, d) with the z (n, k) that made it: exact samples of p_θ(x, z)."""
    z = draw(model.prior(), (n,), generator)
    return draw(model.likelihood(z), (), generator), z


def _estimate(model: LatentModel, x: Tensor, samples: int, least: float, bank: Bank, generator: Generator) -> Estimate:
    parts = []
    for log_weights, proposals, _ in _log_weights(model, x, samples, bank, generator):
        total = log_weights.logsumexp(1)
        share = (log_weights - total[:, None]).exp()
        strata = share.split(proposals.counts, dim=1)
        variance = torch.stack([stratum.shape[1] * stratum.var(1) for stratum in strata]).sum(0)
        log_prob, effective, k = total - math.log(samples), 1 / share.square().sum(1), pareto_k(share)
        failing = (k > LIMIT) | (effective < least) | ~torch.isfinite(log_prob)
        parts.append((log_prob, effective, k, variance, failing))
    return Estimate(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _log_weights(
    model: LatentModel, x: Tensor, samples: int, bank: Bank, generator: Generator
) -> Iterator[tuple[Tensor, Mixture, slice]]:
    """Log-weights (c, N), their proposals and their rows of x, a few points at a time to stay in the cache."""
    few = max(1, _ROWS // samples)
    for start in range(0, len(x), _POINTS):
        proposals = mixture(model, x[start : start + _POINTS], bank, samples)
        for begin in range(0, min(_POINTS, len(x) - start), few):
            part = proposals.rows(begin, begin + few)
            rows = slice(start + begin, start + begin + part.loc.shape[1])
            yield _weigh(model, part, x[rows], part.sample(generator))[0], part, rows


def _weigh(model: LatentModel, proposals: Mixture, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, z) − log Σ_j α_j q_j(z) (C, N) for x (C, d), z (C, N, k), and the terms log α_j q_j(z) (J + 1, C, N)."""
    log_prior = proposals.prior.log_prob(z)
    parts = proposals.log_parts(z, log_prior)
    return model.likelihood(z).log_prob(x[:, None]) + log_prior - parts.logsumexp(0), parts
