"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmarks.report.answer import QUESTION, short_answer
from benchmarks.report.content import Content
from benchmarks.report.figures import draw, figures
from benchmarks.report.quality import quality_table
from benchmarks.report.style import colours
from benchmarks.report.summary import summary_table
from benchmarks.report.tables import cost_table, failure_table, metric_table, metric_tables, target_table
from benchmarks.report.text import plain


def template(name: str) -> Template:
    """A template of this folder. Whatever it is given is escaped, and set on one line without control characters."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Markup, a str of its own kind, is the template's; plain strings come from the run.
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    return environment.get_template(name)


def embedded(title: str, caption: str, png: bytes) -> dict[str, str]:
    """A figure as the templates show it: inside the page."""
    return {"title": title, "caption": caption, "data": base64.b64encode(png).decode()}


def page(content: Content, drawn: dict[str, dict[str, bytes]] | None = None) -> str:
    """The page, with its figures inside it; drawn: what `figures.draw` made of this content, if it is at hand."""
    drawn = draw(content) if drawn is None else drawn
    shown = {
        name: embedded(drawing.title, drawing.caption, drawn[name]["png"]) for name, drawing in figures(content).items()
    }
    return template("page.html.j2").render(
        question=QUESTION,
        answer=short_answer(content),
        summary=summary_table(content),
        metrics=[*metric_tables(content), metric_table(content, "fit_cpu_seconds")],
        cost=cost_table(content),
        targets=target_table(content),
        quality=quality_table(content),
        failures=failure_table(content),
        figures=shown,
        colours=colours(content),
        provenance=content.provenance,
    )
