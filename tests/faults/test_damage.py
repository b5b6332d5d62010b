"""A store that was truncated or garbled, byte by byte: no damaged cell is believed, and the same command mends it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

import benchmarks
from benchmarks import execution, kept_metrics
from benchmarks.cell import Cell
from benchmarks.content import content_of
from benchmarks.errors import UserError
from benchmarks.execution import Silent
from benchmarks.store import Store
from tests.faults.place import Place, suite
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A directory with a suite and a finished run of one target, which also has a metric of its own."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "suite.toml").write_text(suite())
    benchmarks.run(str(folder / "suite.toml"), targets=["bimodal"], replicates=1, out=folder / "run")
    benchmarks.score(folder / "run", ["energy_distance"])
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def plan(finished: Path, run: Path) -> execution.Plan:
    return execution.plan(str(finished / "suite.toml"), targets=["bimodal"], replicates=1, out=run)


def damages(whole: bytes, rng: Random, share: float) -> Iterator[bytes]:
    """This share of: every length that it can be cut to, and every byte changed to another."""
    for length in range(len(whole)):
        if rng.random() < share:
            yield whole[:length]
    for position, byte in enumerate(whole):
        if rng.random() < share:
            yield whole[:position] + bytes([byte ^ rng.randrange(1, 256)]) + whole[position + 1 :]


def believed(store: Store, cell: Cell, rng: Random, share: float) -> tuple[int, int]:
    """How many damaged versions of a cell there were, and how many of them the store believed."""
    path = store.path(cell.target.name, cell.model.name)
    whole = path.read_bytes()
    count = wrong = 0
    for damaged in damages(whole, rng, share):
        path.write_bytes(damaged)
        count += 1
        wrong += store.load(cell) is not None or store.read(cell.target.name, cell.model.name) is not None
    path.write_bytes(whole)
    assert store.load(cell) is not None
    return count, wrong


def inflict(undisturbed: Undisturbed, folder: Path, rng: Random, share: float, times: int) -> list[Tally]:
    """Every byte of a cell, in the store; and, in whole runs, some of every file that there is."""
    reference = undisturbed.tables
    place = Place(folder / "damage")
    place.finish().expect(0)
    planned = execution.plan(str(place.folder / "suite.toml"), out=place.run)
    bytewise = Tally("a byte of a cell changed, or its end cut off")
    count, wrong = believed(planned.store, planned.cells[1], rng, share)
    bytewise.injected, bytewise.survived = count, count - wrong
    runs = Tally("files of a run damaged, several at once")
    for _ in range(times):
        victims = rng.sample([path for path in sorted(place.run.rglob("*")) if path.is_file()], 12)
        victims += [place.run / "run.json"] * (rng.random() < 0.5)
        for path in victims:
            damage(path, rng)
        before = {name: content for name, content in place.cells().items() if place.run / name not in victims}
        place.finish().expect(0)
        runs.injected += len(victims)
        runs.survived += len(victims)
        runs.keep(before, place.cells())
        runs.compare(place, reference)
    return [bytewise, runs]


def damage(path: Path, rng: Random) -> None:
    """Truncate a file, garble it, empty it, remove it, or put something else in its place."""
    if not path.exists():
        return
    whole = bytearray(path.read_bytes())
    way = rng.randrange(5)
    if way == 0:
        path.write_bytes(whole[: rng.randrange(len(whole) + 1)])
    elif way == 1 and whole:
        whole[rng.randrange(len(whole))] ^= rng.randrange(1, 256)
        path.write_bytes(whole)
    elif way == 2:
        path.write_bytes(b"")
    elif way == 3:
        path.unlink()
    else:
        path.write_bytes(rng.randbytes(rng.randrange(10_000)))


def test_no_damaged_cell_is_believed(finished, run, rng):
    planned = plan(finished, run)
    for cell in planned.cells:
        count, wrong = believed(planned.store, cell, rng, 0.02)
        assert count > 100
        assert wrong == 0


def test_a_damaged_description_is_written_anew_and_costs_no_cell(finished, run, rng):
    whole = (run / "run.json").read_bytes()
    assert Store(run).manifest() is not None
    for damaged in [b"", b"[]", b"{}", b"null", *damages(whole, rng, 0.02)]:
        (run / "run.json").write_bytes(damaged)
        if damaged != b"{}":
            assert Store(run).manifest() is None, damaged
        assert len(plan(finished, run).cells) == 2
        with pytest.raises(UserError, match=r"holds no run|of another version"):
            content_of(Store(run))
    started: list[Cell] = []

    class Watch(Silent):
        def started(self, cell: Cell) -> None:
            started.append(cell)

    execution.carry_out(plan(finished, run), workers=0, observer=Watch())
    assert not started
    assert content_of(Store(run)).models == ["oracle", "gaussian"]


@pytest.mark.parametrize("name", ["scores.csv", "costs.csv"])
def test_a_damaged_table_is_one_line_and_made_anew(run, rng, name):
    path = run / name
    whole = path.read_bytes()
    for damaged in [b"", *damages(whole, rng, 0.02)]:
        path.write_bytes(damaged)
        with suppress(UserError):  # it says so, or it reads what it is given; what is made of it comes from the cells
            getattr(Store(run), name.removesuffix(".csv"))()
    Store(run).renew_tables()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_damaged_metric_of_one_s_own_is_not_believed(run, rng, suffix):
    path = run / "metrics" / f"energy_distance.{suffix}"
    whole = path.read_bytes()
    scores = Store(run).scores()
    assert len(kept_metrics.load(Store(run), scores)[0]) > len(scores)
    for damaged in [b"", *damages(whole, rng, 0.05)]:
        path.write_bytes(damaged)
        if b'"checksum"' in damaged or suffix == "csv":
            with pytest.raises(UserError, match=r"cannot be read: .*`pushforward score` makes it"):
                kept_metrics.load(Store(run), scores)
    benchmarks.score(run, ["energy_distance"])
    kept_metrics.load(Store(run), scores)


@pytest.mark.slow
def test_a_damaged_run_is_mended_by_the_same_command(undisturbed, folder, rng):
    for tally in inflict(undisturbed, folder, rng, 0.001, 1):
        tally.check()
