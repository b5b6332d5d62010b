"""A run, analysed once: what every cell shows, who is best where, who ranks how, and what failed."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.content import BESIDE, COSTS, PARTS, WORDS, Content
from benchmarks.report.ranks import Ranking, middle, ranking
from benchmarks.report.statistics import Estimate, leaders, median, positive_median, seed

#: What a cell of the suite says that has not been computed (yet): the live view and a broken-off run show it.
NOT_RUN = "not run"


@dataclass(frozen=True)
class Score:
    """What a cell shows for a metric: an estimate, or a word where there is no number.

    used of total replicates have a number. A cell that lost some shows what is left, and is neither best nor ranked:
    its survivors are not its result. reasons: why those with the word have none, each once.
    """

    estimate: Estimate | None
    word: str
    used: int
    total: int
    reasons: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Every replicate has a number."""
        return self.estimate is not None and self.used == self.total


@dataclass(frozen=True)
class Failure:
    """Something that has no number and says why."""

    target: str
    model: str
    metrics: tuple[str, ...]
    replicates: tuple[int, ...]
    status: str
    reason: str


@dataclass(frozen=True, eq=False)
class Analysis:
    """Every number and word of a report, by (metric, target, model) and (metric, target)."""

    content: Content
    replicates: dict[tuple[str, str, str], pd.DataFrame]  # of complete cells: value and error by replicate
    scores: dict[tuple[str, str, str], Score]
    leaders: dict[tuple[str, str], tuple[str, ...]]
    rankings: dict[str, Ranking]
    failures: tuple[Failure, ...]

    def score(self, metric: str, target: str, model: str) -> Score:
        """What this cell shows for this metric or cost."""
        return self.scores[metric, target, model]

    def value(self, metric: str, target: str, model: str) -> float:
        """The median of a complete cell, NaN for every other."""
        score = self.score(metric, target, model)
        return score.estimate.value if score.estimate is not None and score.complete else math.nan

    def has_numbers(self, metric: str) -> bool:
        """Any cell has a number for this metric."""
        return any(score.estimate is not None for (name, _, _), score in self.scores.items() if name == metric)


@functools.lru_cache(maxsize=4)
def analyse(content: Content) -> Analysis:
    """Every estimate, leader, ranking and failure of a run."""
    targets = [target.name for target in content.targets]
    metrics = list(dict.fromkeys([*content.headline, *PARTS, *(name for name in BESIDE if content.scored(name))]))
    shown = content.scores[content.scores["metric"].isin(metrics)]
    cells = dict(iter(shown.groupby(["metric", "target", "model"], sort=False)))
    costs = dict(iter(content.costs.groupby(["metric", "target", "model"], sort=False)))
    fates = {key: _gravest(rows["status"]) for key, rows in content.scores.groupby(["target", "model"], sort=False)}
    scores: dict[tuple[str, str, str], Score] = {}
    for target in targets:
        for model in content.models:
            fate = fates.get((target, model), NOT_RUN)
            absent = Score(None, fate if fate in (NOT_RUN, "failed", "timeout", "diverged") else "n/a", 0, 0)
            for metric in metrics:
                rows = cells.get((metric, target, model))
                scores[metric, target, model] = absent if rows is None else _score(rows, (target, metric))
            for metric in COSTS:
                rows = costs.get((metric, target, model))
                scores[metric, target, model] = absent if rows is None else _cost(rows, (target, metric), absent.word)
    replicates = {
        key: rows.set_index("replicate")[["value", "error"]].astype(float)
        for key, rows in cells.items()
        if key in scores and scores[key].complete
    }
    best: dict[tuple[str, str], tuple[str, ...]] = {}
    for metric in metrics:
        for target in targets:
            able = (
                {}
                if metric in PARTS or metric in BESIDE or content.info(metric).better == "neither"
                else {
                    model: replicates[metric, target, model]
                    for model in content.contenders
                    if (metric, target, model) in replicates
                }
            )
            best[metric, target] = leaders(able, content.info(metric).better, (target, metric))
    rankings = {
        metric: ranking(
            _cells(replicates, metric, targets), content.contenders, content.info(metric).better, ("ranks", metric)
        )
        for metric in metrics
        if metric not in BESIDE and content.info(metric).better != "neither"
    }
    return Analysis(content, replicates, scores, best, rankings, _failures(content))


