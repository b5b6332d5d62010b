"""Running the ledger: every function of every group, in as many processes as asked for, always with the same rows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Generator

from benchmarks import seeds
from benchmarks.files import write_text
from benchmarks.report.ledger import ledger_table
from benchmarks.report.render import to_markdown
from benchmarks.report.tables import Table
from benchmarks.verify import fitted, intervals, intervals_latent, latent, published, targets, wasserstein
from benchmarks.verify.check import Check

Checks = Callable[[Generator], list[Check]]

GROUPS: Mapping[str, tuple[Checks, ...]] = {
    "Wasserstein": wasserstein.CHECKS,
    "published": published.CHECKS,
    "latent": latent.CHECKS,
    "models": fitted.CHECKS,
    "targets": targets.CHECKS,
    "coverage": (*intervals.CHECKS, *intervals_latent.CHECKS),
}


def checks_of(group: str, name: str) -> list[Check]:
    """The lines of one function of a group, from a generator of its own: the same alone as among the others."""
    (function,) = (function for function in GROUPS[group] if function.__name__ == name)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order have other last digits
    try:
        with threadpool_limits(1), torch.no_grad():
            return function(seeds.generator("verify", group=group, check=name))
    finally:
        torch.set_num_threads(threads)


def verify(workers: int = 2) -> list[Check]:
    """Every line of the ledger, in the order of `GROUPS`; workers = 0 stays in this process."""
    tasks = [(group, function.__name__) for group, functions in GROUPS.items() for function in functions]
    if workers == 0:
        return [check for task in tasks for check in checks_of(*task)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        # The coverage takes longest: begun last, it would leave all processes but one without work.
        pending = {task: pool.submit(checks_of, *task) for task in reversed(tasks)}
        return [check for task in tasks for check in pending[task].result()]


def frame_of(checks: list[Check]) -> pd.DataFrame:
    """The checks as a table of group, check, expected, got, error, z, verdict and source, one row each."""
    rows = [
        {
            "group": check.group,
            "check": check.name,
            "expected": check.stated,
            "got": check.got,
            "error": check.error if check.error > 0 else float("nan"),
            "z": check.z,
            "verdict": check.verdict,
            "source": check.source,
        }
        for check in checks
    ]
    return pd.DataFrame(rows)


def table_of(frame: pd.DataFrame) -> Table:
    """The frame as the report shows tables."""
    return ledger_table(frame)


def write(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """ledger.md and ledger.csv in this folder; the paths that were written."""
    table = table_of(frame)
    text = f"# {table.title}\n\n{table.caption} {table.foot}\n\n{to_markdown(table)}"
    return [
        write_text(folder / "ledger.md", text),
        write_text(folder / "ledger.csv", frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")),
    ]
