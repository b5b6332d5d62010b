"""Proposals that learn from their own draws where a posterior is bent: population Monte Carlo.

A Laplace approximation is too narrow along a latent that the decoder bends or hardly uses: the variance of a trained
model's posterior is often five times as large there, at times a hundred times. The weights of a few draws tell.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor

from metrics.pareto import pareto_k
from metrics.proposals import Mixture, weigh
from models.base import LatentModel

ROUNDS = (0.25, 0.5, 0.5, 1.0, 1.0, 2.0)
ENOUGH = 0.35
LIGHT = 0.5
LEAST_CARRYING = 0.1
MEMORY = 8
_ROWS = 10_000


def adapted(
    model: LatentModel, x: Tensor, proposals: Mixture, samples: int, generator: Generator
) -> tuple[Mixture, Tensor]:
    """Proposals nearer to p(z|x) for x (C, d), and the share (C,) of the last draws from them that was effective.

    Population Monte Carlo (Cappé, Douc, Guillin, Marin and Robert 2008): up to six rounds of a quarter to two times
    `samples` draws. A point is left alone once 35 % of a round's draws are effective with a k-hat below 0.5; most
    need one round. These draws serve no other purpose, so an estimate from fresh ones is unbiased whatever was done.
    """
    loc, scale_tril = proposals.loc.clone(), proposals.scale_tril.clone()
    share, settled = torch.zeros_like(x[:, 0]), torch.zeros(len(x), dtype=torch.bool)
    for part in ROUNDS:
        count = round(part * samples)
        rows = (~settled).nonzero().squeeze(-1)
        if len(rows) == 0:
            break
        for few in rows.split(max(1, _ROWS // count)):
            now = replace(proposals.of_size(count), loc=loc[:, few], scale_tril=scale_tril[:, few])
            z = now.sample(generator)
            log_weights, parts = weigh(model, now, x[few], z)
            share[few] = effective(log_weights) / count
            settled[few] = (share[few] >= ENOUGH) & (pareto_k(log_weights.softmax(1)) < LIGHT)
            new = _moved(now, z, _smoothed(log_weights), parts.softmax(0))
            stays = settled[few][:, None]
            loc[:, few] = torch.where(stays, now.loc, new[0])
            scale_tril[:, few] = torch.where(stays[..., None], now.scale_tril, new[1])
    return replace(proposals, loc=loc, scale_tril=scale_tril), share


def effective(log_weights: Tensor) -> Tensor:
    """The effective sample size (C,) of log-weights (C, N), (Σw)²/Σw²."""
    return 1 / log_weights.softmax(1).square().sum(1)


def _moved(proposals: Mixture, z: Tensor, weights: Tensor, membership: Tensor) -> tuple[Tensor, Tensor]:
    """loc (J, C, k) and scale_tril (J, C, k, k) after a step of expectation maximisation for Student-t laws.

    z (C, N, k), weights (C, N), membership (J + 1, C, N): the probability that z came from each law; Cappé et al.
    2008, section 4. A law remembers its present covariance as if it had seen 8k draws with it, and its location as
    one draw: else a few heavy draws would make a covariance nearly singular. A law without weight stays as it is.
    """
    k = z.shape[-1]
    eye = torch.eye(k, dtype=z.dtype)
    locs, scale_trils = [], []
    for loc, scale_tril, member in zip(proposals.loc, proposals.scale_tril, membership, strict=False):
        # in the law's own coordinates, where its present covariance is the identity
        whitener = torch.linalg.solve_triangular(scale_tril, eye.expand_as(scale_tril), upper=False)
        y = (z - loc[:, None]) @ whitener.mT
        mass = (weights * member)[..., None]
        mass = mass / mass.sum(1, keepdim=True).clamp_min(1e-200)
        seen = mass.sum(1, keepdim=True) / mass.square().sum(1, keepdim=True).clamp_min(1e-200)
        central = mass * (proposals.degrees + k) / (proposals.degrees + y.square().sum(-1, keepdim=True))
        centre = (central.mT @ y) / central.sum(1, keepdim=True).clamp_min(1e-200) * seen / (seen + 1)
        y = y - centre
        covariance = (seen * (central * y).mT @ y + MEMORY * k * eye) / (seen + MEMORY * k)
        locs.append(loc + (centre @ scale_tril.mT).squeeze(1))
        scale_trils.append(scale_tril @ torch.linalg.cholesky(covariance))
    return torch.stack(locs), torch.stack(scale_trils)


def _smoothed(log_weights: Tensor) -> Tensor:
    """Normalised weights (C, N), to the largest power β ≤ 1 (by bisection) with a tenth of the draws effective."""
    least = LEAST_CARRYING * log_weights.shape[1]
    low = torch.zeros_like(log_weights[:, 0])
    beta = high = torch.ones_like(low)
    for _ in range(10):
        enough = effective(beta[:, None] * log_weights) >= least
        low, high = torch.where(enough, beta, low), torch.where(enough, high, beta)
        beta = (low + high) / 2
    return (low[:, None] * log_weights).softmax(1)
