"""Runs of many cells: what the client keeps does not grow with them, and the report stays one that opens."""

from __future__ import annotations

import gc
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks import execution, scale
from benchmarks.cell import CellResult
from benchmarks.content import content_of
from benchmarks.report import short_answer
from benchmarks.report.excerpt import excerpt


class Alive:
    """Counts the results that are in memory when a cell comes back, now and then."""

    def __init__(self) -> None:
        self.most = 0
        self.seen = 0

    def started(self, cell) -> None:
        pass

    def finished(self, cell, result) -> None:
        self.seen += 1
        if self.seen % 20 == 0:
            self.most = max(self.most, sum(type(each) is CellResult for each in gc.get_objects()))


def run(monkeypatch, tmp_path, cells: int, observer=None) -> execution.Plan:
    monkeypatch.setattr("benchmarks.engine.run_cell", scale.trivial)
    planned = scale.planned(cells, tmp_path)
    execution.carry_out(planned, workers=0, observer=observer)
    return planned


def test_no_result_stays_in_memory(monkeypatch, tmp_path):
    alive = Alive()
    planned = run(monkeypatch, tmp_path, 40, alive)
    execution.carry_out(planned, workers=0, observer=alive)  # all of them are kept by now
    assert 0 < alive.most <= 4


def test_tables_do_not_depend_on_how_many_cells_are_written_at_once(monkeypatch, tmp_path):
    planned = run(monkeypatch, tmp_path, 40)
    tables = [(planned.store.folder / name).read_bytes() for name in ("scores.csv", "costs.csv")]
    monkeypatch.setattr("benchmarks.csv_tables.BATCH", 7)
    planned.store.renew_tables()
    assert tables == [(planned.store.folder / name).read_bytes() for name in ("scores.csv", "costs.csv")]


def test_a_run_on_another_machine_says_which(monkeypatch, tmp_path):
    elsewhere = {"processor": "another", "cores": "99"}
    monkeypatch.setattr("benchmarks.engine.run_cell", lambda cell: replace(scale.trivial(cell), machine=elsewhere))
    planned = scale.planned(2, tmp_path)
    execution.carry_out(planned, workers=0)
    assert planned.store.manifest()["machine"] == elsewhere


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_report_of_a_gpu_says_that_it_need_not_come_out_the_same(monkeypatch, tmp_path, device):
    planned = run(monkeypatch, tmp_path, 2)
    about = planned.store.manifest()
    planned.store.write_manifest({**about, "device": device})
    said = content_of(planned.store).provenance["device"]
    assert ("need not give the same scores" in said) == (device != "cpu")


def test_a_run_that_is_too_large_to_be_shown_is_excerpted_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.report.excerpt.MODELS", 3)
    planned = run(monkeypatch, tmp_path, 100)
    content = excerpt(content_of(planned.store))
    assert (len(content.models), len(content.targets)) == (3, 20)
    assert len(content.scores) < len(planned.store.scores())
    shown = content.provenance["shown here"]
    assert shown.startswith("3 of 5 models (those with the best ranks by ")
    assert "20 of 20 targets" in shown
    assert short_answer(content)[0] == f"This is an excerpt: {shown}."
    scores = planned.store.scores()
    values = scores[scores["metric"] == "w2_squared"].pivot_table("value", "model", "target")
    ranks = values.rank().median(axis=1)
    assert ranks[content.models].max() <= ranks.drop(content.models).min()
    assert set(content.costs["model"]) == set(content.models)


def test_the_answer_names_no_more_models_than_one_reads(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.scale.TARGETS", 2)
    content = content_of(run(monkeypatch, tmp_path, 50).store)
    assert len(content.models) == 25
    for sentence in short_answer(content):
        assert len(sentence) < 1_800, sentence
    assert "more in the tables" in short_answer(content)[0]


def test_the_measurement_itself(tmp_path):
    scale.run(tmp_path, cells=[6, 9], workers=0, report=False)
    table = pd.read_csv(tmp_path / "tables" / "scale.csv")
    assert list(table["cells"]) == [6, 9]
    assert (table["cells a second"] > 0).all()
    assert "|       9 |" in (tmp_path / "tables" / "scale.md").read_text()
    assert (tmp_path / "figures" / "scale.png").stat().st_size > 1_000
