from __future__ import annotations

import io

from rich.console import Console

from benchmarks import execution
from benchmarks.cell import failed, run_cell
from benchmarks.progress import Progress


def test_the_table_fills_in(tiny, tmp_path):
    cells = execution.plan(tiny, out=tmp_path / "run").cells
    output = io.StringIO()
    console = Console(file=output, width=160, force_terminal=True)
    progress = Progress(cells, console)
    done, running, bad, _ = cells
    progress.started(done)
    progress.finished(done, run_cell(done))
    progress.started(running)
    progress.finished(bad, failed(bad, "failed", "no [red]luck[/red]"))
    console.print(progress._draw())
    shown = output.getvalue()
    assert "kl 0" in shown
    assert "0 s …" in shown
    assert "no [red]luck[/red]" in shown
    assert "2 of 4 cells done (1 kept from before), 1 running, 1 failed" in shown


def test_elsewhere_than_on_a_terminal_every_cell_is_a_line(tiny, tmp_path):
    cells = execution.plan(tiny, out=tmp_path / "run").cells
    output = io.StringIO()
    with Progress(cells, Console(file=output, width=160)) as progress:
        for cell in cells:
            progress.started(cell)
            progress.finished(cell, run_cell(cell))
    lines = output.getvalue().splitlines()
    assert len(lines) == len(cells)
    assert lines[0].startswith(f"[1/4] {cells[0].name}: kl 0")
