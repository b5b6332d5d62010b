"""A comparison of two runs in words and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import text
from benchmarks.report.comparison import BEYOND_NOISE, LEVEL, VERDICTS, Compared, Side, counts, said
from benchmarks.report.tables import Cell, Table, spread

#: What a score depends on beside the model and the data: where runs differ in it, so may their scores, for no other
#: reason.
DECISIVE = ("train", "sizes", "budget")

#: More metrics than this are counted, not named.
FEW = 6

Difference = tuple[str, str, str]


def sentences(compared: Sequence[Compared], metrics: Sequence[str]) -> list[str]:
    """How many scores were compared, how many changed, and how many of these chance alone would show."""
    cells = len({(this.target, this.model) for this in compared})
    found = counts(compared)
    same, beyond = found.get("same", 0), sum(found.get(verdict, 0) for verdict in BEYOND_NOISE)
    rest = [f"{count} {verdict}" for verdict, count in found.items() if verdict not in (*BEYOND_NOISE, "same")]
    kinds = ", ".join(f"{found[verdict]} {verdict}" for verdict in BEYOND_NOISE if verdict in found)
    changed = f"{beyond} changed beyond noise" + (f" ({kinds})" if kinds else "")
    parts = "; ".join([f"{same} same to the last bit", changed, *rest])
    by = ", ".join(metrics) if len(metrics) <= FEW else f"{len(metrics)} metrics"
    first = f"{_count(len(compared), 'score')} of {_count(cells, 'cell')} ({by}): {parts}."
    tested = [this for this in compared if math.isfinite(this.chance)]
    if not tested:
        return [first]
    alone = sum(this.moved for this in tested)
    return [
        first,
        f"{_count(len(tested), 'difference')} tested: if nothing but noise had changed, at"
        f" most about {text.number(LEVEL * len(tested), 2)} of their 95 % intervals would leave zero out by chance"
        f" alone; {alone} {'does' if alone == 1 else 'do'}. The verdicts allow for that (Benjamini–Hochberg,"
        f" {100 * LEVEL:.0f} %): of what is called beyond noise, about one in {1 / LEVEL:.0f} at most is expected to be"
        " noise.",
    ]


def score_table(compared: Sequence[Compared], *, everything: bool) -> Table:
    """One row per score: both values, the difference and the verdict; what asks for attention first.

    everything: also the scores that are the same and those of a target or a model that only one run has, and then in
    the order of the runs.
    """
    shown, foot = list(compared), ""
    if not everything:
        alone = _alone(compared)
        shown = [this for this in compared if this.verdict != "same" and this not in alone]
        shown.sort(key=lambda this: VERDICTS.index(this.verdict))
        if alone:
            foot = f"Not shown: {_count(len(alone), 'score')} of targets or models that only one run has."
    caption = (
        "A and B: medians over each run’s replicates. B − A: the median over those that have a number in both, "
        "paired, with its 95 % interval; it holds their spread and both scores’ own errors. The difference of two "
        "medians need not be the median of the differences. Verdicts are adjusted for the number of tests, the "
        "intervals are not."
    )
    columns = ("target", "model", "metric", "A", "B", "B − A", "paired", "verdict")
    rows = tuple(_row(this) for this in shown)
    title = "Every score" if everything else "What differs"
    return Table("compare", title, caption, columns, rows, foot, prose=("model", "metric", "verdict"))


def _alone(compared: Sequence[Compared]) -> list[Compared]:
    """The scores of targets and of models that are in one run only."""
    shared = [this for this in compared if this.a is not None and this.b is not None]
    targets, models = {this.target for this in shared}, {this.model for this in shared}
    single = [this for this in compared if this.a is None or this.b is None]
    return [this for this in single if this.target not in targets or this.model not in models]


def description_differences(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> list[Difference]:
    """What two runs' run.json say differently: the key, what A says, what B says. Empty where either has none."""
    if a is None or b is None:
        return []
    left, right = _flat(a), _flat(b)
    found = [
        (key, left.get(key, "absent"), right.get(key, "absent"))
        for key in dict.fromkeys([*left, *right])
        if left.get(key) != right.get(key)
    ]
    for kind in ("targets", "models"):
        mine, theirs = _names(a, kind), _names(b, kind)
        if set(mine) != set(theirs):
            alone = [", ".join(name for name in side if name not in other) for side, other in
                     ((mine, theirs), (theirs, mine))]  # fmt: skip
            found.append((f"{kind} of one run only", alone[0] or "none", alone[1] or "none"))
    return found


