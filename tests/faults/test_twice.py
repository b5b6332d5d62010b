"""Two runs started on the same directory: one of them works, the other is refused in one line, whichever was first."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from random import Random

import pytest

from tests.faults.place import FAULTY, Place, kill
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed

REFUSED = "run: another run is working in this directory; wait for it, or use --out"
MODELS, TARGETS = [f"{FAULTY}:Slow"], ["bimodal"]


def inflict(undisturbed: Undisturbed, folder: Path, rng: Random, times: int) -> Tally:
    """Two processes, started at the same time or nearly so; the one that wants to start afresh must wait as well."""
    tally = Tally("two runs at once")
    reference = undisturbed.scores(MODELS, TARGETS)
    first = Place(folder / "twice", MODELS, TARGETS)
    for _ in range(times):
        second = Place(first.folder, MODELS, TARGETS)
        running = first.start()
        time.sleep(rng.choice([0.0, rng.uniform(0, 0.2), 3.0]))
        ends = [second.finish(), first.ended(running)]
        tally.injected += 1
        codes = sorted(end.code for end in ends)
        tally.survived += codes in ([0, 2], [0, 0])
        tally.compare(first, reference)
        first.forget()
    return tally


@pytest.mark.slow
def test_the_second_run_is_refused_and_the_first_is_unharmed(undisturbed, folder):
    models = ["gaussian", f"{FAULTY}:Endless"]
    place = Place(folder, models, TARGETS)
    first = place.start()
    place.wait_until(first, "started")
    kept = place.cells()
    assert len(kept) == 1
    (folder / "output").rename(folder / "output-of-the-first")
    refused = place.finish("--fresh").expect(2)
    assert refused.output.splitlines() == [f"error: {REFUSED}"]
    assert first.poll() is None
    assert place.cells() == kept
    (folder / "healthy").touch()
    assert first.wait(100) == 0
    assert place.cells().items() >= kept.items()
    kept = place.cells()
    assert place.scores() == undisturbed.scores(models, TARGETS)
    assert place.settle() == []
    assert place.cells() == kept


def test_a_lock_that_was_left_by_a_killed_run_locks_nobody_out(folder):
    place = Place(folder, MODELS, TARGETS)
    process = place.start()
    place.wait_until(process, "started")
    kill(process)
    assert process.returncode == -signal.SIGKILL
    assert (place.run / ".lock").exists()
    assert len(place.settle()) == 1
