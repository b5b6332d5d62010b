"""log p_θ(x) of a latent-variable model by multiple importance sampling, with a diagnostic for every point."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from metrics.adaptation import adapted, effective
from metrics.modes import Bank
from metrics.pareto import LIMIT, pareto_k
from metrics.proposals import Mixture, mixture, weigh
from models.base import LatentModel, draw

FEWEST_EFFECTIVE = 50
HARD, FOR_HARD = 0.2, 4
_POINTS, _ROWS = 256, 10_000


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

    The q_j are the proposals of `mixture`, adapted to the point by draws of their own, and the balance heuristic
    (Veach and Guibas 1995; Owen and Zhou 2000) weighs fresh draws from them; log of an unbiased estimate, so
    Jensen's inequality makes it a lower bound (Burda et al. 2016). N is `samples`, and four times as many where the
    adaptation ended with less than a fifth of its draws effective. `failing`: k-hat > 0.7 or fewer than min(50, N/20)
    effective samples. Nothing is estimated anew for its value or its diagnostic: that would choose, and so bias.
    """
    least = min(FEWEST_EFFECTIVE, samples / 20)
    points = []
    for rows in x.split(_POINTS):
        proposals, share = adapted(model, rows, mixture(model, rows, bank, samples), samples, generator)
        points.append(_estimates(model, rows, proposals, samples, share < HARD, least, generator))
    return Estimate(*(torch.cat(part) for part in zip(*points, strict=True)))


def sandwich(
    model: LatentModel, x: Tensor, z: Tensor, samples: int, bank: Bank, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds, in expectation, on log p_θ at x (n, d) drawn together with z (n, k) from p_θ(x, z).

    Bidirectional Monte Carlo (Grosse, Ghahramani and Adams 2015): z is an exact sample of p(z|x). Let it take the
    place of one of the N draws, in stratum j with probability α_j q_j(z) / Σ_i α_i q_i(z): the draws then have the
    density p̂(x)/p_θ(x) times that of the proposals, under which E log p̂ ≥ log p_θ. Without it, they give the lower.
    """
    lower, upper = [], []
    for points, codes in zip(x.split(_POINTS), z.split(_POINTS), strict=True):
        proposals, _ = adapted(model, points, mixture(model, points, bank, samples), samples, generator)
        proposals = proposals.of_size(samples)
        for few in _groups(len(points), samples):
            here = proposals.at(few)
            weights, _ = weigh(model, here, points[few], here.sample(generator))
            own, parts = weigh(model, here, points[few], codes[few][:, None])
            stratum = torch.multinomial(parts.squeeze(-1).softmax(0).T, 1, generator=generator)
            first = torch.tensor([0, *here.counts[:-1]]).cumsum(0)[stratum]
            lower.append(weights.logsumexp(1) - math.log(samples))
            upper.append(weights.scatter(1, first, own).logsumexp(1) - math.log(samples))
    return torch.cat(lower), torch.cat(upper)


def draw_joint(model: LatentModel, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """x (n, d) with the z (n, k) that made it: exact samples of p_θ(x, z)."""
    z = draw(model.prior(), (n,), generator)
    return draw(model.likelihood(z), (), generator), z


def _estimates(
    model: LatentModel, x: Tensor, proposals: Mixture, samples: int, hard: Tensor, least: float, generator: Generator
) -> Estimate:
    """Estimates for x (C, d) from N = `samples` draws, and four times as many where hard (C,) is true."""
    empty = torch.empty(len(x), dtype=x.dtype)
    estimate = Estimate(empty, empty, empty, empty, torch.empty(len(x), dtype=torch.bool))
    for where, count in ((~hard, samples), (hard, FOR_HARD * samples)):
        rows = where.nonzero().squeeze(-1)
        parts = [
            _estimate(model, x[rows[few]], proposals.of_size(count).at(rows[few]), least, generator)
            for few in _groups(len(rows), count)
        ]
        if parts:
            estimate = estimate.put(where, Estimate(*(torch.cat(part) for part in zip(*parts, strict=True))))
    return estimate


def _estimate(model: LatentModel, x: Tensor, proposals: Mixture, least: float, generator: Generator) -> Estimate:
    log_weights, _ = weigh(model, proposals, x, proposals.sample(generator))
    total = log_weights.logsumexp(1)
    share = (log_weights - total[:, None]).exp()
    strata = share.split(proposals.counts, dim=1)
    # A stratum of one draw shows no variance of its own.
    variance = sum((s.shape[1] * s.var(1) for s in strata if s.shape[1] > 1), torch.zeros_like(total))
    log_prob, size, k = total - math.log(log_weights.shape[1]), effective(log_weights), pareto_k(share)
    failing = (k > LIMIT) | (size < least) | ~torch.isfinite(log_prob)
    return Estimate(log_prob, size, k, variance, failing)


def _groups(points: int, samples: int) -> Iterator[Tensor]:
    """The numbers of the points, a few at a time, so that all their draws stay in the cache."""
    return (few for few in torch.arange(points).split(max(1, _ROWS // samples)) if len(few))