def incomparable(differences: Sequence[Difference]) -> str:
    """A sentence on what makes the runs' scores differ for reasons that are not the models'; nothing without any."""
    why = [f"{key} ({a} in A, {b} in B)" for key, a, b in differences if key.split(".")[0] in DECISIVE]
    if not why:
        return ""
    return (
        f"In part not comparable: the runs differ in {', '.join(why)}. Their scores may differ for that alone: a "
        "verdict says that a score changed, not that a model did."
    )


def description_table(differences: Sequence[Difference]) -> Table:
    """What the runs' descriptions differ in."""
    rows = tuple((Cell(key), Cell(a), Cell(b)) for key, a, b in differences)
    caption = "What differs in the runs’ run.json."
    return Table("descriptions", "The runs’ descriptions", caption, ("what", "A", "B"), rows, prose=("A", "B"))


def cost_table(a: pd.DataFrame, b: pd.DataFrame) -> Table:
    """Model × CPU seconds of a fit in A, in B, and B / A: the median over the targets of both [least, most].

    a, b: costs of cells that were computed on one and the same machine.
    """
    known = [costs[costs["metric"] == "fit_cpu_seconds"] for costs in (a, b)]
    left, right = (costs.groupby(["model", "target"], sort=False)["value"].median() for costs in known)
    both = left.index.intersection(right.index, sort=False)
    rows = []
    for model in dict.fromkeys(model for model, _ in both):
        mine, theirs = (side.loc[both].loc[[model]].to_numpy(float) for side in (left, right))
        good = (mine > 0) & np.isfinite(theirs)
        rows.append((Cell(str(model)), spread(mine), spread(theirs), spread(theirs[good] / mine[good])))
    caption = (
        "CPU seconds of a fit, the median over the targets in both runs [least, most]. A time has no error here, and a "
        "busy machine is slower: read the ratios to tens of per cent."
    )
    return Table("compare_costs", "Fit, CPU time", caption, ("model", "A", "B", "B / A"), tuple(rows))


def _row(this: Compared) -> tuple[Cell, ...]:
    beyond = this.verdict in BEYOND_NOISE
    difference = Cell("n/a", mark="word")
    if this.verdict == "same":
        difference = Cell("0", sort=0.0)
    elif this.difference is not None:
        value, note = text.interval(this.difference)
        difference = Cell(value, note, "best" if this.verdict == "better" else "", this.difference.value)
    verdict: str = this.verdict
    if this.verdict == "status changed":
        verdict = f"status changed: {said(this.a)} → {said(this.b)}"
    elif this.verdict == "no number":
        verdict = f"no replicate has a number in both: {said(this.a)}"
    totals = [len(side.statuses) for side in (this.a, this.b) if side is not None]
    return (
        Cell(this.target),
        Cell(this.model),
        Cell(this.metric),
        _value(this.a),
        _value(this.b),
        difference,
        Cell(f"{this.paired} of {max(totals)}", sort=this.paired),
        Cell(verdict, mark="best" if this.verdict == "better" else "word" if beyond or "changed" in verdict else ""),
    )


def _value(side: Side | None) -> Cell:
    if side is None or not math.isfinite(side.value):
        return Cell(said(side), mark="word")
    return Cell(text.number(side.value, 4), sort=side.value)


def _flat(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a run.json says that a score or a time may depend on, by key, as words."""
    description = manifest.get("description") or {}
    nested = {
        **{part: description.get(part) for part in ("sizes", "budget", "limits")},
        **{part: manifest.get(part) for part in ("versions", "machine")},
    }
    found = {
        "suite": manifest.get("suite"),
        "replicates": manifest.get("replicates"),
        "train": description.get("train"),
        **{f"{part}.{key}": value for part, held in nested.items() for key, value in (held or {}).items()},
        "device": manifest.get("device"),
        "command": manifest.get("command"),
    }
    return {key: "none" if value is None else str(value) for key, value in found.items()}


def _names(manifest: Mapping[str, Any], kind: str) -> list[str]:
    """The targets or models of a run.json; the former are tables with a name."""
    return [str(each["name"] if isinstance(each, Mapping) else each) for each in manifest.get(kind) or []]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