def typical(analysis: Analysis, metric: str, model: str, targets: tuple[str, ...]) -> Estimate | None:
    """The median over these targets; None where the model lacks one of them."""
    cells = _cells(analysis.replicates, metric, [target.name for target in analysis.content.targets])
    return middle(cells, model, targets, ("typical", metric, model))


def table(analysis: Analysis, metric: str, models: list[str]) -> pd.DataFrame:
    """The medians of complete cells, target × model; NaN where there is none."""
    names = [target.name for target in analysis.content.targets]
    rows = [[analysis.value(metric, target, model) for model in models] for target in names]
    return pd.DataFrame(rows, index=names, columns=models, dtype=float)


def _cells(
    replicates: dict[tuple[str, str, str], pd.DataFrame], metric: str, targets: list[str]
) -> dict[str, dict[str, pd.DataFrame]]:
    """The complete cells of one metric, by target and model."""
    cells: dict[str, dict[str, pd.DataFrame]] = {target: {} for target in targets}
    for (name, target, model), rows in replicates.items():
        if name == metric and target in cells:
            cells[target][model] = rows
    return cells


def _score(rows: pd.DataFrame, name: tuple[str, str]) -> Score:
    """The score of one cell and metric, from one row per replicate."""
    good = rows[(rows["status"] == "ok") & np.isfinite(rows["value"].astype(float))]
    if good.empty:
        word = _gravest(rows["status"])
        why = rows.sort_values("replicate").loc[rows["status"] == word, "reason"].fillna("").astype(str)
        return Score(None, word, 0, len(rows), tuple(dict.fromkeys(reason for reason in why if reason)))
    generator = np.random.default_rng(seed(*name))
    estimate = median(good["value"].to_numpy(float), good["error"].to_numpy(float), generator)
    return Score(estimate, _gravest(rows["status"]), len(good), len(rows))


def _cost(rows: pd.DataFrame, name: tuple[str, str], word: str) -> Score:
    """The cost of one cell, from one row per replicate."""
    good = rows[np.isfinite(rows["value"].astype(float))]
    if good.empty:
        return Score(None, word, 0, len(rows))
    generator = np.random.default_rng(seed(*name))
    return Score(positive_median(good["value"].to_numpy(float), generator), "ok", len(good), len(rows))


def _gravest(statuses: pd.Series) -> str:
    """The word for a cell: the gravest of its replicates'. An "ok" that holds no finite number is none: untrusted."""
    words = set(statuses) - {"ok"}
    return next((word for word in WORDS if word in words), min(words, default="untrusted"))


def _failures(content: Content) -> tuple[Failure, ...]:
    """Everything without a number that says why, in the order of the suite; "n/a" is no failure."""
    bad = content.scores[~content.scores["status"].isin(["ok", "n/a"])].fillna({"reason": ""})
    order = {name: i for i, name in enumerate([target.name for target in content.targets])}
    columns = {name: i for i, name in enumerate(content.columns)}
    found = [
        Failure(
            target=str(target),
            model=str(model),
            metrics=tuple(rows["metric"].unique()),
            replicates=tuple(int(r) for r in sorted(rows["replicate"].unique())),
            status=str(status),
            reason=str(reason),
        )
        for (target, model, status, reason), rows in bad.groupby(["target", "model", "status", "reason"], sort=False)
    ]
    return tuple(sorted(found, key=lambda f: (order.get(f.target, 0), columns.get(f.model, 0), f.status)))
