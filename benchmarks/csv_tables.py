"""scores.csv and costs.csv: rows of cells, written a batch at a time, and read back."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import pandas as pd

from benchmarks import spreadsheet
from benchmarks.cell import CellResult
from benchmarks.errors import UserError
from benchmarks.files import encoded, written
from benchmarks.stamps import in_words

BATCH = 500  # cells whose rows are in memory at once while tables are written
SCORE_COLUMNS = ["target", "model", "replicate", "metric", "value", "error", "status", "reason"]
COST_COLUMNS = ["target", "model", "replicate", "metric", "value"]
WORDS = ("target", "model", "metric", "status", "reason", "machine")  # columns of text; the others hold numbers


def write(folder: Path, results: Iterable[CellResult | None]) -> None:
    """scores.csv and costs.csv, from which everything else is made. Times are apart: scores are reproducible.

    Costs name their machine where there are several: times are never compared across them. Results are taken one
    after the other, so that a run of any size fits into memory; None is none.
    """
    machines: set[str] = set()
    with (
        written(folder / "scores.csv") as scores,
        written(folder / "costs.csv") as costs,
        TemporaryFile(dir=folder) as plain,
        TemporaryFile(dir=folder) as named,
    ):
        _append(scores, [], SCORE_COLUMNS, header=True)
        _append(plain, [], COST_COLUMNS, header=True)
        _append(named, [], [*COST_COLUMNS, "machine"], header=True)
        for some in _batches(result for result in results if result is not None):
            rows = [row | {"machine": in_words(result.machine)} for result in some for row in result.costs]
            machines |= {str(row["machine"]) for row in rows}
            _append(scores, [row for result in some for row in result.scores], SCORE_COLUMNS)
            _append(plain, rows, COST_COLUMNS)
            _append(named, rows, [*COST_COLUMNS, "machine"])
        chosen = named if len(machines) > 1 else plain
        chosen.seek(0)
        shutil.copyfileobj(chosen, costs)


def read(path: Path, columns: Sequence[str], *, exact: bool = False) -> pd.DataFrame:
    """A CSV file with at least these columns; exact: to the last bit of every number, which takes longer.

    Raises UserError where it cannot be read, lacks a column, or has two rows for one score.
    """
    converters: dict[Hashable, Any] = dict.fromkeys(WORDS, spreadsheet.unguarded)
    converters |= dict.fromkeys(("value", "error"), _exact) if exact else {}
    try:
        # "n/a" is a status word here, not a missing value
        empty = {"value": [""], "error": [""]}
        found = pd.read_csv(path, keep_default_na=False, na_values=empty, converters=converters, low_memory=False)
    except (OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read: {reason}; `pushforward run` makes it") from error
    missing = [column for column in columns if column not in found.columns]
    if missing:
        raise UserError(f"{path} is not a table of scores: it lacks {', '.join(missing)}")
    if not isinstance(found.index, pd.RangeIndex):
        raise UserError(f"{path} is not a table of scores: it has rows with more cells than columns")
    try:
        found = found.astype({"replicate": int} | {name: float for name in ("value", "error") if name in columns})
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path} is not a table of scores: {error}") from error
    twice = found[found.duplicated(["target", "model", "replicate", "metric"])]
    if len(twice):
        first = twice.iloc[0]
        which = f"{first['metric']} of {first['target']} × {first['model']}, replicate {first['replicate']}"
        raise UserError(f"{path} has two rows for {which}")
    return found


def parsed(text: str, columns: Sequence[str], cell: tuple[str, str]) -> list[dict[str, Any]]:
    """The rows that a cell's header holds. Raises ValueError or TypeError unless they are rows of these columns, of
    this cell, and no two of the same."""
    rows: list[dict[str, Any]] = json.loads(text)
    seen = {(row["replicate"], row["metric"]) for row in rows}
    if len(seen) < len(rows):
        raise ValueError("two rows of one score")
    for row in rows:
        numbers = [value for name, value in row.items() if name not in WORDS]
        words = [value for name, value in row.items() if name in WORDS]
        if (row["target"], row["model"]) != cell or not set(row) <= set(columns) or type(row["replicate"]) is not int:
            raise ValueError("a row of something else")
        if not all(isinstance(word, str) for word in words):
            raise TypeError("a word that is no text")
        for number in numbers:
            math.isnan(number or 0.0)  # raises for what is no number, or a larger one than there are
    return rows


def _batches(results: Iterator[CellResult]) -> Iterator[list[CellResult]]:
    """The same ones, some at a time: a table of pandas for each of them alone would take far longer."""
    while some := list(itertools.islice(results, BATCH)):
        yield some


def _append(file: IO[bytes], rows: Sequence[Mapping[str, Any]], columns: list[str], *, header: bool = False) -> None:
    """Lines of a CSV file. Numbers are floats in every batch, so that a batch's lines do not depend on the others'."""
    numbers = {name: float for name in ("value", "error") if name in columns}
    table = pd.DataFrame([_written(row) for row in rows], columns=columns).astype(numbers)
    file.write(spreadsheet.to_csv(table, header=header).encode())


def _written(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with text that can be written: a reason may quote half of a surrogate pair."""
    return {name: encoded(value).decode() if isinstance(value, str) else value for name, value in row.items()}


def _exact(text: str) -> float:
    """The number that this text is, to the last bit; pandas' own reader is faster and may be off by one."""
    return float(text) if text else math.nan
