"""From values per point to a score: a mean with its standard error, or the reason why there is none to trust."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from metrics.pareto import unsettled
from metrics.score import Score

ROUNDING = 1e-9
RESOLUTION = 1e-3


def mean_score(values: Tensor, of: str, bias: float = 0.0) -> Score:
    """The mean of independent values (n,) with its standard error; `of` names them in the reason.

    `bias` bounds a known bias of the values; the error is then the root of the sum of both squares. Untrusted without
    a value if any value is infinite or not a number (a model that gives a held-out point zero density has no finite
    log-likelihood); untrusted with its value if their tail is too heavy for a mean to settle. Spread in the last
    digits of a constant (the oracle's log p* − log p_θ) is rounding, not a tail.
    """
    infinite = int((~torch.isfinite(values)).sum())
    if infinite:
        return Score.absent("untrusted", f"{of} is not finite at {infinite:,} of {len(values):,} points")
    if len(values) < 2:
        return Score.absent("n/a", "an error needs at least two points")
    mean, deviation = float(values.mean()), float(values.std())
    score = Score.of(mean, math.hypot(deviation / math.sqrt(len(values)), bias))
    return score if deviation < ROUNDING * (1 + abs(mean)) else doubted(score, unsettled(values), of)


def gap_score(values: Tensor, of: str, bias: float = 0.0) -> Score:
    """`mean_score` of a gap (n,), in nats, that no tail can make untrusted where it is next to nothing.

    Of a gap of 1e-5 nats a few points may well carry the variance, and what they say does not matter: with value and
    error below 1e-3 nats, finer than any two models are told apart, its error is put at 1e-3 instead.
    """
    score = mean_score(values, of, bias)
    if score.status != "untrusted" or score.value is None or score.error is None:
        return score
    return Score.of(score.value, RESOLUTION) if max(abs(score.value), score.error) < RESOLUTION else score


def doubted(score: Score, reason: str, of: str = "") -> Score:
    """The same value and error, untrusted for this reason about `of`; unchanged if the reason is empty.

    A score that already has no number, or a reason of its own, keeps that.
    """
    if not reason or score.status != "ok":
        return score
    return replace(score, status="untrusted", reason=f"the tail of {of} is too heavy: {reason}" if of else reason)
