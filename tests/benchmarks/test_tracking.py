"""What a tracker is told of a run, once for every cell, and that nothing which happens there costs the run anything."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pandas as pd
import pytest

from benchmarks import execution, tracking
from benchmarks.cell import failed
from benchmarks.errors import UserError
from benchmarks.tracking import Record, Together, Tracking, record_of


class Memory:
    """A tracker that keeps records in a list, and fails at the n-th if told so."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.records: list[Record] = []
        self.fails_at = fails_at

    def has(self, key: str) -> bool:
        return any(record.key == key for record in self.records)

    def add(self, record: Record) -> None:
        if len(self.records) == self.fails_at:
            raise ConnectionError("the server\nis gone")
        self.records.append(record)


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def started(self, cell) -> None:
        self.events.append(("started", cell.name))

    def finished(self, cell, result) -> None:
        self.events.append((result.status, cell.name))


def tracked(suite, out, tracker, complaints=None, **options) -> pd.DataFrame:
    planned = execution.plan(suite, out=out, models=options.pop("models", None), targets=["bimodal"])
    say = (complaints if complaints is not None else []).append
    execution.carry_out(planned, workers=0, observer=Tracking(tracker, "tiny", out, say), **options)
    return planned.store.scores()


def test_every_cell_is_a_record_of_its_description_and_its_numbers(tiny, tmp_path):
    memory = Memory()
    models = ["oracle", "gaussian_mixture[components=2]"]
    scores = tracked(tiny, tmp_path / "run", memory, models=models)
    assert [record.name for record in memory.records] == [
        "bimodal × oracle",
        "bimodal × gaussian_mixture[components=2]",
    ]
    record = memory.records[1]
    assert record.finished
    expected = {"suite": "tiny", "target": "bimodal", "model.components": "2", "replicates": "2", "sizes.sliced": "100"}
    assert expected.items() <= record.params.items()
    assert record.tags["status"] == "ok"
    assert record.tags["version.torch"]
    rows = scores[(scores["model"] == "gaussian_mixture[components=2]") & (scores["status"] == "ok")]
    values = {(f"{row.metric}{end}", row.replicate): v for row in rows.itertuples()
              for end, v in (("", row.value), ("_error", row.error))}  # fmt: skip
    assert {(name, step): value for name, value, step in record.metrics} == values
    assert not any("seconds" in name or "memory" in name for name, _, _ in record.metrics)


def test_a_cell_without_numbers_says_why(tiny, tmp_path):
    cell = execution.plan(tiny, out=tmp_path / "run").cells[0]
    record = record_of(cell, failed(cell, "timeout", "took longer than 20 s"), "tiny", "here")
    assert not record.finished
    assert record.metrics == []
    assert (record.tags["status"], record.tags["reason"]) == ("timeout", "took longer than 20 s")
    assert "kl (timeout)" in record.tags["without_number"]


def test_a_resumed_run_adds_only_what_the_tracker_lacks(tiny, tmp_path):
    memory, out = Memory(), tmp_path / "run"
    tracked(tiny, out, memory, models=["gaussian"])
    tracked(tiny, out, memory)
    tracked(tiny, out, memory)
    assert [record.name for record in memory.records] == ["bimodal × gaussian", "bimodal × oracle"]
    late = Memory()
    tracked(tiny, out, late)
    assert len(late.records) == 2, "a run that was not tracked can be, afterwards"
    tracked(tiny, out, late, fresh=True)
    assert len(late.records) == 4, "what is computed again is told again"


def test_a_tracker_that_fails_is_mentioned_once_and_costs_nothing(tiny, tmp_path):
    complaints: list[str] = []
    broken = Memory(fails_at=1)
    models = ["gaussian", "oracle", "gaussian_mixture"]
    there = tracked(tiny, tmp_path / "there", broken, complaints, models=models)
    here = tracked(tiny, tmp_path / "here", Memory(), models=models)
    pd.testing.assert_frame_equal(there, here)
    assert len(complaints) == 1
    assert "stopped at bimodal × oracle (ConnectionError: the server)" in complaints[0]
    broken.fails_at = None
    tracked(tiny, tmp_path / "there", broken, complaints, models=models)
    assert [record.name.split()[-1] for record in broken.records] == models
    assert len(complaints) == 1


