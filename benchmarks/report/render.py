"""A table in its formats: Markdown, LaTeX, the terminal. CSV holds numbers; HTML is the page's template."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import rich.table
from rich.console import Group
from rich.text import Text
from tabulate import tabulate

from benchmarks import spreadsheet
from benchmarks.files import write_text
from benchmarks.report import text
from benchmarks.report.content import COSTS, DEBIASED, METRICS, Content
from benchmarks.report.quality import quality_numbers, quality_table
from benchmarks.report.summary import all_tables
from benchmarks.report.tables import Cell, Table, beside_table, cells, failure_table, numbers

_STYLES = {"": "", "best": "bold green", "frame": "dim", "word": "yellow"}


def to_markdown(table: Table) -> str:
    """The table alone, as GitHub shows it."""

    def show(cell: Cell) -> str:
        value, note = text.markdown(cell.text), text.markdown(cell.note)
        value = f"**{value}**" if cell.mark == "best" else f"*{value}*" if cell.mark == "word" else value
        return f"{value} {note}".strip()

    header = [text.markdown(column) for column in table.columns]
    rows = [[show(cell) for cell in row] for row in table.rows]
    # The empty format keeps every cell as it is: tabulate would read "**1.0**" as text, but "1.0" as a number to align.
    return tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=_aligned(table)) + "\n"


def with_foot(table: Table) -> str:
    """The table as Markdown, and its foot as a paragraph under it."""
    return to_markdown(table) + (f"\n{text.markdown(table.foot)}\n" if table.foot else "")


def to_latex(table: Table) -> str:
    r"""A table environment; the document needs \usepackage{booktabs} and, with pdfLaTeX, \usepackage[T1]{fontenc}."""

    def show(cell: Cell) -> str:
        value = text.latex(cell.text)
        if cell.mark == "best":
            value = rf"\textbf{{{value}}}"
        if cell.mark == "word":
            value = rf"\emph{{{value}}}"
        # Braces keep the bracket of an interval from being read as an option of the \\ before it.
        return value + (rf" {{\footnotesize {text.latex(cell.note)}}}" if cell.note else "")

    def line(parts: list[str]) -> str:
        # A row that begins with [ or * would be read as an option of the \\ before it.
        first = "{}" if parts[0].startswith(("[", "*")) else ""
        return f"    {first}{' & '.join(parts)} " + r"\\"

    body = [line([show(cell) for cell in row]) for row in table.rows]
    caption = text.latex(f"{table.title}. {table.caption}")
    foot = [rf"  \par\smallskip{{\footnotesize {text.latex(table.foot)}}}"] if table.foot else []
    sides = "".join(side[0] for side in _aligned(table))
    return "\n".join(
        [
            r"% \usepackage{booktabs} \usepackage{graphicx} \usepackage[T1]{fontenc}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption}}}",
            rf"  \label{{tab:{''.join(c for c in table.name if c.isascii() and (c.isalnum() or c == '-'))}}}",
            r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"  \begin{{tabular}}{{{sides}}}",
            r"    \toprule",
            line([text.latex(column) for column in table.columns]),
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}}",
            *foot,
            r"\end{table}",
            "",
        ]
    )


def to_terminal(table: Table) -> Group:
    """The table for the terminal; no text is read as markup. Words are as wide as the terminal, not as the table."""
    caption = "\n".join(text.plain(part) for part in (table.foot, table.caption) if part)
    shown = rich.table.Table()
    for i, (column, side) in enumerate(zip(table.columns, _aligned(table), strict=True)):
        shown.add_column(Text(text.plain(column)), justify="left" if side == "left" else "right", no_wrap=i == 0)
    for row in table.rows:
        shown.add_row(*(_terminal_cell(cell) for cell in row))
    return Group(Text(text.plain(table.title), style="bold"), shown, Text(caption, style="dim"), "")


def write_tables(content: Content, folder: Path) -> list[Path]:
    """Every table as Markdown, LaTeX and CSV in this folder; the failures too. The paths that were written."""
    written = []
    beside = [table for metric in DEBIASED if (table := beside_table(content, metric))]
    quality = [table for table in [quality_table(content)] if table.rows]
    for table in [*all_tables(content), *beside, *quality, failure_table(content)]:
        caption = text.markdown(table.caption)
        texts = {
            "md": f"**{text.markdown(table.title)}.** {caption}\n\n{with_foot(table)}",
            "tex": to_latex(table),
            "csv": spreadsheet.to_csv(_frame(content, table)),
        }
        written += [write_text(folder / f"{table.name}.{suffix}", content) for suffix, content in texts.items()]
    return written


def _frame(content: Content, table: Table) -> pd.DataFrame:
    """What a table's CSV holds: numbers, or the text of the cells where a table is not of one metric."""
    if table.name in content.headline or table.name in COSTS:
        return numbers(content, table.name)
    if table.name == "quality":
        return quality_numbers(content)
    known = [name for name in (table.name, table.name.replace("_plain", "_floor")) if content.scored(name)]
    if table.name in METRICS and known:
        return pd.concat([numbers(content, name).assign(metric=name) for name in known])
    return cells(table)


def _terminal_cell(cell: Cell) -> Text:
    shown = Text(text.plain(cell.text), style=_STYLES[cell.mark])
    return shown.append("\n" + text.plain(cell.note), style="dim") if cell.note else shown


def _aligned(table: Table) -> tuple[str, ...]:
    """Words to the left, numbers to the right."""
    return ("left", *("left" if column in table.prose else "right" for column in table.columns[1:]))
