"""The quality table: is a model at its standard budget as good as a careful hand-tuned run of its kind?

The figures to reach are data, hand_tuned.toml: what was measured, at what cost, where from.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from benchmarks.report import machines, text
from benchmarks.report.analysis import Analysis, analyse
from benchmarks.report.content import Content
from benchmarks.report.tables import Cell, Table

CAPTION = (
    "KL in nats. Ours: the median [least, most] over the replicates of this run, at its budget and with the model’s "
    "one set of defaults. Hand-tuned ({source}): tuned to the target, on other draws than ours. Reached: our median is "
    "no larger than the upper end of that; “by some”: our least replicate is. CPU seconds are of one fit, theirs on a "
    "busy machine: read them to a factor."
)


@dataclass(frozen=True)
class HandTuned:
    """One figure of hand_tuned.toml: KL from low to high, in nats; seconds: CPU seconds of a fit, in words."""

    model: str
    target: str
    low: float
    high: float
    seconds: str
    measured: str


@dataclass(frozen=True)
class Comparison:
    """A figure and our replicates' KL (R,); none where the cell is not complete: then word says why."""

    figure: HandTuned
    ours: tuple[float, ...]
    word: str

    @property
    def verdict(self) -> str:
        """Whether the figure is reached: "yes", "by some" replicates, "no", or "n/a" without a complete cell."""
        if not self.ours:
            return "n/a"
        if np.median(self.ours) <= self.figure.high:
            return "yes"
        return "by some" if min(self.ours) <= self.figure.high else "no"


@cache
def hand_tuned() -> tuple[str, tuple[HandTuned, ...]]:
    """Where the figures are from, and the figures, in the order of the file."""
    data = tomllib.loads(files("benchmarks.report").joinpath("hand_tuned.toml").read_text(encoding="utf-8"))
    figures = (
        HandTuned(row["model"], row["target"], row["kl"][0], row["kl"][1], row["seconds"], row["measured"])
        for row in data["figure"]
    )
    return data["source"], tuple(figures)


def comparisons(content: Content) -> list[Comparison]:
    """Every figure whose target and model this run has."""
    analysis = analyse(content)
    targets = {target.name for target in content.targets}
    return [
        _compared(analysis, figure)
        for figure in hand_tuned()[1]
        if figure.target in targets and figure.model in content.models and "kl" in content.headline
    ]


def quality_table(content: Content) -> Table:
    """Model and target × our KL, the hand-tuned one, whether it is reached, and both costs. Empty without any."""
    analysis, source = analyse(content), hand_tuned()[0]
    rows = tuple(_row(analysis, this) for this in comparisons(content))
    verdicts = [row[4].text for row in rows]
    foot = ""
    if rows:
        reached, some, not_ = (verdicts.count(word) for word in ("yes", "by some", "no"))
        foot = f"Reached: {reached} of {len(rows)}; by some replicates: {some}; not: {not_}."
    columns = ("model", "target", "ours", "hand-tuned", "reached", "our CPU s", "its CPU s", "what was tuned by hand")
    return Table(
        "quality",
        "Quality",
        CAPTION.format(source=source),
        columns,
        rows,
        foot,
        prose=("target", "reached", "what was tuned by hand"),
    )


def quality_numbers(content: Content) -> pd.DataFrame:
    """The numbers behind the table, one row per figure; NaN where we have none."""
    rows = []
    for this in comparisons(content):
        figure, ours = this.figure, np.array(this.ours or [math.nan])
        rows.append(
            {
                "model": figure.model,
                "target": figure.target,
                "median": float(np.median(ours)),
                "least": float(ours.min()),
                "most": float(ours.max()),
                "replicates": len(this.ours),
                "hand_tuned_least": figure.low,
                "hand_tuned_most": figure.high,
                "reached": this.verdict,
                "hand_tuned_cpu_seconds": figure.seconds,
                "measured": figure.measured,
                "source": hand_tuned()[0],
            }
        )
    return pd.DataFrame(rows)


def _compared(analysis: Analysis, figure: HandTuned) -> Comparison:
    rows = analysis.replicates.get(("kl", figure.target, figure.model))
    if rows is None:
        score = analysis.score("kl", figure.target, figure.model)
        return Comparison(figure, (), score.word if score.estimate is None else "incomplete")
    return Comparison(figure, tuple(rows["value"]), "")


def _row(analysis: Analysis, this: Comparison) -> tuple[Cell, ...]:
    figure, ours = this.figure, np.array(this.ours)
    if this.ours:
        middle = float(np.median(ours))
        cell = Cell(text.number(middle), f"[{text.number(ours.min())}, {text.number(ours.max())}]", sort=middle)
    else:
        cell = Cell(this.word, mark="word")
    span = f"{figure.low:g}" if figure.low == figure.high else f"{figure.low:g}–{figure.high:g}"
    seconds = analysis.value("fit_cpu_seconds", figure.target, figure.model)
    where = machines.labels(analysis.content).get((figure.target, figure.model), "")
    return (
        Cell(figure.model),
        Cell(figure.target),
        cell,
        Cell(span, sort=figure.high),
        Cell(this.verdict, mark="" if this.verdict == "yes" else "word"),
        Cell(text.number(seconds), where, sort=seconds),
        Cell(figure.seconds or "not noted"),
        Cell(figure.measured),
    )
