"""The tables of a report as values, made from a run; render.py gives them their formats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.report import machines, text
from benchmarks.report.analysis import Analysis, Score, analyse, table
from benchmarks.report.content import COSTS, DEBIASED, FRAME, PARTS, Content, MetricInfo
from benchmarks.report.missing import left_out, without_number

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
    """A table with a heading of plain text. Its first column names the rows.

    foot: a line under the table; without: no line. prose: the columns of words, which are set to the left.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: str = ""
    prose: tuple[str, ...] = ()


def metric_table(content: Content, metric: str) -> Table:
    """Target × model: the median over replicates with its interval, or a word, which its foot explains.

    Targets where the metric is n/a, and no model has a number, have no row; the foot names them.
    """
    analysis = analyse(content)
    info = content.info(metric)
    silent = left_out(analysis, metric)
    where = machines.labels(content) if metric in machines.TIMES else {}
    rows = [
        (
            Cell(target.name),
            *(
                _on(_cell(analysis, metric, target.name, model), where.get((target.name, model), ""))
                for model in content.columns
            ),
        )
        for target in content.targets
        if target.name not in silent
    ]
    lost = any(0 < analysis.score(metric, t.name, m).used < analysis.score(metric, t.name, m).total
               for t in content.targets for m in content.columns)  # fmt: skip
    marks = PART if metric in PARTS else "" if metric in COSTS or info.better == "neither" else MARKS
    caption = f"{_scale(info)} Median over replicates with its 95 % interval.{marks}{_frame(content)}"
    if info.note:
        caption += f" {info.note}"
    if lost:
        caption += " “k of n”: only k replicates have a number; such a cell is not compared."
    foot = f"{without_number(analysis, metric)} {machines.explained(content) if where else ''}".strip()
    return Table(metric, info.title, caption, ("target", *content.columns), tuple(rows), foot)


def beside_table(content: Content, metric: str) -> Table | None:
    """What a debiased distance was before: target × (the noise floor, and every model's plain value).

    One floor for all models of a target: it lies between two samples of the target. None where the run has neither.
    """
    analysis = analyse(content)
    plain, floor = (name if content.scored(name) else "" for name in (f"{metric}_plain", f"{metric}_floor"))
    if not plain and not floor:
        return None
    known = [name for name in (floor, plain) if name]
    rows = []
    for target in content.targets:
        if all(target.name in left_out(analysis, name) for name in known):
            continue
        cells = [Cell(target.name)]
        if floor:
            scores = [analysis.score(floor, target.name, model) for model in content.columns]
            found = next((score for score in scores if score.complete), scores[0])
            cells.append(_shown(found, "frame"))
        if plain:
            cells += [_cell(analysis, plain, target.name, model) for model in content.columns]
        rows.append(tuple(cells))
    title = " and ".join(content.info(name).title for name in (plain, floor) if name)
    if plain and floor:
        title = f"{content.info(plain).title} and its noise floor"
    caption = f"In {content.info(known[0]).unit}. Median over replicates with its 95 % interval."
    if plain:
        caption += " Plain: between a sample of the model and one of the target, their noise included."
    if floor:
        caption += " Noise floor: between two samples of the target, what a perfect model would score on average."
    if content.scored(metric) and plain:
        caption += f" {content.info(metric).title} is the plain value with its sampling noise taken off."
    columns = ("target", *(["noise floor"] if floor else []), *(content.columns if plain else []))
    return Table(f"{metric}_plain", title, caption, columns, tuple(rows), without_number(analysis, known[-1]))


def metric_tables(content: Content) -> list[Table]:
    """The table of every headline metric, each with what stands beside it."""
    tables = []
    for metric in content.headline:
        beside = beside_table(content, metric) if metric in DEBIASED else None
        tables += [metric_table(content, metric), *([beside] if beside else [])]
    return tables


def terminal_tables(content: Content, metrics: Sequence[str] = ("kl", "w2_squared")) -> list[Table]:
    """The tables of these metrics as the terminal shows them: a model a row, for lines are short; none without rows."""
    found = (metric_table(content, metric) for metric in metrics if metric in content.headline)
    return [_turned(table) for table in found if table.rows]


def _turned(table: Table) -> Table:
    """The same with a model a row and a target a column."""
    columns = ("model", *(row[0].text for row in table.rows))
    rows = tuple((Cell(name), *(row[i] for row in table.rows)) for i, name in enumerate(table.columns[1:], start=1))
    return replace(table, columns=columns, rows=rows)


