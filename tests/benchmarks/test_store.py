from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks import lookup
from benchmarks.cell import Cell, CellResult
from benchmarks.errors import UserError
from benchmarks.store import Store
from metrics import Sizes
from models.base import Budget


@pytest.fixture
def cell() -> Cell:
    return Cell(
        model=lookup.find("model", "gaussian"),
        target=lookup.find("target", "bimodal"),
        replicates=1,
        train=100,
        sizes=Sizes(),
        budget=Budget(),
    )


@pytest.fixture
def result() -> CellResult:
    row = {"target": "bimodal", "model": "gaussian", "replicate": 0, "metric": "kl", "value": 0.1 + 0.2, "error": None}
    return CellResult("ok", "", [row], [], {"0/samples": torch.arange(6.0).reshape(3, 2)}, {"cores": "2"})


def test_what_is_kept_comes_back_to_the_last_bit(tmp_path, cell, result):
    store = Store(tmp_path)
    assert store.load(cell) is None
    store.save(cell, result)
    back = store.load(cell)
    assert back is not None
    assert back.scores == result.scores
    assert back.machine == result.machine
    assert torch.equal(back.arrays["0/samples"], result.arrays["0/samples"])


def test_a_cell_made_from_something_else_is_not_believed(tmp_path, cell, result):
    store = Store(tmp_path)
    store.save(cell, result)
    assert store.load(dataclasses.replace(cell, train=101)) is None
    assert store.load(dataclasses.replace(cell, budget=Budget(effort=2))) is None
    assert store.load(cell) is not None


def test_a_directory_of_another_suite_is_refused(tmp_path):
    store = Store(tmp_path / "run")
    store.create()
    store.write_manifest({"suite": "smoke"})
    store.check("smoke")
    with pytest.raises(UserError, match="holds a run of the suite 'smoke', not of 'standard'"):
        store.check("standard")


def test_a_directory_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="not empty and holds no run"):
        Store(tmp_path).check("smoke")


def test_a_file_is_not_a_directory(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(UserError, match="is a file"):
        Store(path).check("smoke")


def test_one_run_at_a_time(tmp_path):
    store = Store(tmp_path)
    store.create()
    with store.locked(), pytest.raises(UserError, match="another run"), Store(tmp_path).locked():
        pass
    with store.locked():
        pass


def test_the_table_keeps_the_word_for_not_applicable(tmp_path, result):
    store = Store(tmp_path)
    row = {"target": "t", "model": "m", "replicate": 0, "metric": "kl", "status": "n/a", "reason": "real, data"}
    result.scores.append(row)
    store.write_tables([result])
    table = store.scores()
    assert list(table["status"].iloc[1:]) == ["n/a"]
    assert table["value"].iloc[0] == 0.1 + 0.2
    assert table["value"].isna().iloc[1]
