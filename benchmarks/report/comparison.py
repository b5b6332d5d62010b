"""Two runs' scores side by side: the difference of each, its interval, and whether it is more than noise.

Replicates are paired: the same target and replicate means the same data, so what a hard draw does to both cancels. What
is identical to the last bit is not noise, needs no test, and does not count among the tests that are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from benchmarks.report.content import METRICS, Array, MetricInfo
from benchmarks.report.statistics import Estimate, adjusted, chance, median, seed
from benchmarks.report.summary import RANKED

#: What is compared unless other metrics are named.
COMPARED = (*RANKED, "elbo_gap")

#: The share of false alarms among what is called beyond noise.
LEVEL = 0.05

#: Sums of doubles in another order differ by about this, relative to their size: it is noise where a score has no
#: error of its own.
ROUNDING = 1e-9

Verdict = Literal[
    "status changed",
    "worse",
    "better",
    "higher",
    "lower",
    "only in A",
    "only in B",
    "within noise",
    "no number",
    "same",
]

#: The verdicts, those that ask for attention first.
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
BEYOND_NOISE: tuple[Verdict, ...] = ("worse", "better", "higher", "lower")


@dataclass(frozen=True)
class Side:
    """What one run has: the median of its replicates that have a number (NaN without any), and each one's status."""

    value: float
    statuses: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """One score in two runs.

    difference: B − A, the median over the `paired` replicates that have a number in both; None without any.
    differing: how many replicates that both runs have are not identical. chance: the p-value of the difference,
    adjusted: the same for being one of many; NaN where nothing was tested.
    """

    target: str
    model: str
    metric: str
    a: Side | None
    b: Side | None
    difference: Estimate | None = None
    paired: int = 0
    differing: int = 0
    chance: float = math.nan
    adjusted: float = math.nan
    verdict: Verdict = "same"

    @property
    def moved(self) -> bool:
        """The 95 % interval, taken alone, leaves zero out."""
        return math.isfinite(self.chance) and self.difference is not None and not _holds_zero(self.difference)


def compare(a: pd.DataFrame, b: pd.DataFrame, metrics: Sequence[str]) -> list[Compared]:
    """Every (target, model, metric) that is in either run, in the order of A, then of B.

    a, b: scores, one row per target, model, replicate and metric, and no two of the same. What is n/a in both, or n/a
    in the only run that has it, is left out.
    """
    rows_a, rows_b = _by_score(a, metrics), _by_score(b, metrics)
    found = [_paired(key, rows_a.get(key), rows_b.get(key)) for key in _ordered(rows_a, rows_b, metrics)]
    pairs = [this for this in found if this is not None]
    tested = [this for this in pairs if this.verdict == "within noise" and this.difference is not None]
    finest = LEVEL / max(len(tested), 1)
    chances = {
        _key(this): _chance(rows_a[_key(this)], rows_b[_key(this)], _name(_key(this)), finest) for this in tested
    }
    levels = dict(zip(chances, adjusted(np.array(list(chances.values()))), strict=True))
    return [
        _judged(replace(this, chance=chances[_key(this)], adjusted=float(levels[_key(this)])))
        if _key(this) in chances
        else this
        for this in pairs
    ]


def counts(compared: Sequence[Compared]) -> dict[Verdict, int]:
    """How many scores have each verdict, in the order of VERDICTS; those that none has are left out."""
    verdicts = [this.verdict for this in compared]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts}


def frame(compared: Sequence[Compared]) -> pd.DataFrame:
    """The numbers behind the table, one row per score; NaN where there is none."""
    rows = [
        {
            "target": this.target,
            "model": this.model,
            "metric": this.metric,
            "verdict": this.verdict,
            "a": this.a.value if this.a else math.nan,
            "b": this.b.value if this.b else math.nan,
            "difference": this.difference.value if this.difference else math.nan,
            "low": this.difference.low if this.difference else math.nan,
            "high": this.difference.high if this.difference else math.nan,
            "chance": this.chance,
            "adjusted": this.adjusted,
            "paired": this.paired,
            "differing": this.differing,
            "status_a": said(this.a),
            "status_b": said(this.b),
        }
        for this in compared
    ]
    columns = [
        *("target", "model", "metric", "verdict", "a", "b", "difference", "low", "high", "chance", "adjusted"),
        *("paired", "differing", "status_a", "status_b"),
    ]
    return pd.DataFrame(rows, columns=columns)


def said(side: Side | None) -> str:
    """The statuses of a side in words: "ok", "untrusted", "1 of 3 untrusted"; "absent" where the run has none."""
    if side is None:
        return "absent"
    total = len(side.statuses)
    kinds = [kind for kind in dict.fromkeys(side.statuses) if kind != "ok"]
    if not kinds:
        return "ok"
    parts = [(side.statuses.count(kind), kind) for kind in kinds]
    return ", ".join(kind if count == total else f"{count} of {total} {kind}" for count, kind in parts)


