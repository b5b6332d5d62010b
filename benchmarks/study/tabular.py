"""The numbers behind a figure, as a table with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report import text
from benchmarks.report.statistics import Estimate
from benchmarks.report.tables import Cell, Table

Row = tuple[str, ...]


def table(
    name: str, title: str, caption: str, columns: Sequence[str], rows: Sequence[tuple[Row, Sequence[Estimate | None]]]
) -> Table:
    """Rows of words and then estimates; what has no number says so."""
    body = [(*(Cell(word) for word in words), *(_cell(value) for value in values)) for words, values in rows]
    words = len(rows[0][0]) if rows else 1
    return Table(name, title, caption, tuple(columns), tuple(body), prose=tuple(columns[:words]))


def said(value: Estimate | None, unit: str = "") -> str:
    """A number with its interval within a sentence."""
    return "no number" if value is None else text.estimate(value) + (f" {unit}" if unit else "")


def percent(value: Estimate | None) -> str:
    """A share with its interval, in per cent, within a sentence."""
    if value is None:
        return "no number"
    shown, interval = text.interval(Estimate(100 * value.value, 100 * value.low, 100 * value.high))
    return f"{shown} % {interval}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _cell(value: Estimate | None) -> Cell:
    if value is None:
        return Cell("no number", mark="word")
    if value.low == value.high:
        return Cell(text.number(value.value), sort=value.value)
    shown, interval = text.interval(value)
    return Cell(shown, interval, sort=value.value)
