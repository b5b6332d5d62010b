"""Ctrl-C: once, what runs is finished and kept; twice, now. Exit code 130, and the same command goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.faults.place import FAULTY, Place, group
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed


def ctrl_c(process: subprocess.Popen) -> None:
    """What a terminal does: the signal goes to every process of the group."""
    with suppress(ProcessLookupError):  # it came to its end meanwhile
        os.killpg(process.pid, signal.SIGINT)


def inflict(undisturbed: Undisturbed, folder: Path, rng: Random, times: int, workers: int) -> Tally:
    """Ctrl-C at random times, now and then a second one soon after, until the run comes to its end regardless."""
    tally = Tally(f"Ctrl-C, {workers or 'no'} workers")
    reference = undisturbed.tables
    place = Place(folder / f"interrupts-{workers}", workers=workers)
    while tally.injected < times:
        before = place.cells()
        process = place.start()
        place.wait_until(process, "run/.lock")
        time.sleep(rng.uniform(0, undisturbed.seconds + 2 * workers))
        ended = process.poll() is not None
        for _ in range(0 if ended else rng.choice([1, 1, 2])):
            ctrl_c(process)
            time.sleep(rng.uniform(0, 0.5))
        code = place.ended(process).code
        if not ended:
            tally.injected += 1
            tally.survived += code in (0, 130) and "Traceback" not in place.output()
            if code not in (0, 130) or "Traceback" in place.output():
                tally.problems.append(f"exit code {code}: {place.output()[-2000:]}")
        tally.keep(before, place.cells())
        if code == 0 or tally.injected == times:
            place.finish().expect(0)
            tally.compare(place, reference)
            place.forget()
    return tally


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_once_finishes_what_runs_and_keeps_it(folder, workers):
    place = Place(folder, [f"{FAULTY}:Slow"], workers=workers)
    process = place.start()
    place.wait_until(process, "started")
    ctrl_c(process)
    ended = place.ended(process).expect(130)
    assert "every finished cell is kept" in ended.output
    kept = place.cells()
    assert list(kept) == ["cells/bimodal/Slow.safetensors"], "the cell that was running, and no other"
    assert b"bimodal,Slow" in (place.run / "scores.csv").read_bytes()
    assert place.settle() == ["eight_gaussians × Slow"]
    assert place.cells().items() >= kept.items()


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_twice_is_now(folder, workers):
    place = Place(folder, ["gaussian", f"{FAULTY}:Endless"], workers=workers)
    process = place.start()
    place.wait_until(process, "started")
    place.wait_until(process, "run/cells/bimodal/gaussian.safetensors")  # a worker has the next cell while it is kept
    kept = place.cells()
    ctrl_c(process)
    time.sleep(0.5)
    assert process.poll() is None, "the first one waits for the cell"
    ctrl_c(process)
    code = process.wait(60)  # the model itself would never end
    assert not group(process), "nothing is left behind"
    place.ended(process).expect(130)
    assert code == 130
    assert list(kept) == ["cells/bimodal/gaussian.safetensors"]
    assert place.cells() == kept
    (place.folder / "healthy").touch()
    assert len(place.settle()) == 3
    assert place.cells().items() >= kept.items()
