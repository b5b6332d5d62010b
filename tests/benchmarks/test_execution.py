"""The promises of a run: the same bits however it is run, nothing computed twice, nothing lost, failures kept apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks import execution
from benchmarks.errors import UserError

FAULTY = Path(__file__).with_name("faulty.py")


class Recorder:
    """Notes which cells were started."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, cell) -> None:
        self.names.append(cell.name)

    def finished(self, cell, result) -> None:
        pass


def test_scores_are_tidy_and_the_oracle_is_at_the_floor(tiny, tmp_path):
    scores = benchmarks.run(tiny, out=tmp_path / "run", workers=0)
    assert list(scores.columns) == ["target", "model", "replicate", "metric", "value", "error", "status", "reason"]
    assert not scores.duplicated(["target", "model", "replicate", "metric"]).any()
    kl = scores[scores["metric"] == "kl"].set_index(["target", "model", "replicate"])["value"]
    assert (kl.xs("oracle", level="model") == 0).all()
    assert (kl.xs("gaussian", level="model") > 0.1).all()
    w2 = scores[(scores["metric"] == "w2_squared") & (scores["model"] == "oracle")]
    assert (w2["value"].abs() < 5 * w2["error"]).all()


def test_a_scheduler_that_is_already_there_gives_the_same_bytes(tiny, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        benchmarks.run(tiny, out=tmp_path / "there", scheduler=cluster.scheduler_address)
    benchmarks.run(tiny, out=tmp_path / "here", workers=0)
    assert (tmp_path / "here" / "scores.csv").read_bytes() == (tmp_path / "there" / "scores.csv").read_bytes()


def test_every_model_sees_the_same_data_and_replicates_do_not(tiny, tmp_path):
    scores = benchmarks.run(tiny, out=tmp_path / "run", workers=0)
    floor = scores[scores["metric"] == "w2_squared_floor"].pivot_table("value", ["target", "replicate"], "model")
    assert (floor["oracle"] == floor["gaussian"]).all()
    assert floor["oracle"].nunique() == len(floor)


def test_only_what_is_missing_is_computed(tiny, tmp_path):
    out = tmp_path / "run"
    first, second, third = Recorder(), Recorder(), Recorder()
    execution.carry_out(execution.plan(tiny, out=out, models=["gaussian"]), workers=0, observer=first)
    execution.carry_out(execution.plan(tiny, out=out), workers=0, observer=second)
    execution.carry_out(execution.plan(tiny, out=out), workers=0, observer=third, fresh=True)
    assert first.names == ["bimodal × gaussian", "eight_gaussians × gaussian"]
    assert second.names == ["bimodal × oracle", "eight_gaussians × oracle"]
    assert len(third.names) == 4


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        ("Large", "failed", "1,000 parameters, and the suite allows 900"),
        ("Unhurried", "timeout", "the suite allows 0.2"),
    ],
)
def test_a_budget_holds_for_models_that_do_not_look(tiny, tmp_path, model, status, reason):
    suite = tmp_path / "limited.toml"
    suite.write_text(Path(tiny).read_text() + "[budget]\nparameters = 900\ncpu_seconds = 0.2\n")
    models = [f"{FAULTY}:{model}", "gaussian"]
    scores = benchmarks.run(str(suite), models=models, targets=["bimodal"], out=tmp_path / "run", workers=0)
    assert set(scores.loc[scores["model"] == model, "status"]) == {status}
    assert scores.loc[scores["model"] == model, "reason"].str.contains(reason, regex=False).all()
    assert (scores.loc[scores["model"] == "gaussian", "status"] != status).all()


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        ("Raises", "failed", "RuntimeError: no <b>luck</b> | today [red]"),
        ("Diverges", "diverged", "not finite"),
        ("WrongShape", "failed", "must return a tensor of shape (8, 1), and returned (8, 2)"),
        ("NotFinite", "failed", "not finite"),
    ],
)
def test_a_bad_model_costs_its_own_cell_and_says_why(tiny, tmp_path, model, status, reason):
    out = tmp_path / "run"
    scores = benchmarks.run(tiny, models=[f"{FAULTY}:{model}", "gaussian"], targets=["bimodal"], out=out, workers=0)
    bad = scores[scores["model"] == model]
    assert set(bad["status"]) == {status}
    assert bad["value"].isna().all()
    assert bad["reason"].str.contains(reason, regex=False).all()
    good = scores[(scores["model"] == "gaussian") & (scores["metric"] == "kl")]
    assert (good["status"] == "ok").all()
    again = Recorder()
    models = [f"{FAULTY}:{model}", "gaussian"]
    execution.carry_out(execution.plan(tiny, models=models, targets=["bimodal"], out=out), workers=0, observer=again)
    assert again.names == [f"bimodal × {model}"], "only what failed is tried again"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"models": ["gausian"]}, "unknown model 'gausian'; did you mean gaussian"),
        ({"targets": ["eight_gausians"]}, "did you mean eight_gaussians"),
        ({"models": ["nowhere.py:Model"]}, "there is no file nowhere.py"),
        ({"models": [f"{FAULTY}:Nothing"]}, "has no 'Nothing'"),
        ({"models": [f"{FAULTY}:time"]}, "is not a model"),
        ({"models": ["gaussian", "gaussian"]}, "named twice"),
        ({"replicates": 0}, "at least 1"),
        ({"device": "abacus"}, "--device abacus"),
        ({"data": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(tiny, tmp_path, arguments, expected):
    with pytest.raises(ValueError, match=r".") as caught:
        execution.plan(tiny, out=tmp_path / "run", **arguments)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that even root cannot write to")
def test_a_directory_that_cannot_be_written_to_is_refused(tiny):
    with pytest.raises(UserError, match="choose another --out"):
        benchmarks.run(tiny, out="/proc/nowhere/run")


def test_a_negative_number_of_workers_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="--workers -1"):
        execution.carry_out(execution.plan(tiny, out=tmp_path / "run"), workers=-1)
    assert not (tmp_path / "run").exists()


def test_a_scheduler_that_does_not_answer_is_named(tiny, tmp_path):
    with pytest.raises(UserError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        benchmarks.run(tiny, out=tmp_path / "run", scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "run").exists()
