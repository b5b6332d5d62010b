"""The commands about several runs; no logic. `pushforward --help` is the documentation."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import compare as comparing
from benchmarks import merge as merging
from benchmarks.files import check_folder
from benchmarks.report import to_terminal
from benchmarks.terminal import shown

out = Console()


def compare(
    run_a: Annotated[Path, typer.Argument(help="The directory of a run: what is compared to.")],
    run_b: Annotated[Path, typer.Argument(help="The directory of another: what changed.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Only this metric, or `all`. Repeatable. Default: KL, W2², sliced W2² and the ELBO gap."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Show every score, also those that are the same.")
    ] = False,
    out_folder: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Also write compare.md and compare.csv here.")
    ] = None,
) -> None:
    """Say what changed between two runs, by how much, and whether it is more than noise."""
    if out_folder is not None:
        check_folder(out_folder)
    comparison = comparing.compare(run_a, run_b, metric, everything=everything)
    for sentence in comparison.summary:
        out.print(shown(f"• {sentence}"))
    for table in comparison.tables:
        out.print(to_terminal(table))
    if out_folder is not None:
        comparing.write(comparison, out_folder)


def merge(
    runs: Annotated[list[Path], typer.Argument(help="The directories of two or more runs of one suite.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Directory of the merged run: new, or empty.")],
    prefer: Annotated[
        list[Path] | None,
        typer.Option(help="Where runs disagree on a cell, take this one's. Repeatable, the most preferred first."),
    ] = None,
) -> None:
    """Make one run of several: their targets, models and cells united."""
    merged = merging.merge(runs, out_folder, prefer or (), command=shlex.join(["pushforward", *sys.argv[1:]]))
    out.print(shown(f"{out_folder}: {merged}"))
