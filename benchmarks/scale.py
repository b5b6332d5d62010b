"""What a run costs beside its cells: throughput, the client's memory, and the report, against the number of cells.

A cell here is trivial: its worker makes up the scores. All else is a run's own: keys, Dask, one file per cell, tables.
`python -m benchmarks.scale --cells 100 1000 --out FOLDER` writes scale.md and scale.csv; `--report` also makes reports.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pandas as pd
import psutil
import torch

from benchmarks import engine, execution, machine
from benchmarks.cell import Cell, CellResult
from benchmarks.content import content_of
from benchmarks.files import write_text
from benchmarks.report import write_report
from benchmarks.report.excerpt import excerpt
from metrics import METRICS

TARGETS = 20  # of a run: a sweep of models over not so many targets
SUITE = """
name = "scale"
description = "Trivial cells, to see what the run itself costs."
models = ["oracle"]
targets = ["bimodal"]
replicates = 1
train = 50
"""


def trivial(cell: Cell, _seconds: float = 0) -> CellResult:
    """Made-up scores, the same for the same cell."""
    number = int.from_bytes(hashlib.sha256(cell.name.encode()).digest()[:4], "big") / 2**32
    row = {"target": cell.target.name, "model": cell.model.name, "replicate": 0}
    scores = [row | {"metric": name, "value": number, "error": 0.01, "status": "ok", "reason": ""} for name in METRICS]
    costs = [row | {"metric": name, "value": 1.0} for name in ("fit_cpu_seconds", "score_cpu_seconds")]
    return CellResult("ok", "", scores, costs, {"0/samples": torch.zeros(10, 1)}, machine.stamp())  # type: ignore[arg-type]


class Clock:
    """When the first and the last cell came back: between them the run is under way."""

    def __init__(self) -> None:
        self.first = self.last = 0.0

    def started(self, cell: Cell) -> None:
        """Nothing."""

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Note the time."""
        self.last = time.perf_counter()
        self.first = self.first or self.last


def planned(cells: int, folder: Path) -> execution.Plan:
    """A run of so many cells, or a few more: targets × models."""
    (folder / "scale.toml").write_text(SUITE)
    targets = min(TARGETS, cells)
    models = math.ceil(cells / targets)
    separations = ", ".join(str(2 + number / 10) for number in range(targets))
    components = ", ".join(str(number + 1) for number in range(models))
    return execution.plan(
        str(folder / "scale.toml"),
        targets=[f"two_modes[separation=[{separations}]]"],
        models=[f"gaussian_mixture[components=[{components}]]"],
        out=folder / "run",
    )


def measure(cells: int, workers: int, report: bool) -> dict[str, object]:
    """One run in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        plan = planned(cells, folder)
        ready = time.perf_counter()
        instead = mock.patch.multiple(engine, run_guarded=trivial, run_cell=trivial)  # with workers, and without
        with instead, memory() as used:
            execution.carry_out(plan, workers=workers, observer=(clock := Clock()))
        done = time.perf_counter()
        execution.carry_out(plan, workers=workers)
        again = time.perf_counter()
        found: dict[str, object] = {
            "cells": len(plan.cells),
            "workers": workers,
            "plan (s)": round(ready - began, 1),
            "run (s)": round(done - ready, 1),
            "cells a second": round((len(plan.cells) - 1) / (clock.last - clock.first), 1),
            "tables (s)": round(done - clock.last, 1),
            "client's memory before (MB)": round(used[0]),
            "client's largest memory (MB)": round(max(used)),
            "the same command again (s)": round(again - done, 1),
            "store (MB)": round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1),
        }
        if report:
            with memory() as used:
                write_report(excerpt(content_of(plan.store)), folder / "run")
            found["report (s)"] = round(time.perf_counter() - again, 1)
            found["report's largest memory (MB)"] = round(max(used))
            found["page (MB)"] = round((folder / "run" / "index.html").stat().st_size / 1e6, 1)
        return found


@contextmanager
def memory() -> Iterator[list[float]]:
    """This process's resident memory in megabytes, every tenth of a second until the end."""
    used = [psutil.Process().memory_info().rss / 1e6]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            used.append(psutil.Process().memory_info().rss / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield used
    finally:
        ended.set()
        thread.join()


def markdown(frame: pd.DataFrame) -> str:
    """The table with what it means."""
    stamp = ", ".join(f"{name} {value}" for name, value in machine.stamp().items())
    return (
        f"What a run costs beside its cells, which are trivial here: `python -m benchmarks.scale`. {stamp}.\n\n"
        f"{frame.to_markdown(index=False)}\n"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--workers", type=int, default=2, help="processes; 0 is without Dask")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for cells in arguments.cells:
        rows.append(measure(cells, arguments.workers, arguments.report))
        print(rows[-1], flush=True)
        if arguments.out is not None:  # after each: the largest may take hours
            write_text(arguments.out / "scale.md", markdown(pd.DataFrame(rows)))
            write_text(arguments.out / "scale.csv", pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    from benchmarks import scale  # so that a worker finds what it is to compute by the module's name

    scale.main()
