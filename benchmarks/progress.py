"""The live view of a run: the table filling in, cells done, running and failed, and the time left."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.cell import Cell, CellResult
from benchmarks.errors import plain
from benchmarks.terminal import shown

MOST = 1000  # cells of a run that is shown as a table
LINES = 20  # running cells that are shown by name otherwise
SHOWN = ("kl", "w2_squared", "sliced_w2_squared", "w1")


class Progress:
    """Observes a run: redraws a table on a terminal, prints a line for each cell elsewhere."""

    def __init__(self, cells: Sequence[Cell], console: Console) -> None:
        self.cells = cells
        self.console = console
        self.running: dict[str, float] = {}
        self.shown: dict[str, Text] = {}
        self.failed = 0
        self.kept = 0
        self.began = time.monotonic()
        self.live = Live(console=console, get_renderable=self._draw, refresh_per_second=2, transient=True)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def started(self, cell: Cell) -> None:
        """Note when a cell began."""
        self.running[cell.name] = time.monotonic()

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Note a result; one that was never started was kept from before."""
        began = self.running.pop(cell.name, None)
        self.shown[cell.name] = Text(plain(brief(result)), style="" if result.status == "ok" else "bold red")
        self.failed += result.status != "ok"
        self.kept += began is None
        if not self.console.is_terminal:
            took = "kept" if began is None else f"{time.monotonic() - began:.0f} s"
            line = f"[{len(self.shown)}/{len(self.cells)}] {cell.name}: {brief(result)} ({took})"
            self.console.print(shown(line), soft_wrap=True)

    def _draw(self) -> Group:
        models = list(dict.fromkeys(cell.model.name for cell in self.cells[:MOST]))
        targets = {cell.target.name for cell in self.cells[:MOST]}
        # The table of a study would be mostly holes, and that of a very large run nobody can see.
        if len(self.cells) < len(models) * len(targets) or len(self.cells) > MOST:
            first = itertools.islice(self.running.items(), LINES)
            running = (Text(f"{name}: {time.monotonic() - began:.0f} s …") for name, began in first)
            return Group(*running, Text(self._summary(), style="dim"))
        table = Table(box=None, padding=(0, 1), header_style="bold")
        table.add_column("target")
        for model in models:
            table.add_column(shown(model), justify="right")
        by_target: dict[str, dict[str, Cell]] = {}
        for cell in self.cells:
            by_target.setdefault(cell.target.name, {})[cell.model.name] = cell
        for target, row in by_target.items():
            table.add_row(shown(target), *(self._entry(row[model]) for model in models))
        return Group(table, Text(self._summary(), style="dim"))

    def _entry(self, cell: Cell) -> Text:
        if cell.name in self.shown:
            return self.shown[cell.name]
        if cell.name in self.running:
            return Text(f"{time.monotonic() - self.running[cell.name]:.0f} s …", style="yellow")
        return Text("·", style="dim")

    def _summary(self) -> str:
        done = len(self.shown)
        elapsed = time.monotonic() - self.began
        left = "estimating" if done == self.kept else f"{elapsed / (done - self.kept) * (len(self.cells) - done):.0f} s"
        shown = "entries: KL in nats where p* is known, else debiased W2²"
        return (
            f"{done} of {len(self.cells)} cells done ({self.kept} kept from before), {len(self.running)} running, "
            f"{self.failed} failed, {elapsed:.0f} s so far, about {left} left; {shown}"
        )


def brief(result: CellResult) -> str:
    """One number of a result: the median over replicates of the first shown metric that has one; or its status."""
    if result.status != "ok":
        return f"{result.status}: {result.reason}"[:100]
    for metric in SHOWN:
        values = [row["value"] for row in result.scores if row["metric"] == metric and row["status"] == "ok"]
        numbers = [float(value) for value in values if value is not None]
        if numbers:
            return f"{metric} {statistics.median(numbers):.3g}"
    return "done"
