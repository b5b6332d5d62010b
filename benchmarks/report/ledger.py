"""A ledger of checks as a table: what was expected, what was got, and by how many standard errors they differ."""

from __future__ import annotations

import math

import pandas as pd

from benchmarks.report import text
from benchmarks.report.statistics import Estimate
from benchmarks.report.tables import Cell, Table

COLUMNS = ("group", "check", "expected", "got", "error", "z", "verdict", "source")

#: The verdicts that need no attention; every other is marked.
GOOD = frozenset({"ok", "pass", "passed", "agrees", "holds", "exact", "yes", "true"})

CAPTION = (
    "Every line compares a number of this suite with one that was known before: from a closed form, a published value "
    "or other software. Got: with its 95 % interval, 1.96 standard errors either way, where it has an error. z: got "
    "less expected, in standard errors."
)


def ledger_table(frame: pd.DataFrame, title: str = "The ledger", caption: str = CAPTION) -> Table:
    """The checks of a frame as a table, one row each in the frame's order.

    frame: the columns of COLUMNS. expected and got: a number, or words where it is no number ("≤ 0.01"). error: the
    standard error of got, z: (got − expected) / error; NaN where there is none. Raises ValueError where a column is
    missing.
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(f"the ledger lacks the columns {', '.join(missing)}")
    rows = tuple(_row(row) for row in frame[list(COLUMNS)].astype(object).itertuples(index=False))
    columns = ("check", "group", "expected", "got", "z", "verdict", "source")
    return Table("ledger", title, caption, columns, rows, _count(rows), prose=("group", "verdict", "source"))


def _row(row: tuple[object, ...]) -> tuple[Cell, ...]:
    group, check, expected, got, error, z, verdict, source = row
    good = _words(verdict).lower() in GOOD
    return (
        Cell(_words(check)),
        Cell(_words(group)),
        _value(expected),
        _value(got, _number(error)),
        _value(z, digits=2),
        Cell(_words(verdict) or "n/a", mark="" if good else "word"),
        Cell(_words(source)),
    )


def _value(value: object, error: float = math.nan, digits: int = 4) -> Cell:
    number = _number(value)
    if not math.isfinite(number):
        return Cell(_words(value) or "n/a", mark="" if _words(value) else "word")
    if not math.isfinite(error):
        return Cell(text.number(number, digits), sort=number)
    return Cell(*text.interval(Estimate(number, number - 1.96 * error, number + 1.96 * error)), sort=number)


def _number(value: object) -> float:
    """The number that this is; NaN for words. A truth value is a word."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _words(value: object) -> str:
    return "" if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else str(value)


def _count(rows: tuple[tuple[Cell, ...], ...]) -> str:
    bad = [row[0].text for row in rows if row[5].mark == "word"]
    if not bad:
        return f"All {len(rows)} checks hold." if rows else ""
    return f"{len(rows) - len(bad)} of {len(rows)} checks hold; not: {', '.join(bad)}."
