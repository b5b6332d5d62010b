"""SIGKILL, at random times and before random changes to the file system, many times over a run that is resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random

import pytest

from tests.faults.place import Place, group, kill
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed

CHANGES = 250  # to the file system, in a run from its beginning to its end: about as many as there are


def inflict(undisturbed: Undisturbed, folder: Path, rng: Random, times: int, workers: int = 0) -> Tally:
    """Kill a run so many times, at random; whenever one has come to its end, hold it against an undisturbed one."""
    tally = Tally(f"SIGKILL, {workers or 'no'} workers")
    reference = undisturbed.tables
    place = Place(folder / f"kills-{workers}", workers=workers)
    attempts = 0
    while tally.injected < times or place.run.exists():
        assert (attempts := attempts + 1) < 20 * times + 20, "hardly anything dies"
        before = place.cells()
        done = tally.injected >= times or not _killed(place, rng, undisturbed.seconds + 2 * workers)
        if done:
            place.finish().expect(0)
        else:
            tally.injected += 1
            tally.survived += 1
        tally.keep(before, place.cells())
        if done:
            tally.compare(place, reference)
            place.forget()
    return tally


def _killed(place: Place, rng: Random, seconds: float) -> bool:
    """Start the run and kill it somewhere; whether it died of that, and had not come to its end before."""
    way = rng.choice(["before a change", "at some time", "at some time, and not its workers"])
    if way == "before a change":
        process = place.start(FAULT_KILL=str(int(CHANGES * rng.random() ** 2)))
        code = place.ended(process).code
        assert code in (0, -signal.SIGKILL), place.output()
        return code != 0
    manifest = place.run / "run.json"
    before = manifest.stat().st_mtime_ns if manifest.exists() else 0
    process = place.start()
    while process.poll() is None and (not manifest.exists() or manifest.stat().st_mtime_ns == before):
        time.sleep(0.005)
    try:
        process.wait(rng.uniform(0, seconds))
    except subprocess.TimeoutExpired:
        if way == "at some time":
            kill(process)
        else:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            _workers_follow(process)
        return True
    assert process.returncode == 0, place.output()
    return False


def _workers_follow(process: subprocess.Popen) -> None:
    """Workers end when the run is no more: nobody has to look for them."""
    deadline = time.monotonic() + 30
    while group(process):
        assert time.monotonic() < deadline, group(process)
        time.sleep(0.05)


def test_killed_again_and_again(undisturbed, folder, rng):
    inflict(undisturbed, folder, rng, 4).check()


@pytest.mark.slow
def test_killed_with_its_workers_or_without_them(undisturbed, folder, rng):
    inflict(undisturbed, folder, rng, 1, workers=1).check()


@pytest.mark.slow
def test_killed_before_it_has_said_what_it_is(undisturbed, folder):
    """The directory then holds no run.json, and is still ours."""
    place = Place(folder / "early")
    for number in range(3):
        assert place.finish(FAULT_KILL=str(2 * number)).code == -signal.SIGKILL
        assert not (place.run / "run.json").exists()
    place.finish().expect(0)
    assert place.tables() == undisturbed.tables
