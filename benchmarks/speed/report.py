"""speed.csv and speed.md: the measurements as one tidy table, and as a page with the machine's stamp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import machine
from benchmarks.files import write_text
from benchmarks.speed.estimators import LIKELIHOOD, W2
from benchmarks.speed.harness import HARNESS
from benchmarks.speed.measurement import COLUMNS, Row
from benchmarks.speed.script import SUITE
from benchmarks.speed.training import PEAK, STEP

SHARES = (PEAK, HARNESS)
CAPTIONS = {
    STEP: "Time of one optimisation step of one replicate. How many times cheaper it is in the suite's loop, with 1, "
    "3, 8 and 32 replicates, than in the plain loop over the same loss (DataLoader, AdamW, LambdaLR, the loss logged), "
    "than the model as others write it in that loop, and than in pythae's trainer where it is installed.",
    PEAK: "Floating-point operations a second in a step's matrix products, as a share of the machine's best.",
    W2: "The suite's comes with plan, potentials and a certificate of optimality; POT's is the value alone.",
    LIKELIHOOD: "The ratio is of CPU times to equal squared error, which for an unbiased mean does not depend on the "
    "number of draws (`benchmarks/efficiency.py`).",
    SUITE: "What the same work is, and what is charged to the suite alone: `benchmarks/speed/script.py`.",
    HARNESS: "The share of a run that is neither fit, nor score, nor sample; another model of the target came first. "
    "Scores are timed in CPU seconds: on a busy machine the wall-clock share holds the others' work.",
}


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """One row per measurement."""
    return pd.DataFrame([astuple(row) for row in rows], columns=COLUMNS)


def markdown(frame: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """A table for each part, under the machine's stamp."""
    stamp = ", ".join(f"{name} {value}" for name, value in machine.stamp().items())
    pieces = [f"One process, one thread. {stamp}. Ratios above one: the suite's side is cheaper; with their range."]
    pieces += notes
    for part, rows in frame.groupby("part", sort=False):
        name = str(part)
        shown = _by_lockstep(rows) if name in (STEP, PEAK) else _line_by_line(rows)
        table = shown.to_markdown(index=False, disable_numparse=True)
        pieces += [f"### {name[0].upper()}{name[1:]}", CAPTIONS[name], table]
    return "\n\n".join(pieces) + "\n"


def write(frame: pd.DataFrame, text: str, folder: Path) -> list[Path]:
    """speed.csv and speed.md in this folder; the paths that were written."""
    csv = frame.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    return [write_text(folder / "speed.csv", csv), write_text(folder / "speed.md", text)]


def _by_lockstep(rows: pd.DataFrame) -> pd.DataFrame:
    """A line for each model and what it is held against, a column for each number of replicates."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows.itertuples():
        key = (row.case, row.theirs_is)
        start = {"model, target": row.case, "against": row.theirs_is, row.unit: _number(row.theirs)}
        lines.setdefault(key, start)[row.ours_is] = _ratio(row)
        if row.goal:
            lines[key]["goal"] = f"{row.goal}, {row.ours_is}"
    shown = pd.DataFrame(lines.values()).fillna("")
    return shown[sorted(shown.columns, key="goal".__eq__)]  # the goal comes last


def _line_by_line(rows: pd.DataFrame) -> pd.DataFrame:
    """Both sides' names and values, and the ratio."""
    lines = [
        {
            "case": row.case,
            "ours": row.ours_is,
            "theirs": row.theirs_is,
            "unit": row.unit,
            "of ours": _number(row.ours),
            "of theirs": _number(row.theirs),
            "share" if row.part in SHARES else "ratio": _ratio(row),
            "goal": row.goal,
        }
        for row in rows.itertuples()
    ]
    shown = pd.DataFrame(lines)
    return shown if shown["goal"].any() else shown.drop(columns="goal")


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e6 else f"{value:.3g}"


def _ratio(row: Any) -> str:
    """The ratio, with its range over repetitions where there were any; or the share in per cent."""
    if row.part in SHARES:
        return f"{100 * row.ratio:.2g} %"
    if row.lowest == row.highest or math.isnan(row.ratio):
        return _number(row.ratio)
    return f"{_number(row.ratio)} ({_number(row.lowest)}–{_number(row.highest)})"