Key = tuple[str, str, str]

#: Of a score, by replicate: status, value and error.
Rows = dict[int, tuple[str, float, float]]


def _by_score(scores: pd.DataFrame, metrics: Sequence[str]) -> dict[Key, Rows]:
    """Of each score its rows; keys and replicates in the order of the table."""
    shown = scores[scores["metric"].isin(metrics)]
    found: dict[Key, Rows] = {}
    columns = ["target", "model", "metric", "replicate", "status", "value", "error"]
    for target, model, metric, replicate, status, value, error in zip(*(shown[name] for name in columns), strict=True):
        rows = found.setdefault((str(target), str(model), str(metric)), {})
        rows[int(replicate)] = (str(status), float(value), float(error))
    return found


def _ordered(a: dict[Key, Rows], b: dict[Key, Rows], metrics: Sequence[str]) -> list[Key]:
    keys = list(dict.fromkeys([*a, *b]))
    ranks = [{name: i for i, name in enumerate(dict.fromkeys(key[part] for key in keys))} for part in (0, 1)]
    place = {name: i for i, name in enumerate(metrics)}
    return sorted(keys, key=lambda key: (ranks[0][key[0]], ranks[1][key[1]], place[key[2]]))


def _paired(key: Key, a: Rows | None, b: Rows | None) -> Compared | None:
    """The two sides and their difference; "within noise" until it is tested. None where the metric does not apply."""
    if all(status == "n/a" for rows in (a, b) for status, _, _ in (rows or {}).values()):
        return None
    blank = Compared(*key, None if a is None else _side(a), None if b is None else _side(b))
    if a is None or b is None:
        return replace(blank, verdict="only in B" if a is None else "only in A")
    shared = [replicate for replicate in a if replicate in b]
    differing = sum(not _identical(a[replicate], b[replicate]) for replicate in shared)
    values, errors = _differences(a, b)
    known = median(values, errors, np.random.default_rng(seed(*_name(key)))) if len(values) else None
    blank = replace(blank, difference=known, paired=len(values), differing=differing)
    if any(a[replicate][0] != b[replicate][0] for replicate in shared):
        return replace(blank, verdict="status changed")
    if shared and not differing:
        return replace(blank, verdict="same")
    return replace(blank, verdict="no number" if known is None else "within noise")


def _judged(this: Compared) -> Compared:
    """The verdict on a difference that was tested."""
    if this.difference is None or not this.adjusted <= LEVEL:
        return this
    rises = this.difference.value > 0
    better = METRICS.get(this.metric, MetricInfo(this.metric, "", "neither")).better
    if better == "neither":
        return replace(this, verdict="higher" if rises else "lower")
    return replace(this, verdict="better" if rises == (better == "higher") else "worse")


def _chance(a: Rows, b: Rows, name: tuple[str, ...], finest: float) -> float:
    return chance(*_differences(a, b), np.random.default_rng(seed(*name)), finest)


def _differences(a: Rows, b: Rows) -> tuple[Array, Array]:
    """B − A and its standard error on the replicates that have a number in both, (paired,) each.

    The errors are added as if the two had nothing in common. They are scored on the same held-out points, so that is
    cautious: what is called beyond noise is more than the spread of the differences and more than the scores' errors.
    """
    both = [
        (a[replicate], b[replicate]) for replicate in a if replicate in b and _all_known(a[replicate], b[replicate])
    ]
    values = np.array([right[1] - left[1] for left, right in both])
    errors = np.array([math.hypot(left[2], right[2]) for left, right in both])
    rounding = np.array([ROUNDING * max(abs(left[1]), abs(right[1])) for left, right in both])
    return values, np.where(np.isfinite(errors), np.maximum(errors, rounding), errors)


def _side(rows: Rows) -> Side:
    values = [row[1] for row in rows.values() if _all_known(row)]
    return Side(float(np.median(values)) if values else math.nan, tuple(status for status, _, _ in rows.values()))


def _all_known(*rows: tuple[str, float, float]) -> bool:
    """Every one of these is a number."""
    return all(status == "ok" and math.isfinite(value) for status, value, _ in rows)


def _identical(a: tuple[str, float, float], b: tuple[str, float, float]) -> bool:
    """Status, value and error are equal, or lacking in both."""
    return a[0] == b[0] and all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a[1:], b[1:], strict=True))


def _holds_zero(this: Estimate) -> bool:
    return not (this.low > 0 or this.high < 0)


def _key(this: Compared) -> Key:
    return this.target, this.model, this.metric


def _name(key: Key) -> tuple[str, ...]:
    """Seeds the draws of a score's interval and p-value alike."""
    return ("compare", *key)
