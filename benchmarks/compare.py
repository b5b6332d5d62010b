"""Two runs held against each other: what changed, by how much, and whether it is more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import spreadsheet
from benchmarks.errors import UserError, unknown
from benchmarks.files import made_folder, write_text
from benchmarks.report import comparison as scored
from benchmarks.report import comparison_tables as tables
from benchmarks.report import text
from benchmarks.report.comparison import COMPARED, Compared
from benchmarks.report.render import with_foot
from benchmarks.report.tables import Table
from benchmarks.stamps import in_words
from benchmarks.store import Store
from metrics import METRICS

#: The name that stands for every metric.
ALL = "all"


@dataclass(frozen=True)
class Comparison:
    """What is said of two runs: sentences, then tables; and every score, whether it differs or not."""

    summary: tuple[str, ...]
    tables: tuple[Table, ...]
    compared: tuple[Compared, ...]


def compare(a: Path, b: Path, metrics: Sequence[str] | None = None, *, everything: bool = False) -> Comparison:
    """Compare the runs in two directories, by these metrics: all of them for "all", the headline ones by default.

    everything: the table of scores also shows those that are the same. Raises UserError for a metric that there is not
    and a directory without readable scores.
    """
    chosen = _metrics(metrics or ())
    stores = Store(a), Store(b)
    manifests = _manifest(stores[0]), _manifest(stores[1])
    compared = scored.compare(stores[0].scores(exact=True), stores[1].scores(exact=True), chosen)
    differences = tables.description_differences(*manifests)
    missing = [str(store.folder) for store, found in zip(stores, manifests, strict=True) if found is None]
    costs, word = _costs(*stores)
    sentences = [
        f"A: {a}; B: {b}.",
        *tables.sentences(compared, chosen),
        tables.incomparable(differences),
        f"Without a run.json, and so not compared by their descriptions: {', '.join(missing)}." if missing else "",
        "" if differences or missing else "The runs’ descriptions do not differ.",
        word,
    ]
    shown = (tables.description_table(differences), tables.score_table(compared, everything=everything), costs)
    return Comparison(
        tuple(sentence for sentence in sentences if sentence),
        tuple(table for table in shown if table.rows),
        tuple(compared),
    )


def markdown(comparison: Comparison) -> str:
    """The comparison as a page."""
    parts = ["# What changed", "\n".join(f"- {text.markdown(sentence)}" for sentence in comparison.summary)]
    parts += [
        f"## {text.markdown(table.title)}\n\n{text.markdown(table.caption)}\n\n{with_foot(table).rstrip()}"
        for table in comparison.tables
    ]
    return "\n\n".join(parts) + "\n"


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """compare.md, and compare.csv with every score that was compared; the paths that were written."""
    rows = spreadsheet.to_csv(scored.frame(comparison.compared))
    made_folder(folder)
    return [write_text(folder / "compare.md", markdown(comparison)), write_text(folder / "compare.csv", rows)]


def _metrics(names: Sequence[str]) -> list[str]:
    """The metrics that are meant, each once. Raises UserError for one that there is not."""
    for name in names:
        if name not in METRICS and name != ALL:
            raise unknown("metric", name, METRICS)
    return list(METRICS) if ALL in names else list(dict.fromkeys(names or COMPARED))


def _manifest(store: Store) -> dict[str, Any] | None:
    """What run.json says; None where there is none. Raises UserError where it is not a run's."""
    return None if store.manifest() is None else store.described(whole=False)


def _costs(a: Store, b: Store) -> tuple[Table, str]:
    """The table of fits on one machine, and which cells it leaves out: times are never compared across stamps."""
    known = [_stamped(store) for store in (a, b)]
    cells = [
        costs.drop_duplicates(["target", "model"]).set_index(["target", "model"])["machine"].to_dict()
        for costs in known
    ]
    both = [cell for cell in cells[0] if cell in cells[1]]
    same = {cell for cell in both if cells[0][cell] and cells[0][cell] == cells[1][cell]}
    word = ""
    if len(same) < len(both):
        word = (
            f"Costs of {len(both) - len(same)} of {len(both)} cells are not compared: the runs are from different "
            "machines there, or do not say from which."
        )
    shown = [costs[[pair in same for pair in _pairs(costs)]] if len(costs) else costs for costs in known]
    return tables.cost_table(*shown), word


def _stamped(store: Store) -> pd.DataFrame:
    """costs.csv, each row with its machine: as it says itself, as its cell says, or else as run.json says."""
    try:
        costs = store.costs()
    except UserError:  # a run may be compared by its scores alone
        return pd.DataFrame(columns=["target", "model", "replicate", "metric", "value", "machine"])
    if "machine" in costs.columns:
        return costs
    whole = in_words((store.manifest() or {}).get("machine") or {})
    stamps = {pair: store.stamp(*pair) or whole for pair in dict.fromkeys(_pairs(costs))}
    return costs.assign(machine=[stamps[pair] for pair in _pairs(costs)])


def _pairs(costs: pd.DataFrame) -> list[tuple[str, str]]:
    """Of each row its target and model."""
    return list(zip(costs["target"], costs["model"], strict=True))
