"""Tables, figures and the page: pure functions of what the store holds."""

from __future__ import annotations

from pathlib import Path

from benchmarks.files import write_text
from benchmarks.report.answer import short_answer
from benchmarks.report.content import Content, MetricInfo, Picture, TargetInfo
from benchmarks.report.figures import draw, save, write_figures
from benchmarks.report.ledger import ledger_table
from benchmarks.report.markdown import readme_section, replace_generated, results_readme
from benchmarks.report.page import page
from benchmarks.report.render import to_terminal, write_tables
from benchmarks.report.summary import all_tables, summary_table
from benchmarks.report.tables import cost_table, failure_table, metric_table, terminal_tables

__all__ = [
    "Content",
    "MetricInfo",
    "Picture",
    "TargetInfo",
    "all_tables",
    "cost_table",
    "failure_table",
    "ledger_table",
    "metric_table",
    "page",
    "readme_section",
    "replace_generated",
    "results_readme",
    "short_answer",
    "summary_table",
    "terminal_tables",
    "to_terminal",
    "write_figures",
    "write_report",
    "write_tables",
]


def write_report(content: Content, folder: Path) -> list[Path]:
    """Write tables/, figures/, index.html and README.md into this folder; the paths that were written.

    Every file is whole or not there, and the same content gives the same bytes.
    """
    drawn = draw(content)
    return [
        *write_tables(content, folder / "tables"),
        *save(drawn, folder / "figures"),
        write_text(folder / "index.html", page(content, drawn)),
        write_text(folder / "README.md", results_readme(content)),
    ]
