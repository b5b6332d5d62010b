"""The same suite gives the same bytes: with any number of workers, in any order, in one go or in parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import benchmarks
from benchmarks.content import content_of
from benchmarks.report import write_tables
from benchmarks.store import Store


def tables(run: Path, like: Path) -> dict[str, bytes]:
    """scores.csv and all tables; times differ, so those are of the other run, and so is what the run says of itself."""
    if run != like:
        for name in ("costs.csv", "run.json"):
            shutil.copy(like / name, run / name)
    write_tables(content_of(Store(run)), run / "tables")
    return {str(path.relative_to(run)): path.read_bytes() for path in [run / "scores.csv", *run.glob("tables/*")]}


@pytest.fixture
def here(tiny, tmp_path) -> Path:
    """The run in this process."""
    benchmarks.run(tiny, out=tmp_path / "here", workers=0)
    return tmp_path / "here"


@pytest.mark.parametrize("workers", [1, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 4))])
def test_workers_do_not_change_a_byte(tiny, tmp_path, here, workers):
    benchmarks.run(tiny, out=tmp_path / "there", workers=workers)
    assert len(tables(here, here)) > 10
    assert tables(tmp_path / "there", here) == tables(here, here)


@pytest.mark.parametrize(
    "parts",
    [
        [{"models": ["gaussian", "oracle"], "targets": ["eight_gaussians", "bimodal"]}],
        [{"targets": ["eight_gaussians"], "models": ["gaussian"]}, {"models": ["oracle"]}, {"targets": ["bimodal"]}],
    ],
    ids=["backwards", "in parts"],
)
def test_the_order_of_cells_does_not_change_a_byte(tiny, tmp_path, here, parts):
    out = tmp_path / "there"
    for part in parts:
        benchmarks.run(tiny, out=out, workers=0, **part)
    before = {path: path.read_bytes() for path in out.glob("cells/*/*")}
    benchmarks.run(tiny, out=out, workers=0)
    assert len(before) >= 4 - (len(parts) > 1)
    assert all(path.read_bytes() == content for path, content in before.items()), "nothing is computed twice"
    assert tables(out, here) == tables(here, here)
