"""Medians with intervals, paired differences and ties: pure functions of arrays.

A run has few replicates, so nothing here leans on large numbers. An interval is a hierarchical bootstrap: replicates
are drawn anew, their spread is widened by what so few of them leave unknown, each gets its own error of measurement,
and the median is taken. Simulations in the tests hold the 95 % to account.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.content import Array

DRAWS = 2_000
TAILS = (0.025, 0.975)

#: Resampling fewer replicates than this will not do: the median of three is one of the three, and their extremes hold
#: the truth in 75 of 100 cases. Replicates are then drawn from a normal law with their spread (Student's assumption).
ENOUGH_REPLICATES = 6

#: So many draws beyond zero tell a p-value to a third of itself: more would change no verdict.
BEYOND = 10


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; low and high are NaN where nothing is known about its error."""

    value: float
    low: float
    high: float


def seed(*names: str) -> int:
    """A seed that depends on these names alone, on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest(), "big")


def median(values: Array, errors: Array, generator: np.random.Generator) -> Estimate:
    """The median over replicates, with an interval for their spread and for each one's standard error.

    The observed spread holds the errors of measurement too, so only what they leave unexplained is drawn again. How
    large the true spread is, few replicates do not tell: its square is drawn as (R − 1)s²/χ², as in Student's
    interval. A NaN error counts as none, unless nothing else is known.
    """
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    center = float(np.median(values))
    if len(values) == 1 and not np.isfinite(errors[0]):
        return Estimate(center, math.nan, math.nan)
    drawn = _drawn(values, errors, generator, DRAWS)
    if drawn is None:
        return Estimate(center, center, center)
    low, high = np.quantile(drawn, TAILS)
    return Estimate(center, min(float(low), center), max(float(high), center))


def _drawn(values: Array, errors: Array, generator: np.random.Generator, draws: int) -> Array | None:
    """(draws,) medians as they might have come out, for `median`; None where nothing varies."""
    count, center = len(values), float(np.median(values))
    errors = np.where(np.isfinite(errors), errors, 0.0)
    if not errors.any() and (values == center).all():
        return None
    pick = generator.integers(0, count, (draws, count))
    noise, spread = generator.standard_normal((2, draws, count))
    drawn = center + errors[pick] * noise
    variance = float(values.var(ddof=1)) if count > 1 else 0.0
    if variance > 0:
        possible = variance * (count - 1) / generator.chisquare(count - 1, draws)
        unexplained = np.sqrt(np.maximum(possible - np.mean(errors**2), 0.0))
        # Resampled deviations in units of their own deviation; normal ones where there are too few to resample.
        standard = (values[pick] - center) / values.std() if count >= ENOUGH_REPLICATES else spread
        drawn += unexplained[:, None] * standard
    return np.median(drawn, axis=1)


def chance(values: Array, errors: Array, generator: np.random.Generator, finest: float) -> float:
    """How easily noise alone makes a median as far from zero as this one: a two-sided p-value.

    Twice the share of the draws of `median` beyond zero, itself counted among them, so that it is never zero. Draws go
    on until some are beyond zero, or the p-value is below `finest`: what the smallest that matters is. NaN where
    nothing is known about the error.
    """
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    center = float(np.median(values))
    if len(values) == 1 and not np.isfinite(errors[0]):
        return math.nan
    if center == 0:
        return 1.0
    total = beyond = 0
    while beyond < BEYOND and 2 / (total + 1) >= finest:
        drawn = _drawn(values, errors, generator, DRAWS if total == 0 else 10 * DRAWS)
        if drawn is None:
            return finest
        total, beyond = total + len(drawn), beyond + int((drawn * np.sign(center) <= 0).sum())
    return min(1.0, 2 * (beyond + 1) / (total + 1))


def adjusted(chances: Array) -> Array:
    """p-values (m,) adjusted for being many (Benjamini and Hochberg 1995), NaN where they are NaN.

    Those at most q hold, in the mean, no larger a share of false alarms than q; and if nothing at all is there, one or
    more of them are found with a probability of q at most. For p-values that are independent or, like several metrics
    of one model, rise together (Benjamini and Yekutieli 2001).
    """
    chances = np.asarray(chances, dtype=float)
    found = np.full(len(chances), math.nan)
    known = np.flatnonzero(np.isfinite(chances))
    order = known[np.argsort(chances[known], kind="stable")]
    scaled = chances[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return found


def positive_median(values: Array, generator: np.random.Generator) -> Estimate:
    """The median of costs: positive numbers that vary by factors, so the interval is made on their logarithm."""
    if np.any(values <= 0):
        return median(values, np.zeros(len(values)), generator)
    if len(values) == 1:
        return Estimate(float(values[0]), math.nan, math.nan)
    logs = median(np.log(values), np.zeros(len(values)), generator)
    return Estimate(float(np.median(values)), math.exp(logs.low), math.exp(logs.high))


def difference(a: pd.DataFrame, b: pd.DataFrame, generator: np.random.Generator) -> Estimate | None:
    """The median of a − b on the replicates that both have; None where they share none.

    a and b have one row per replicate (the index) with value and error. The spread of the differences already holds the
    errors of measurement, with what the two have in common (data, test points) cancelled; errors in quadrature, as if
    nothing were in common, are used only where a single replicate shows no spread.
    """
    shared = a.index.intersection(b.index)
    if shared.empty:
        return None
    a, b = a.loc[shared], b.loc[shared]
    errors = np.hypot(a["error"], b["error"]).to_numpy() if len(shared) == 1 else np.zeros(len(shared))
    return median((a["value"] - b["value"]).to_numpy(), errors, generator)


def leaders(cells: dict[str, pd.DataFrame], better: str, name: tuple[str, ...]) -> tuple[str, ...]:
    """The model with the best median, first, and every model that is not distinguishably worse than it.

    cells: of each model that can be best, one row per replicate. name: seeds the intervals.
    """
    if not cells:
        return ()
    sign = 1.0 if better == "lower" else -1.0
    medians = {model: sign * float(cell["value"].median()) for model, cell in cells.items()}
    best = min(medians, key=lambda model: medians[model])

    def keeps_up(model: str) -> bool:
        worse = difference(cells[model], cells[best], np.random.default_rng(seed(*name)))
        # NaN compares false: what has no interval cannot be told apart.
        return worse is None or not (worse.low > 0 if sign > 0 else worse.high < 0)

    return (best, *(model for model in cells if model != best and keeps_up(model)))