def cost_table(content: Content) -> Table:
    """Model × cost: the median over targets, with the least and the most; a row for each machine where several."""
    known, where = machines.machines(content), machines.labels(content)
    rows = []
    for model in content.columns:
        for label in dict.fromkeys(where[cell] for cell in where if cell[1] == model) or [""]:
            cells = [Cell(model, mark="frame" if model in FRAME else ""), *([Cell(label or "n/a")] if known else [])]
            rows.append((*cells, *(cost_cell(content, metric, model, label) for metric in COSTS)))
    columns = tuple(f"{info.title} ({info.unit})" if info.unit else info.title for info in COSTS.values())
    caption = (
        "Median over targets [least, most]. Lower is better. Times compare only within one machine. Memory is that of "
        "the whole worker process, with its libraries: more than a model's own."
    )
    first = ("model", "machine") if known else ("model",)
    return Table("cost", "Cost", caption, (*first, *columns), tuple(rows), machines.explained(content))


def cost_cell(content: Content, metric: str, model: str, label: str = "") -> Cell:
    """The median of a cost over the targets [least, most]; label: over those on this machine alone."""
    values = table(analyse(content), metric, [model])[model]
    where = machines.labels(content)
    if label:
        values = values[[where.get((target, model)) == label for target in values.index]]
    return spread(values.dropna().to_numpy())


def target_table(content: Content) -> Table:
    """The targets and what makes each one hard."""
    rows = [(Cell(t.name), Cell(str(t.dimension), sort=t.dimension), Cell(t.summary)) for t in content.targets]
    return Table(
        "targets",
        "Targets",
        "What every model was fitted to.",
        ("target", "dimension", "what makes it hard"),
        tuple(rows),
        prose=("what makes it hard",),
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
    caption = "A score that failed is not replaced by anything."
    return Table("failures", "Without a number", caption, columns, tuple(rows), prose=columns)


def numbers(content: Content, metric: str) -> pd.DataFrame:
    """The numbers behind a metric's table, one row per target and model."""
    analysis = analyse(content)
    rows = []
    where = machines.labels(content) if metric in machines.TIMES else {}
    for target in content.targets:
        for model in content.columns:
            score = analysis.score(metric, target.name, model)
            known = score.estimate
            label = where.get((target.name, model), "")
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
                    **({"machine": machines.machines(content).get(label, "")} if where else {}),
                }
            )
    return pd.DataFrame(rows)


def cells(this: Table) -> pd.DataFrame:
    """The cells of a table as text, for the tables that are not of one metric."""
    rows = [[f"{cell.text} {cell.note}".strip() for cell in row] for row in this.rows]
    return pd.DataFrame(rows, columns=list(this.columns))


def _cell(analysis: Analysis, metric: str, target: str, model: str) -> Cell:
    best = model in analysis.leaders.get((metric, target), ())
    return _shown(analysis.score(metric, target, model), "best" if best else "frame" if model in FRAME else "")


def _on(cell: Cell, label: str) -> Cell:
    """The cell with the machine that it was measured on."""
    return replace(cell, note=f"{cell.note} {label}".strip()) if label and cell.mark != "word" else cell


def _shown(score: Score, mark: Literal["", "best", "frame"]) -> Cell:
    if score.estimate is None:
        return Cell(score.word, mark="word")
    value, note = text.interval(score.estimate)
    return Cell(value, note + _lost(score), mark, score.estimate.value)


def _lost(score: Score) -> str:
    return "" if score.used == score.total else f" {score.used} of {score.total}"


def spread(values: np.ndarray) -> Cell:
    """The median of these numbers, with the least and the most."""
    if not len(values):
        return Cell("n/a", mark="word")
    middle = float(np.median(values))
    return Cell(text.number(middle), f"[{text.number(values.min())}, {text.number(values.max())}]", sort=middle)


def _scale(info: MetricInfo) -> str:
    scale = f"In {info.unit}" if info.unit else ""
    if info.better == "neither":
        return f"{scale}." if scale else ""
    return f"{scale}; {info.better} is better." if scale else f"{info.better.capitalize()} is better."


def _frame(content: Content) -> str:
    shown = [model for model in FRAME if model in content.models]
    says = {"oracle": "oracle (the target itself)", "gaussian": "gaussian (the moment-matched Gaussian)"}
    return f" The frame, never the best: {' and '.join(says[model] for model in shown)}." if shown else ""
