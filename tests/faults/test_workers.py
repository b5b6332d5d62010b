"""A worker that is killed in the middle of a cell: it fails and says so, the run goes on, the next one mends it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import chdir
from pathlib import Path
from random import Random

import pytest

from benchmarks import engine, execution
from tests.faults.place import FAULTY, Place
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed

MODELS = ["gaussian", f"{FAULTY}:Slower"]


def inflict(undisturbed: Undisturbed, folder: Path, rng: Random, times: int) -> Tally:
    """Kill the worker of a cell somewhere in the cell, once a run."""
    tally = Tally("a worker killed in a cell")
    reference = undisturbed.scores(MODELS)
    place = Place(folder / "workers", MODELS, workers=2)
    for _ in range(times):
        process = place.start()
        place.wait_until(process, "started")
        time.sleep(rng.uniform(engine.SOON + 3, engine.SOON + 5))
        os.kill(int((place.folder / "started").read_text()), signal.SIGKILL)
        ended = place.ended(process).expect(1)
        tally.injected += 1
        tally.survived += "its worker process died" in ended.output and "1 of 4 cells" in ended.output
        kept = {name: content for name, content in place.cells().items() if "gaussian.s" in name}
        assert len(place.settle()) == 1
        tally.keep(kept, place.cells())
        tally.compare(place, reference)
        place.forget()
    return tally


@pytest.mark.slow
def test_a_worker_is_killed_in_the_middle_of_a_cell(undisturbed, folder, rng):
    inflict(undisturbed, folder, rng, 1).check()


@pytest.mark.slow
def test_a_worker_that_is_killed_at_once_costs_nothing(undisturbed, folder):
    """It may have been another cell's doing, so its own is handed out once more."""
    models = [f"{FAULTY}:Slow"]
    place = Place(folder / "at-once", models, ["bimodal"], workers=1)
    process = place.start()
    place.wait_until(process, "started")
    os.kill(int((place.folder / "started").read_text()), signal.SIGKILL)
    place.ended(process).expect(0)
    assert place.scores() == undisturbed.scores(models, ["bimodal"])


def test_a_worker_that_is_stopped_is_replaced(undisturbed, folder, monkeypatch):
    """Not even its own watchdog gets a turn: it is ended from outside."""
    monkeypatch.setattr(engine, "GRACE", 2.0)
    models = [f"{FAULTY}:Stops", "gaussian"]
    place = Place(folder / "stopped", models, ["bimodal"], seconds=5)
    with chdir(place.folder):
        planned = execution.plan("suite.toml", models=models, targets=["bimodal"], out="run")
        stopped, gaussian = execution.carry_out(planned, workers=1)
    assert (stopped.status, stopped.reason) == ("timeout", "took longer than 5 s and was stopped")
    assert gaussian.status == "ok"
    (place.folder / "healthy").touch()
    assert place.settle() == ["bimodal × Stops"]
    assert place.scores() == undisturbed.scores(models, ["bimodal"])
