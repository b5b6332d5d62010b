"""The clock on the wall jumps, to and fro, in the run and in its workers: nobody takes anybody for dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.place import FAULTY, Place
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed

YEAR = 365 * 24 * 3600
MODELS, TARGETS = [f"{FAULTY}:Slow"], ["bimodal"]  # two replicates: four seconds
HASTE = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s"}  # else a worker is thought dead only after five minutes


def inflict(undisturbed: Undisturbed, folder: Path, seconds: int, workers: int) -> Tally:
    """Let the clock jump while a cell is computed; then resume, by the right time again."""
    tally = Tally(f"a clock that jumps, {workers or 'no'} workers")
    place = Place(folder / f"clock-{seconds}-{workers}", MODELS, TARGETS, workers)
    ended = place.finish(FAULT_CLOCK=str(seconds), **HASTE)
    tally.injected = 1
    tally.survived = int(ended.code == 0)
    tally.problems += [] if ended.code == 0 else [ended.output[-3000:]]
    kept = place.cells()
    place.settle()
    tally.keep(kept, place.cells())
    tally.compare(place, undisturbed.scores(MODELS, TARGETS))
    return tally


@pytest.mark.slow
def test_the_clock_jumps_to_and_fro(undisturbed, folder):
    inflict(undisturbed, folder, YEAR, workers=1).check()
