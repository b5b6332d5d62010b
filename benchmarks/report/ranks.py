"""Ranks of models across targets that know how little a run knows: targets, replicates and errors are drawn anew.

A rank throws away by how much one model is better, so an order by medians calls a coin toss a victory. Here a model's
rank on a target is its *expected* rank,

    1 + Σ_j P(model j is better | the target's replicates and their errors),

which is the estimate of a rank with the least squared error (Laird and Louis, 1989; Lin, Louis, Paddock and Ridgeway,
2006, eq. 3). Models that cannot be told apart at all share their ranks, ones that can hardly be told apart nearly do,
and clear winners keep theirs. The other way to make ties, by a test at 5 %, was not taken: "not distinguishably
different" is not transitive, so it gives no ranks, and it would let P = 0.049 and P = 0.051 mean 1 and 1.5.

What it costs: where one model is better by less than its error, target after target, both expected ranks lie nearer to
the middle than the ranks of the true scores do. The pull is towards a tie and never towards a winner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from benchmarks.report.content import Array
from benchmarks.report.statistics import DRAWS, ENOUGH_REPLICATES, TAILS, Estimate, seed

#: With fewer targets than this, one that always wins proves nothing: five wins in five are chance once in sixteen.
ENOUGH_TARGETS = 6

#: A model that has no complete number on more than this share of the targets where another has one is not compared:
#: each of those targets would be lost to all the others.
MOST_MISSING = 1 / 3

#: The replicates of one target that can be ranked: of each model, one row per replicate with value and error.
Cells = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Ranking:
    """Mean ranks across targets.

    mean: of each compared model, the best first. targets: where all of them have a number; excluded: where not.
    absent: models with a number on too few targets (`MOST_MISSING`), which are not compared. level: the first model and
    all whose mean rank cannot be told from its. stays: the share of draws in which the first is first, a draw with k
    first ones counting 1/k; NaN where there are few targets, as are the intervals.
    """

    mean: dict[str, Estimate]
    targets: tuple[str, ...]
    excluded: tuple[str, ...]
    absent: tuple[str, ...]
    level: tuple[str, ...]
    stays: float

    @property
    def first(self) -> str | None:
        """The model with the best mean rank; None where nothing could be ranked."""
        return next(iter(self.mean), None)


def paired_draws(values: Array, errors: Array, generator: np.random.Generator) -> Array:
    """What the medians of one target's models could be, given their replicates: (DRAWS, models).

    values, errors: (replicates, models), a NaN error being one that is not known. Each column varies as much as the
    draws of `statistics.median`: by the replicates' spread, as uncertain as Student's, and at least by the errors of
    measurement. The columns are paired: one draw takes the same replicates, and the same guess at how much too small
    their spread is, for every model, so what models share (the data, the test points) cancels in their comparison as it
    does in `statistics.difference`. The spread holds the errors already; only what it is too small to hold is added,
    independently from model to model. A single replicate has nothing but its errors, and one whose error is not known
    says nothing: then every order is as likely as any other.
    """
    count, models = values.shape
    if count == 1 and not np.isfinite(errors).all():
        return generator.standard_normal((DRAWS, models))
    errors = np.where(np.isfinite(errors), errors, 0.0)
    center = np.median(values, axis=0)
    pick = generator.integers(0, count, (DRAWS, count))
    noise = generator.standard_normal((DRAWS, count, models))
    if count == 1:
        return np.asarray(center + errors[0] * noise[:, 0])
    variance = values.var(axis=0, ddof=1)
    scale = (count - 1) / generator.chisquare(count - 1, DRAWS)
    if count >= ENOUGH_REPLICATES:
        deviations = (values - center)[pick] * math.sqrt(count / (count - 1))
    else:
        # Normal vectors with the covariance of the replicates, whose rank is at most one less than their number.
        weights = generator.standard_normal((DRAWS, count, count))
        deviations = weights @ (values - values.mean(axis=0)) / math.sqrt(count - 1)
    expected = np.mean(errors**2, axis=0)
    held = np.divide(scale[:, None] * variance, expected, out=np.ones((DRAWS, models)), where=expected > 0)
    missing = np.sqrt(np.maximum(1.0 - held, 0.0))
    drawn = center + np.sqrt(scale)[:, None, None] * deviations + missing[:, None, :] * errors[pick] * noise
    return np.asarray(np.median(drawn, axis=1))


def ranking(cells: Mapping[str, Cells], models: list[str], better: str, name: tuple[str, ...]) -> Ranking:
    """Mean expected ranks across targets, with intervals over targets, replicates and errors of measurement.

    cells: of each target the models with a complete number; a model that is not there is not imputed, and the target
    is left out. Drawn anew are, per draw, one target less than there are (Rao and Wu, 1988: then the variance of their
    mean is not too small), and within each drawn target, afresh each time it is drawn, the scores of its models. What
    so few targets leave unknown of that variance widens the draws as in Student's interval. name: seeds the draws.
    """
    tried = [of for of in cells.values() if any(model in of for model in models)]
    has = {model: sum(model in of for of in tried) for model in models}
    present = [model for model in models if has[model] and len(tried) - has[model] <= MOST_MISSING * len(tried)]
    absent = tuple(model for model in models if model not in present)
    generator = np.random.default_rng(seed(*name))
    drawn: dict[str, Array] = {}
    for target, of in cells.items():
        values, errors = _aligned(of, present)
        if values.size:
            sign = 1.0 if better == "lower" else -1.0
            drawn[target] = rankdata(sign * paired_draws(values, errors, generator), axis=1)
    excluded = tuple(target for target in cells if target not in drawn)
    if not drawn:
        return Ranking({}, (), excluded, absent, (), math.nan)
    ranks = np.stack(list(drawn.values()))  # (targets, draws, models)
    means = ranks.mean(axis=(0, 1))
    order = np.argsort(means, kind="stable")
    enough = len(ranks) >= ENOUGH_TARGETS
    size = (DRAWS, max(len(ranks) - 1, 1))
    draws = ranks[generator.integers(0, len(ranks), size), generator.integers(0, DRAWS, size)].mean(axis=1)
    if enough:
        draws = means + np.sqrt((len(ranks) - 1) / generator.chisquare(len(ranks) - 1, (DRAWS, 1))) * (draws - means)
    ends = np.clip(np.quantile(draws, TAILS, axis=0), 1, len(present))
    low, high = ends if enough else np.full_like(ends, math.nan)
    behind = np.quantile(draws - draws[:, [order[0]]], TAILS[0], axis=0)
    least = draws == draws.min(axis=1, keepdims=True)
    return Ranking(
        mean={present[i]: Estimate(float(means[i]), float(low[i]), float(high[i])) for i in order},
        targets=tuple(drawn),
        excluded=excluded,
        absent=absent,
        level=tuple(present[i] for i in order if not enough or behind[i] <= 0),
        stays=float(np.mean(least[:, order[0]] / least.sum(axis=1))) if enough else math.nan,
    )


def middle(cells: Mapping[str, Cells], model: str, targets: tuple[str, ...], name: tuple[str, ...]) -> Estimate | None:
    """The median of a model's medians over these targets, with the interval that their replicates and errors leave.

    The targets themselves are not drawn anew: their scores differ by orders of magnitude, and a median over others
    would be another quantity. None where a target has no complete number.
    """
    if not targets or any(model not in cells[target] for target in targets):
        return None
    generator = np.random.default_rng(seed(*name))
    found, draws, known = [], [], True
    for target in targets:
        values, errors = _aligned(cells[target], [model])
        found.append(float(np.median(values)))
        draws.append(paired_draws(values, errors, generator)[:, 0])
        known = known and (len(values) > 1 or bool(np.isfinite(errors).all()))
    value = float(np.median(found))
    if not known:
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(np.median(draws, axis=0), TAILS)
    return Estimate(value, min(float(low), value), max(float(high), value))


def _aligned(of: Cells, models: list[str]) -> tuple[Array, Array]:
    """Values and errors, (replicates, models), on the replicates that all models share; empty where one is missing."""
    if not models or any(model not in of for model in models):
        return np.empty((0, 0)), np.empty((0, 0))
    shared = of[models[0]].index
    for model in models[1:]:
        shared = shared.intersection(of[model].index)
    shared = shared.sort_values()  # rows in any order give the same draws
    values, errors = (
        np.stack([of[model].loc[shared, column].to_numpy(float) for model in models], axis=1)
        for column in ("value", "error")
    )
    return values, errors
