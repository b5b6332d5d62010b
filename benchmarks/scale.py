"""What a run costs beside its cells: throughput, the client's memory, and the report, against the number of cells.

A cell here is trivial: its worker makes up the scores. All else is a run's own: keys, Dask, one file per cell, tables.
`python -m benchmarks.scale --out results/published` makes the table and the figure that benchmarks/README.md shows.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated
from unittest import mock

import pandas as pd
import psutil
import seaborn as sns
import torch
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks import engine, execution, machine
from benchmarks.cell import Cell, CellResult
from benchmarks.content import content_of
from benchmarks.files import write_bytes, write_text
from benchmarks.report import style, write_report
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
    """When cells came back, and how much memory the client had by then: at the first cell, and then every second."""

    def __init__(self) -> None:
        self.first = self.last = self._noted = 0.0
        self.done = 0
        self.course: list[dict[str, float]] = []

    def started(self, cell: Cell) -> None:
        """Nothing."""

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Note the time."""
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.done += 1
        if self.last - self._noted >= 1:
            self._noted = self.last
            self.course.append({"done": self.done, "seconds": self.last - self.first, "memory": resident()})


def planned(cells: int, folder: Path) -> execution.Plan:
    """A run of so many cells, or a few more: targets × models."""
    (folder / "scale.toml").write_text(SUITE)
    targets = min(TARGETS, cells)
    models = math.ceil(cells / targets)
    return execution.plan(
        str(folder / "scale.toml"),
        targets=[f"two_modes[separation={2 + number / 10}]" for number in range(targets)],
        models=[f"gaussian_mixture[components={number + 1}]" for number in range(models)],
        out=folder / "run",
    )


@dataclass(frozen=True)
class Found:
    """Of one run: its row in the table, and its course: cells done, seconds and the client's megabytes by then."""

    row: dict[str, object]
    course: pd.DataFrame


def measure(cells: int, workers: int, report: bool) -> Found:
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
        row: dict[str, object] = {
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
            row["report (s)"] = round(time.perf_counter() - again, 1)
            row["report's largest memory (MB)"] = round(max(used))
            row["page (MB)"] = round((folder / "run" / "index.html").stat().st_size / 1e6, 1)
        return Found(row, pd.DataFrame(clock.course).assign(cells=len(plan.cells)))


def resident() -> float:
    """This process's resident memory in megabytes."""
    return float(psutil.Process().memory_info().rss / 1e6)


@contextmanager
def memory() -> Iterator[list[float]]:
    """The resident memory, every tenth of a second until the end."""
    used = [resident()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            used.append(resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield used
    finally:
        ended.set()
        thread.join()


def figure(courses: pd.DataFrame) -> Figure:
    """Cells a second, and the client's memory, against the cells that are done; a line for each run."""
    sizes = sorted(set(courses["cells"]))
    with style.look():
        drawing = style.canvas(3.2)
        panels = drawing.subplots(1, 2, sharex=True)
        for colour, size in zip(sns.color_palette("colorblind"), sizes, strict=False):
            course = courses[courses["cells"] == size]
            course = course.iloc[:: math.ceil(len(course) / 50)]
            rate = course["done"].diff() / course["seconds"].diff()
            panels[0].plot(course["done"], rate, color=colour, label=f"{size:,} cells", marker=".")
            panels[1].plot(course["done"], course["memory"], color=colour, marker=".")
        for axes, name in zip(panels, ("cells a second", "the client’s memory (MB)"), strict=True):
            axes.set(xscale="log", ylim=(0, 1.15 * axes.get_ylim()[1]), xlabel="cells done")
            axes.set_title(name, loc="left", fontweight="bold")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(axis="y")
            sns.despine(ax=axes)
        panels[0].legend(frameon=False)
        drawing.subplots_adjust(left=0.06, right=0.99, top=0.9, bottom=0.15, wspace=0.12)
    return drawing


def markdown(frame: pd.DataFrame) -> str:
    """The table with what it means."""
    stamp = ", ".join(f"{name} {value}" for name, value in machine.stamp().items())
    return (
        f"What a run costs beside its cells, which are trivial here: `python -m benchmarks.scale`. {stamp}.\n\n"
        f"{frame.to_markdown(index=False)}\n"
    )


def run(
    out: Annotated[Path, typer.Option(help="Folder for the table and the figure.")],
    cells: Annotated[list[int], typer.Option(help="Sizes of runs.")] = [100, 1_000, 10_000, 100_000],  # noqa: B006
    workers: Annotated[int, typer.Option(help="Processes; 0 is without Dask.")] = 2,
    report: Annotated[bool, typer.Option(help="Make each run's report, too.")] = True,
) -> None:
    """Measure, about half an hour on two cores, and write tables/scale.md, .csv and figures/scale.png, .svg."""
    every: list[Found] = []
    for size in cells:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:  # whose memory nothing else has used
            every.append(apart.submit(measure, size, workers, report).result())
        typer.echo(every[-1].row)
        table = pd.DataFrame([found.row for found in every])
        write_text(out / "tables" / "scale.md", markdown(table))  # after each: the largest takes long
        write_text(out / "tables" / "scale.csv", table.to_csv(index=False, lineterminator="\n"))
        drawing = figure(pd.concat([found.course for found in every]))
        for suffix in ("png", "svg"):
            write_bytes(out / "figures" / f"scale.{suffix}", style.encode(drawing, suffix))


if __name__ == "__main__":
    from benchmarks import scale  # so that a worker finds what it is to compute by the module's name

    typer.run(scale.run)
