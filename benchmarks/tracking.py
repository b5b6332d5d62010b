"""A run, told to an experiment tracker cell by cell; whatever happens there, the run goes on.

Scores are logged and times are not: a tracker puts runs of all machines side by side, where times do not compare.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.cell import Cell, CellResult
from benchmarks.engine import Observer
from benchmarks.errors import unknown
from benchmarks.lookup import Plugin
from benchmarks.source import versions

TRACKERS = ("mlflow",)


@dataclass(frozen=True)
class Record:
    """One finished cell as a tracker keeps it. key: the cell's; metrics: name, value and replicate of every number."""

    name: str
    key: str
    finished: bool
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[str, float, int]]


class Tracker(Protocol):
    """Where records go."""

    def has(self, key: str) -> bool:
        """A record of a cell with this key is there."""

    def add(self, record: Record) -> None:
        """Keep a record."""


class Together:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def started(self, cell: Cell) -> None:
        """Tell each of them."""
        for observer in self.observers:
            observer.started(cell)

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Tell each of them."""
        for observer in self.observers:
            observer.finished(cell, result)


class Tracking:
    """Observes a run: adds a record for every cell that is computed, and for a kept one that the tracker lacks.

    After the first failure it is silent: one line says so, and the next run of the same command adds what is missing.
    """

    def __init__(self, tracker: Tracker, suite: str, folder: Path, complain: Callable[[str], None]) -> None:
        self.tracker = tracker
        self.about = {"suite": suite, "folder": str(folder.absolute())}
        self.complain = complain
        self.begun: set[str] = set()
        self.broken = False

    def started(self, cell: Cell) -> None:
        """Remember that the cell is not one that was kept from before."""
        self.begun.add(cell.name)

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Add the cell. Nothing that a tracker raises leaves here."""
        if self.broken:
            return
        try:
            record = record_of(cell, result, **self.about)
            if cell.name in self.begun or not self.tracker.has(record.key):
                self.tracker.add(record)
        except Exception as error:
            self.broken = True
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            self.complain(
                f"tracking has stopped at {cell.name} ({what}); the run goes on, and the same command, given again, "
                "adds the cells that are missing there"
            )


def opened(name: str, suite: str, folder: Path, complain: Callable[[str], None]) -> Tracking:
    """The observer for `--track NAME`; complain: is told once if it stops.

    Raises UserError for a tracker that there is not, that is not installed, or that cannot be opened.
    """
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    from benchmarks.mlflow_runs import open_mlflow  # MLflow takes a second to import: only who asks for it waits

    return Tracking(open_mlflow(f"pushforward/{suite}"), suite, folder, complain)


def record_of(cell: Cell, result: CellResult, suite: str, folder: str) -> Record:
    """What a tracker is told of a cell: its description, its numbers, and why there are none where there are none."""
    good = [row for row in result.scores if row["status"] == "ok"]
    absent = {str(row["metric"]): str(row["status"]) for row in result.scores if row["status"] not in ("ok", "n/a")}
    return Record(
        name=cell.name,
        key=cell.key(),
        finished=result.status == "ok",
        params={
            "suite": suite,
            "target": cell.target.name,
            "model": cell.model.name,
            **_arguments("target", cell.target),
            **_arguments("model", cell.model),
            "replicates": str(cell.replicates),
            "train": str(cell.train),
            "device": cell.device,
            **{f"sizes.{name}": str(value) for name, value in dataclasses.asdict(cell.sizes).items()},
            **{f"budget.{name}": str(value) for name, value in dataclasses.asdict(cell.budget).items()},
        },
        tags={
            "status": result.status,
            "reason": result.reason,
            "without_number": ", ".join(f"{metric} ({word})" for metric, word in absent.items()),
            "folder": folder,
            **{f"version.{name}": version for name, version in versions().items()},
        },
        metrics=[
            (f"{row['metric']}{suffix}", float(row[column]), int(row["replicate"]))  # type: ignore[arg-type]
            for row in good
            for suffix, column in (("", "value"), ("_error", "error"))
        ],
    )


def _arguments(kind: str, plugin: Plugin) -> dict[str, str]:
    return {f"{kind}.{name}": str(value) for name, value in plugin.arguments}
