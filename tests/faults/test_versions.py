"""A results directory from an older version: what it lacks is said in a line or computed again, never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import safetensors.torch

import benchmarks
from benchmarks import compare, execution, merge, scoring
from benchmarks.cell import Cell
from benchmarks.content import content_of
from benchmarks.errors import UserError
from benchmarks.execution import Silent
from benchmarks.store import Store, _checksum
from tests.faults.place import suite

FIELDS = [
    ("suite",), ("description",), ("targets",), ("models",), ("model_sources",), ("replicates",), ("command",),
    ("versions",), ("machine",), ("device",), ("checksum",), ("description", "train"), ("description", "sizes"),
    ("description", "description"), ("description", "budget"),
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "suite.toml").write_text(suite())
    benchmarks.run(str(folder / "suite.toml"), targets=["bimodal"], replicates=1, out=folder / "run")
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def computed(finished: Path, run: Path) -> list[str]:
    """Run the suite in this directory; the cells that were computed."""
    names: list[str] = []

    class Watch(Silent):
        def started(self, cell: Cell) -> None:
            names.append(cell.name)

    planned = execution.plan(str(finished / "suite.toml"), targets=["bimodal"], replicates=1, out=run)
    execution.carry_out(planned, workers=0, observer=Watch())
    content_of(Store(run))
    return names


def in_a_line(call: Callable[[], object]) -> str:
    """What a command says of a directory: nothing, or one line. Anything but a UserError would be a traceback."""
    said = ""
    try:
        call()
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("field", FIELDS, ids=".".join)
def test_a_description_that_lacks_something_is_read_or_named_and_written_anew(finished, run, tmp_path, field):
    content = json.loads((run / "run.json").read_text())
    content.pop("checksum")  # of which older versions knew nothing
    place = content
    for key in field[:-1]:
        place = place[key]
    place.pop(field[-1], None)
    (run / "run.json").write_text(json.dumps(content))
    said = {
        in_a_line(Store(run).renew_tables),
        in_a_line(lambda: content_of(Store(run))),
        in_a_line(lambda: scoring.plan(run, ["energy_distance"])),
        in_a_line(lambda: merge.merge([run, finished / "run"], tmp_path / "merged")),
        in_a_line(lambda: compare.compare(run, finished / "run")),
    }
    for line in said - {""}:
        assert str(field[-1]) in line, line
    assert computed(finished, run) == [], "the cells are as good as before"
    assert (run / "scores.csv").read_bytes() == (finished / "run" / "scores.csv").read_bytes()


def older(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    """Make a cell one that an older version wrote: with another header, and with a checksum that is right for it."""
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["checksum"]
    change(header)
    header["checksum"] = _checksum(header, tensors)
    path.write_bytes(safetensors.torch.save(tensors, header))


@pytest.mark.parametrize("field", ["key", "status", "reason", "scores", "costs", "machine"])
def test_a_cell_that_lacks_something_is_computed_again(finished, run, field):
    older(Store(run).path("bimodal", "gaussian"), lambda header: header.pop(field))
    assert Store(run).read("bimodal", "gaussian") is None
    Store(run).renew_tables()
    content_of(Store(run))
    assert computed(finished, run) == ["bimodal × gaussian"]
    assert (run / "scores.csv").read_bytes() == (finished / "run" / "scores.csv").read_bytes()


def test_a_cell_of_other_code_is_computed_again_and_one_that_knows_more_is_not(finished, run):
    older(Store(run).path("bimodal", "gaussian"), lambda header: header.update(key="0" * 64))
    older(Store(run).path("bimodal", "oracle"), lambda header: header.update(mood="sunny"))
    assert computed(finished, run) == ["bimodal × gaussian"]