def test_several_observers_are_told_the_same(tiny, tmp_path):
    one, other = Recorder(), Recorder()
    planned = execution.plan(tiny, out=tmp_path / "run", targets=["bimodal"])
    execution.carry_out(planned, workers=0, observer=Together(one, other))
    assert one.events == other.events
    assert [kind for kind, _ in one.events] == ["started", "ok"] * 2


def test_an_unknown_tracker_and_a_missing_mlflow_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="unknown tracker 'mlfow'; did you mean mlflow"):
        tracking.opened("mlfow", "tiny", tmp_path, print)
    real = builtins.__import__

    def without_mlflow(name, *arguments):
        if name.split(".")[0] == "mlflow":
            raise ImportError("No module named 'mlflow'")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_mlflow)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'pip install "pushforward\[mlflow\]"'):
        tracking.opened("mlflow", "tiny", tmp_path, print)
    assert list(tmp_path.iterdir()) == []


def test_mlflow_is_not_imported_by_those_who_do_not_ask():
    code = "import sys, benchmarks.cli; sys.exit('mlflow' in sys.modules or 'benchmarks.mlflow_runs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def mlflow_client(tmp_path, monkeypatch):
    """MLflow itself, with a database of this test's own in its working directory."""
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda: MlflowClient(f"sqlite:///{(tmp_path / 'results' / 'mlflow.db').as_posix()}")


def test_mlflow_has_a_run_for_every_cell_and_a_step_for_every_replicate(tiny, tmp_path, mlflow_client):
    for models in (["gaussian"], ["gaussian", "oracle"]):  # the second time, one of them is kept
        planned = execution.plan(tiny, out=tmp_path / "run", models=models, targets=["bimodal"])
        observer = tracking.opened("mlflow", "tiny", tmp_path / "run", pytest.fail)
        execution.carry_out(planned, workers=0, observer=observer)
    client = mlflow_client()
    experiment = client.get_experiment_by_name("pushforward/tiny").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert set(runs) == {"bimodal × gaussian", "bimodal × oracle"}
    run = runs["bimodal × gaussian"]
    assert run.info.status == "FINISHED"
    assert run.info.end_time == run.info.start_time
    assert run.data.params["target"] == "bimodal"
    assert run.data.tags["status"] == "ok"
    scores = planned.store.scores()
    kl = scores[(scores["metric"] == "kl") & (scores["model"] == "gaussian")]
    history = client.get_metric_history(run.info.run_id, "kl")
    assert {point.step: point.value for point in history} == dict(zip(kl["replicate"], kl["value"], strict=True))


def test_more_numbers_than_mlflow_takes_at_once_all_arrive(tiny, tmp_path, mlflow_client):
    cell = execution.plan(tiny, out=tmp_path / "run").cells[0]
    record = Record("many", cell.key(), False, {}, {"reason": "x" * 20_000}, [("kl", float(i), i) for i in range(1500)])
    tracker = tracking.opened("mlflow", "tiny", tmp_path / "run", pytest.fail).tracker
    tracker.add(record)
    assert tracker.has(cell.key())
    assert not tracker.has("0" * 64)
    client = mlflow_client()
    (run,) = client.search_runs([client.get_experiment_by_name("pushforward/tiny").experiment_id])
    assert run.info.status == "FAILED"
    assert len(client.get_metric_history(run.info.run_id, "kl")) == 1500


@pytest.mark.usefixtures("mlflow_client")
def test_an_address_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://here")
    with pytest.raises(UserError, match="nonsense://here cannot be opened") as caught:
        tracking.opened("mlflow", "tiny", tmp_path, print)
    assert "\n" not in str(caught.value)
