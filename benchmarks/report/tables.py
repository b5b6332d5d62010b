"""The tables of a report as values, made from a run; render.py gives them their formats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.report import text
from benchmarks.report.analysis import Analysis, Score, analyse, table
from benchmarks.report.content import COSTS, FRAME, PARTS, Content, MetricInfo

#: What the summary shows: mean ranks, on how many targets a model is best, and medians over the ranked targets.
RANKED = ("kl", "w2_squared", "sliced_w2_squared")
COUNTED = ("kl", "w2_squared")
TYPICAL = ("kl", "inference_gap")

MARKS = " Bold: the best, and every model that is not distinguishably worse on the same replicates."

PART = (
    " A part of the ELBO gap and no score of its own, zero by definition for an exact density: none is marked as best."
)


@dataclass(frozen=True)
class Cell:
    """One cell: its value, its interval or a note under it, and how it is marked. sort: NaN sorts last."""

    text: str
    note: str = ""
    mark: Literal["", "best", "frame", "word"] = ""
    sort: float = math.nan


@dataclass(frozen=True)
class Table:
    """A table with a heading of plain text. Its first column names the rows."""

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def metric_table(content: Content, metric: str) -> Table:
    """Target × model: the median over replicates with its interval, or a word."""
    analysis = analyse(content)
    info = content.info(metric)
    rows = [
        (
            Cell(target.name),
            *(_cell(analysis, metric, target.name, model) for model in content.columns),
        )
        for target in content.targets
    ]
    lost = any(0 < analysis.score(metric, t.name, m).used < analysis.score(metric, t.name, m).total
               for t in content.targets for m in content.columns)  # fmt: skip
    marks = PART if metric in PARTS else "" if metric in COSTS else MARKS
    caption = f"{_scale(info)} Median over replicates with its 95 % interval.{marks}{_frame(content)}"
    if info.note:
        caption += f" {info.note}"
    if lost:
        caption += " “k of n”: only k replicates have a number; such a cell is not compared."
    return Table(metric, info.title, caption, ("target", *content.columns), tuple(rows))


def cost_table(content: Content) -> Table:
    """Model × cost: the median over targets, with the least and the most."""
    analysis = analyse(content)
    rows = []
    for model in content.columns:
        cells = [Cell(model, mark="frame" if model in FRAME else "")]
        for metric in COSTS:
            values = table(analysis, metric, [model])[model].dropna().to_numpy()
            cells.append(_range(values))
        rows.append(tuple(cells))
    columns = tuple(f"{info.title} ({info.unit})" if info.unit else info.title for info in COSTS.values())
    caption = (
        "Median over targets [least, most]. Lower is better. Times compare only within one machine. Memory is that of "
        "the whole worker process, with its libraries and what earlier cells left in it: more than a model's own."
    )
    return Table("cost", "Cost", caption, ("model", *columns), tuple(rows))


def summary_table(content: Content) -> Table:
    """Model × what matters across targets: ranks, wins, typical values, cost."""
    analysis = analyse(content)
    ranked = [metric for metric in RANKED if metric in content.headline]
    counted = [metric for metric in COUNTED if metric in content.headline]
    typical = [metric for metric in TYPICAL if metric in content.headline]
    columns = [
        "model",
        *(f"rank by {text.inline(content.info(metric).title)}" for metric in ranked),
        *(f"best by {text.inline(content.info(metric).title)}" for metric in counted),
        *(f"median {text.inline(_with_unit(content.info(metric)))}" for metric in typical),
        "fit, CPU s",
    ]
    rows = []
    for model in content.columns:
        frame = model in FRAME
        cells = [Cell(model, mark="frame" if frame else "")]
        cells += [Cell("frame", mark="frame") if frame else _rank(analysis, metric, model) for metric in ranked]
        cells += [Cell("frame", mark="frame") if frame else _wins(analysis, metric, model) for metric in counted]
        cells += [_typical(analysis, metric, model) for metric in typical]
        cells.append(_middle(table(analysis, "fit_cpu_seconds", [model])[model].dropna().to_numpy()))
        rows.append(tuple(cells))
    return Table(
        "summary", "Across all targets", _summary_caption(analysis, ranked, typical), tuple(columns), tuple(rows)
    )


def target_table(content: Content) -> Table:
    """The targets and what makes each one hard."""
    rows = [(Cell(t.name), Cell(str(t.dimension), sort=t.dimension), Cell(t.summary)) for t in content.targets]
    return Table(
        "targets",
        "Targets",
        "What every model was fitted to.",
        ("target", "dimension", "what makes it hard"),
        tuple(rows),
    )


def failure_table(content: Content) -> Table:
    """Everything without a number that says why."""
    rows = []
    for failure in analyse(content).failures:
        metrics = ", ".join(failure.metrics) if len(failure.metrics) <= 3 else f"{len(failure.metrics)} metrics"
        replicates = ", ".join(map(str, failure.replicates))
        words = (
            failure.target,
            failure.model,
            failure.status,
            metrics,
            replicates,
            failure.reason or "no reason was given",
        )
        rows.append(tuple(Cell(word) for word in words))
    columns = ("target", "model", "status", "metrics", "replicates", "reason")
    return Table(
        "failures", "Without a number", "A score that failed is not replaced by anything.", columns, tuple(rows)
    )


def all_tables(content: Content) -> list[Table]:
    """Every table of a report: the summary, one per headline metric, the costs."""
    metrics = [*content.headline, "fit_cpu_seconds"]
    return [summary_table(content), *(metric_table(content, metric) for metric in metrics), cost_table(content)]


def numbers(content: Content, metric: str) -> pd.DataFrame:
    """The numbers behind a metric's table, one row per target and model."""
    analysis = analyse(content)
    rows = []
    for target in content.targets:
        for model in content.columns:
            score = analysis.score(metric, target.name, model)
            known = score.estimate
            rows.append(
                {
                    "target": target.name,
                    "model": model,
                    "value": known.value if known else math.nan,
                    "low": known.low if known else math.nan,
                    "high": known.high if known else math.nan,
                    "replicates": score.used,
                    "status": "ok" if known else score.word,
                    "best": model in analysis.leaders.get((metric, target.name), ()),
                }
            )
    return pd.DataFrame(rows)


