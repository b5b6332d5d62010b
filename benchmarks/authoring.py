"""The commands for who adds a model or a target; no logic. `pushforward --help` is the documentation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import new as creating
from benchmarks.errors import UserError
from benchmarks.terminal import indented, marked, shown

out = Console()
MARKS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("–", "yellow"),
    "expected": ("x", "yellow"),
    "unexpected": ("!", "bold red"),
}


def new(
    kind: Annotated[str, typer.Argument(help="model or target.")],
    name: Annotated[str, typer.Argument(help="Its name, as in my_model.")],
    folder: Annotated[Path, typer.Option(help="Where its two files are written.")] = Path(),
) -> None:
    """Write a model or a target that works, and its test, for you to change."""
    if kind not in ("model", "target"):
        raise UserError(f"new {kind}: there are templates for model and target")
    path, test = creating.create(kind, name, folder)  # type: ignore[arg-type]
    found = f"{path}:{creating.class_name(name)}"
    beside = "--model gaussian --model oracle" if kind == "model" else "--model gaussian_vae --model gaussian"
    out.print(shown(f"wrote {path} and {test}; now"))
    for command in (
        f"pushforward check {found}",
        f"pushforward run smoke --{kind} {found} {beside} --out results/{name}",
        f"pytest {test}",
    ):
        out.print(indented(command), soft_wrap=True)


def check(
    name: Annotated[str, typer.Argument(help="A model or a target, as path/to/file.py:Class or by name.")],
    only: Annotated[list[str] | None, typer.Option(help="Only this check. Repeatable.")] = None,
    expect_failure: Annotated[
        list[str] | None,
        typer.Option(help='A check that is known to fail, and why: "scale=it needs data of unit size". Repeatable.'),
    ] = None,
) -> None:
    """Hold a model or a target to the mathematics that it promises: one line for each check that applies."""
    from benchmarks import checks  # loads solvers and metrics: the other commands do without

    started = time.perf_counter()
    examination = checks.examine(name, checks.expectations(expect_failure or ()))
    outcomes = []
    for each in checks.chosen(examination.checks, only or ()):
        outcome = examination.outcome(each)
        outcomes.append(outcome)
        sign, style = MARKS[outcome.verdict]
        out.print(marked(sign, "", style).append_text(marked(f"{each.name:<20}", each.about, "")), soft_wrap=True)
        for line in outcome.message.splitlines():
            out.print(indented(line), soft_wrap=True)
    bad = sum(outcome.bad for outcome in outcomes)
    counts = ", ".join(
        f"{count} {verdict}"
        for verdict in MARKS
        if (count := sum(outcome.verdict == verdict for outcome in outcomes)) or verdict == "passed"
    )
    out.print(shown(f"{name}: {counts}; {time.perf_counter() - started:.0f} s"))
    if bad:
        raise typer.Exit(1)
