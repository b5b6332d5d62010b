import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks.report import ledger_table, to_terminal
from benchmarks.report.render import to_latex, to_markdown


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("W2", "two Gaussians", 1.5, 1.52, 0.02, 1.0, "agrees", "Dowson and Landau 1982"),
            ("KL", "a | pipe", 0.25, 0.4, 0.01, 15.0, "differs", "closed form"),
            ("flow", "round trip", "≤ 1e-6", 3e-7, np.nan, np.nan, "agrees", "own"),
        ],
        columns=["group", "check", "expected", "got", "error", "z", "verdict", "source"],
    )


def test_a_ledger_is_a_table() -> None:
    table = ledger_table(frame())
    assert table.columns == ("check", "group", "expected", "got", "z", "verdict", "source")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    # The interval is 1.96 standard errors either way: 1.52 ± 0.0392.
    assert (rows[0]["got"].text, rows[0]["got"].note) == ("1.52", "[1.48, 1.56]")
    assert rows[0]["expected"].text == "1.500"
    assert rows[2]["expected"].text == "≤ 1e-6"
    assert rows[2]["z"].text == "n/a"
    assert (rows[0]["verdict"].mark, rows[1]["verdict"].mark) == ("", "word")
    assert table.foot == "2 of 3 checks hold; not: a | pipe."
    assert math.isfinite(rows[1]["z"].sort)


def test_a_ledger_has_every_format() -> None:
    table = ledger_table(frame())
    markdown = to_markdown(table)
    assert r"a \| pipe" in markdown
    assert "| *differs*" in markdown
    assert r"\begin{tabular}{llrrrll}" in to_latex(table)
    console = Console(file=io.StringIO(), width=300)
    console.print(to_terminal(table))
    assert isinstance(console.file, io.StringIO)
    assert "Dowson and Landau 1982" in console.file.getvalue()


def test_an_empty_ledger_and_a_wrong_one() -> None:
    empty = ledger_table(frame().iloc[:0])
    assert empty.rows == ()
    assert empty.foot == ""
    assert "verdict" in to_markdown(empty)
    with pytest.raises(ValueError, match="source"):
        ledger_table(frame().drop(columns="source"))


def test_all_good_is_said() -> None:
    assert ledger_table(frame().iloc[[0, 2]]).foot == "All 2 checks hold."