def cells(this: Table) -> pd.DataFrame:
    """The cells of a table as text, for the tables that are not of one metric."""
    rows = [[f"{cell.text} {cell.note}".strip() for cell in row] for row in this.rows]
    return pd.DataFrame(rows, columns=list(this.columns))


def _cell(analysis: Analysis, metric: str, target: str, model: str) -> Cell:
    score = analysis.score(metric, target, model)
    if score.estimate is None:
        return Cell(score.word, mark="word")
    value, note = text.interval(score.estimate)
    mark: Literal["", "best", "frame"] = "frame" if model in FRAME else ""
    if model in analysis.leaders.get((metric, target), ()):
        mark = "best"
    return Cell(value, note + _lost(score), mark, score.estimate.value)


def _lost(score: Score) -> str:
    return "" if score.used == score.total else f" {score.used} of {score.total}"


def _range(values: np.ndarray) -> Cell:
    if not len(values):
        return Cell("n/a", mark="word")
    middle = float(np.median(values))
    return Cell(text.number(middle), f"[{text.number(values.min())}, {text.number(values.max())}]", sort=middle)


def _middle(values: np.ndarray) -> Cell:
    if not len(values):
        return Cell("n/a", mark="word")
    return Cell(text.number(float(np.median(values))), sort=float(np.median(values)))


def _rank(analysis: Analysis, metric: str, model: str) -> Cell:
    ranks = analysis.rankings[metric]
    if model not in ranks.mean:
        return Cell("n/a", mark="word")
    this = ranks.mean[model]
    known = math.isfinite(this.low)
    note = f"[{this.low:.1f}, {this.high:.1f}]" if known else ""
    return Cell(f"{this.value:.2f}", note, "best" if known and model in ranks.level else "", this.value)


def _wins(analysis: Analysis, metric: str, model: str) -> Cell:
    tried = [target.name for target in analysis.content.targets if analysis.leaders[metric, target.name]]
    won = sum(model in analysis.leaders[metric, target] for target in tried)
    return Cell(f"{won} of {len(tried)}", sort=won)


def _typical(analysis: Analysis, metric: str, model: str) -> Cell:
    """The median over the targets that are ranked: the same ones for every model."""
    targets = list(analysis.rankings[metric].targets)
    values = table(analysis, metric, [model]).loc[targets, model]
    return Cell("n/a", mark="word") if values.isna().any() or not targets else _middle(values.to_numpy())


def _summary_caption(analysis: Analysis, ranked: list[str], typical: list[str]) -> str:
    parts = [
        "Rank: the mean over the targets where every compared model has a complete number, with its 95 % interval over"
        " resampled targets where there are enough; bold where it is the best or cannot be told from it."
        " Best: the number of targets where the model is the best or not distinguishably worse."
        " Medians are over the ranked targets. Nothing is filled in."
    ]
    for metric in dict.fromkeys([*ranked, *typical]):
        ranks, title = analysis.rankings[metric], text.inline(analysis.content.info(metric).title)
        left_out = [*ranks.excluded, *(f"the model {name}" for name in ranks.absent)]
        if left_out:
            parts.append(f"Left out by {title}: {', '.join(left_out)}.")
    return " ".join(parts)


def _scale(info: MetricInfo) -> str:
    return f"In {info.unit}; {info.better} is better." if info.unit else f"{info.better.capitalize()} is better."


def _with_unit(info: MetricInfo) -> str:
    return f"{info.title} ({info.unit})" if info.unit else info.title


def _frame(content: Content) -> str:
    shown = [model for model in FRAME if model in content.models]
    says = {"oracle": "oracle (the target itself)", "gaussian": "gaussian (the moment-matched Gaussian)"}
    return f" The frame, never the best: {' and '.join(says[model] for model in shown)}." if shown else ""
