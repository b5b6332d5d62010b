"""A disk that is full, a directory that is read-only: one line, and nothing that was finished is lost."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.disk import read_only, resize, small
from tests.faults.place import Ended, Place
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed


def one_line(ended: Ended) -> bool:
    """Whether what went wrong is said in one line, after those of the cells, without a traceback."""
    lines = [line for line in ended.output.splitlines() if "error:" in line]
    return len(lines) == 1 and lines[0] == ended.output.splitlines()[-1] and "Traceback" not in ended.output


def inflict(undisturbed: Undisturbed, folder: Path, sizes: Sequence[int], workers: int = 0) -> Tally:
    """The same run on a disk that is full, and then a little larger, again and again (sizes in kilobytes)."""
    tally = Tally(f"a full disk, {workers or 'no'} workers")
    reference = undisturbed.tables
    place = Place(folder / f"disk-{workers}", workers=workers)
    with small(place.run, sizes[0]):
        for size in sizes:
            resize(place.run, size)
            before = place.cells()
            ended = place.finish()
            tally.injected += 1
            tally.survived += ended.code == 1 and one_line(ended) and "No space left on device" in ended.output
            tally.keep(before, place.cells())
        before = place.cells()
        resize(place.run, 100_000)
        place.finish().expect(0)
        tally.keep(before, place.cells())
        tally.compare(place, reference)
    return tally


@pytest.mark.slow
def test_a_full_disk_loses_nothing(undisturbed, folder):
    inflict(undisturbed, folder, [100, 400]).check()


def test_a_file_that_may_not_grow_is_not_left_half_written(undisturbed, folder):
    """Where no file system can be mounted: a quota, by which scores.csv and cells end and smaller files do not."""
    place = Place(folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    try:
        process = place.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    ended = place.ended(process).expect(1)
    assert one_line(ended), ended.output
    assert "File too large" in ended.output
    assert place.cells() == {}
    assert not place.litter()
    place.settle()
    assert place.scores() == undisturbed.scores()


@pytest.mark.slow
def test_a_read_only_directory_is_refused_and_left_alone(undisturbed, folder):
    place = Place(folder / "place")
    with read_only(place.folder):
        ended = place.finish()
        assert ended.code == 2
        assert ended.output.splitlines() == [f"error: {place.folder} cannot be written to; choose another --out"]
    place.settle()
    kept = place.cells()
    with read_only(place.run):
        ended = place.finish().expect(2)
        assert ended.output.splitlines() == ["error: run cannot be written to; choose another --out"]
        ended = place.ended(place.start(command="report")).expect(1)
        assert one_line(ended)
    assert place.cells() == kept
    assert place.settle() == []
    assert place.cells() == kept
    assert place.scores() == undisturbed.scores()


def test_a_folder_of_cells_that_is_read_only_costs_the_rest_of_the_run(undisturbed, folder):
    place = Place(folder)
    (place.run / "cells" / "eight_gaussians").mkdir(parents=True)
    with read_only(place.run / "cells" / "eight_gaussians"):
        ended = place.finish().expect(1)
        assert one_line(ended), ended.output
    kept = place.cells()
    assert len(kept) == 2
    assert len(place.settle()) == 2
    assert place.cells().items() >= kept.items()
    assert place.scores() == undisturbed.scores()
