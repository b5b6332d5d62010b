"""What is installed, as tables for the terminal: models, targets, metrics, suites."""

from __future__ import annotations

from rich.table import Table

from benchmarks import lookup
from benchmarks import suite as benchmark_suites
from benchmarks.terminal import shown
from metrics import METRICS


def models() -> Table:
    """Every model, where it comes from, and the first line of what it says of itself."""
    table = Table("model", "from", "what it is")
    table.add_row(lookup.ORACLE, "benchmarks.oracle", "The target itself, passed through the same pipeline.")
    for name, plugin in sorted(lookup.available("model").items()):
        table.add_row(*map(shown, (name, plugin.source, _first_line(plugin.load().__doc__))))
    return table


def targets() -> Table:
    """Every target, with what makes it hard; the smallest dimension first."""
    table = Table("target", "d", "what makes it hard")
    found = [plugin.load()() for plugin in lookup.available("target").values()]
    for target in sorted(found, key=lambda target: (target.dimension, target.name)):
        table.add_row(*map(shown, (target.name, str(target.dimension), target.summary)))
    return table


def metrics() -> Table:
    """Every metric: first those of every run, then those that are scored on a finished one."""
    table = Table("metric", "scored", "unit", "better", "what it is")
    custom = {name: plugin.found().about for name, plugin in sorted(lookup.available("metric").items())}
    for where, known in {"in every run": METRICS, "by `score`": custom}.items():
        for name, about in known.items():
            table.add_row(*map(shown, (name, where, about.unit, about.better, about.description)))
    return table


def suites() -> Table:
    """Every suite, and how much it is."""
    table = Table("suite", "cells", "replicates", "what it is")
    for name in benchmark_suites.built_in():
        suite = benchmark_suites.load(name)
        cells = len(suite.models) * len(suite.targets)
        table.add_row(*map(shown, (name, str(cells), str(suite.replicates), suite.description)))
    return table


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().splitlines()[0] if docstring else ""
