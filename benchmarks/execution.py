"""A run: one execution of a suite, from its description to scores.csv. What `benchmarks.run` and the CLI call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks import engine, lookup, machine
from benchmarks import suite as suites
from benchmarks.again import kept_source
from benchmarks.cell import Cell, CellResult, failed
from benchmarks.errors import UserError, short
from benchmarks.lookup import Plugin
from benchmarks.reasons import readable
from benchmarks.source import versions
from benchmarks.stamps import in_words
from benchmarks.store import Store
from benchmarks.suite import MOST_REPLICATES, Suite
from metrics.score import Status

RESULTS = Path("results")
MOST_WORKERS = 1_000


@dataclass(frozen=True)
class Plan:
    """What a run will do: checked in full before anything is written."""

    suite: Suite
    cells: list[Cell]
    store: Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell: all that a run remembers of it. Its numbers are in the store, however many cells ran."""

    status: Status
    reason: str = ""


OK = Outcome("ok")


class Silent:
    """An observer that looks away."""

    def started(self, cell: Cell) -> None:
        """Nothing."""

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Nothing."""


def plan(
    suite: str = "standard",
    *,
    models: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    data: str | None = None,
    replicates: int | None = None,
    device: str = "cpu",
    out: str | Path | None = None,
    scheduler: str | None = None,
) -> Plan:
    """Resolve and check a run. Raises UserError for whatever is wrong, before anything is written.

    models, targets: names or path/to/file.py:Object, instead of the suite's. data: a file as the only target, unless
    targets are named too. out: the run's directory, by default results/ and the suite's name (or the data's).
    scheduler: where it will run; its workers need the device then, and this machine does not.
    """
    chosen = suites.load(suite)
    if replicates is not None and not 1 <= replicates <= MOST_REPLICATES:
        raise UserError(f"--replicates {short(str(replicates))}: there must be at least 1, and at most 1,000")
    if out is not None and not str(out):
        raise UserError("--out is empty; name a directory")
    _check_device(device, here=scheduler is None)
    target_plugins = lookup.find_all("target", targets or ([] if data else chosen.targets))
    if data is not None:
        target_plugins = lookup.distinct([*target_plugins, lookup.data(data)])
    model_plugins = lookup.find_all("model", models or chosen.models)
    cells = [
        Cell(
            model=model,
            target=target,
            replicates=replicates or chosen.replicates,
            train=chosen.train,
            sizes=chosen.sizes,
            budget=chosen.budget,
            device=device,
        )
        for target in target_plugins
        for model in model_plugins
    ]
    default = chosen.name if data is None else f"{chosen.name}-{target_plugins[-1].name}"
    store = Store(Path(out) if out is not None else RESULTS / default)
    store.check(chosen.name)
    return Plan(chosen, cells, store)


def carry_out(
    planned: Plan,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    fresh: bool = False,
    observer: engine.Observer | None = None,
    command: str = "",
) -> list[Outcome]:
    """Compute what the store does not hold yet, and write scores.csv and costs.csv; what became of each planned cell.

    A cell that was failed is tried again. After Ctrl-C the running cells are finished and kept, the tables are
    written of what there is, and KeyboardInterrupt goes on.
    """
    check_engine(workers, scheduler, planned.cells)
    watch = observer or Silent()
    store = planned.store
    store.create()
    with store.locked():
        store.tidy()
        if fresh:
            store.clear()
        about = {
            "suite": planned.suite.name,
            "description": planned.suite.model_dump(),
            "targets": [_about(plugin) for plugin in dict.fromkeys(cell.target for cell in planned.cells)],
            "models": list(dict.fromkeys(cell.model.name for cell in planned.cells)),
            "model_sources": {cell.model.name: kept_source(cell.model) for cell in planned.cells},
            "replicates": planned.cells[0].replicates,
            "command": command,
            "versions": versions(),
            "machine": machine.stamp(),
            "device": planned.cells[0].device,
        }
        store.write_manifest(about)
        done: dict[str, Outcome] = {}
        machines: dict[str, dict[str, str]] = {}
        for cell in planned.cells:
            kept = store.load(cell)
            if kept is not None and kept.status == "ok":
                done[cell.name] = OK
                machines[in_words(kept.machine)] = kept.machine
                watch.finished(cell, kept)
        missing = [cell for cell in planned.cells if cell.name not in done]
        count = workers if workers is not None else max(1, min(os.cpu_count() or 1, len(missing)))
        try:
            with closing(engine.execute(missing, count, scheduler, planned.suite.limits, watch)) as computed:
                for cell, result in computed:
                    result = _kept(store, cell, result)
                    if result.costs:
                        machines[in_words(result.machine)] = result.machine
                    done[cell.name] = OK if result.status == "ok" else Outcome(result.status, result.reason)
                    watch.finished(cell, result)
        finally:
            finished = [cell for cell in planned.cells if cell.name in done]
            store.write_tables(store.rows(cell.target.name, cell.model.name) for cell in finished)
            if len(machines) == 1:  # where there are several, each cost names its own
                store.write_manifest(about | {"machine": next(iter(machines.values()))})
    return [done[cell.name] for cell in finished]


def check_engine(workers: int | None, scheduler: str | None, cells: Sequence[Cell]) -> None:
    """Raise UserError for a number of processes that there cannot be, for a scheduler that does not answer, and for one
    whose workers cannot run these cells as this process would."""
    if workers is not None and not 0 <= workers <= MOST_WORKERS:
        raise UserError(
            f"--workers {workers}: use 0 to run in this process, or a number of processes up to {MOST_WORKERS:,}"
        )
    if scheduler is not None:
        engine.check_scheduler(scheduler, cells)


def run(
    suite: str = "standard",
    *,
    models: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    data: str | None = None,
    replicates: int | None = None,
    workers: int | None = 0,
    scheduler: str | None = None,
    device: str = "cpu",
    out: str | Path | None = None,
    fresh: bool = False,
) -> pd.DataFrame:
    """Run a suite and return its scores, tidy: target, model, replicate, metric, value, error, status, reason.

    The same as `pushforward run`; see `plan` and `carry_out`. Cells run in this process unless `workers` says so: None
    is one process per core, and then a script needs `if __name__ == "__main__":` around the call, as always with
    processes in Python. Raises UserError for bad input.
    """
    chosen = {"models": models, "targets": targets, "data": data, "replicates": replicates}
    planned = plan(suite, **chosen, device=device, out=out, scheduler=scheduler)  # type: ignore[arg-type]
    carry_out(planned, workers=workers, scheduler=scheduler, fresh=fresh, command=f"benchmarks.run({suite!r}, …)")
    return planned.store.scores()


def _kept(store: Store, cell: Cell, result: CellResult) -> CellResult:
    """The result once it is in the store; that of a failed cell where a model's weights cannot be written."""
    result = readable(result)
    try:
        store.save(cell, result)
    except OSError:
        raise
    except Exception as error:
        result = readable(failed(cell, "failed", f"its result cannot be kept: {type(error).__name__}: {error}"))
        store.save(cell, result)
    return result


def _about(plugin: Plugin) -> dict[str, object]:
    """What the report says of a target, which it must not need itself; and where `pushforward score` finds it again."""
    target = plugin.load()()
    about = {"name": plugin.name, "summary": target.summary, "dimension": target.dimension, "image": target.image}
    return about | kept_source(plugin)


def _check_device(device: str, here: bool) -> None:
    try:
        if here:
            torch.zeros(1, device=device).cpu()
        else:
            torch.device(device)
    except Exception as error:  # whatever a device that is not there, or is none, makes torch raise
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"--device {short(device)}: {short(why, 200)}; `cpu` always works") from error
