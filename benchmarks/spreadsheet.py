"""Tables as CSV that a spreadsheet may open: no text in them is a formula, and every text comes back as it was.

A spreadsheet runs a cell that begins with =, +, - or @. Text that begins so is written with an apostrophe before it, as
a person would type it; so is text that begins with apostrophes and then so, which makes it possible to take exactly one
away again. Numbers, and text of nothing but numbers such as "-0.1 [-0.2, 0.0]", stay as they are. Every end of a line
becomes a newline: readers disagree on a lone carriage return.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
NUMBERS = re.compile(r"[-+][\d.,e+\-\[\] ]*(n/a\])?( \d+ of \d+)?( M\d+)?")


def guarded(value: Any) -> Any:
    """The value of a cell, its text made safe; what is no text is left alone."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if FORMULA.match(text) and not NUMBERS.fullmatch(text) else text


def unguarded(value: str) -> str:
    """The text that `guarded` made this of, but for its line ends."""
    return value[1:] if value.startswith("'") and FORMULA.match(value) else value


def to_csv(frame: pd.DataFrame, *, header: bool = True) -> str:
    """The frame as CSV, without its index; header: with the line that names the columns."""
    safe = pd.DataFrame({i: _column(frame.iloc[:, i]) for i in range(frame.shape[1])}, index=frame.index)
    safe.columns = pd.Index([guarded(name) for name in frame.columns])
    return str(safe.to_csv(index=False, header=header, lineterminator="\n"))


def _column(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return pd.Series([guarded(value) for value in column], index=column.index, dtype=object)
