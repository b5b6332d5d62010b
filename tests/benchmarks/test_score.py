"""Custom metrics on a run that is there: what they are given, what is kept, and what is said of what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmarks
from benchmarks import scoring
from benchmarks.content import content_of
from benchmarks.errors import UserError
from benchmarks.report import metric_table, write_report
from benchmarks.store import Store
from metrics.catalogue import METRICS

FAULTY = Path(__file__).with_name("faulty.py")
MODELS = ["oracle", "gaussian", "gaussian_mixture[components=2]"]
COLUMNS = ["target", "model", "replicate", "metric", "value", "error", "status", "reason"]

MINE = '''
import torch
from torch import Generator, Tensor

from metrics import Score
from metrics.custom import model_metric, sample_metric
from models.base import DensityModel, Model


@sample_metric(unit="data units", better="lower")
def shift(samples: Tensor, held_out: Tensor, generator: Generator, power: int = 1):
    """Distance between the means. To some power.

    The second line is not shown.
    """
    return float((samples.mean(0) - held_out.mean(0)).norm()) ** power, 0.01


@sample_metric()
def noise(samples: Tensor, held_out: Tensor, generator: Generator):
    """What the generator says."""
    return float(torch.rand((), generator=generator)), 0.0


@sample_metric(better="neither")
def spoils(samples: Tensor, held_out: Tensor, generator: Generator):
    """Writes into what it is given."""
    samples.zero_()
    held_out.zero_()
    return 0.0, 0.0


@sample_metric()
def breaks(samples: Tensor, held_out: Tensor, generator: Generator):
    """Raises on one target."""
    if held_out.shape[1] == 2:
        raise RuntimeError("no <b>luck</b> | today [red]")
    return 1.0, 0.1


@model_metric(unit="nats", better="higher")
def density(model: Model, held_out: Tensor, generator: Generator):
    """Mean held-out log-density."""
    if not isinstance(model, DensityModel):
        return Score.absent("n/a", "no density")
    values = model.log_prob(held_out[:100])
    return values.mean(), values.std() / 10


nothing = 3
'''


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three models on three targets, one of them data, with a metric file beside it."""
    from tests.tiny import TINY

    folder = tmp_path_factory.mktemp("score")
    (folder / "mine.py").write_text(MINE)
    (folder / "tiny.toml").write_text(TINY.format(seconds=120, memory_gb=4))
    pd.DataFrame(np.random.default_rng(0).normal(size=(600, 2))).to_csv(folder / "stars.csv", index=False)
    benchmarks.run(
        str(folder / "tiny.toml"),
        models=MODELS,
        targets=["bimodal", "two_modes[separation=6]"],
        data=str(folder / "stars.csv"),
        out=folder / "run",
    )
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def test_every_cell_is_scored_from_what_is_kept(run):
    before = {path: path.read_bytes() for path in run.rglob("*.safetensors")}
    rows = benchmarks.score(run, ["energy_distance"])
    assert list(rows.columns) == COLUMNS
    assert len(rows) == 3 * len(MODELS) * 2
    assert set(rows["status"]) == {"ok"}
    kept = pd.read_csv(run / "metrics" / "energy_distance.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(kept, rows)
    assert {path: path.read_bytes() for path in run.rglob("*.safetensors")} == before


def test_it_is_given_the_run_s_own_held_out_points_and_fitted_models(run, finished):
    """The log-density over the points and by the weights that the run used is the run's own log-likelihood."""
    rows = benchmarks.score(run, [f"{finished}/mine.py:density"])
    ours = rows[rows["status"] == "ok"].set_index(["target", "model", "replicate"])
    scores = pd.read_csv(run / "scores.csv", keep_default_na=False)
    theirs = scores[(scores["metric"] == "log_likelihood") & (scores["status"] == "ok")]
    theirs = theirs.set_index(["target", "model", "replicate"])
    assert len(theirs) == 16  # all but the oracle of the data, which has no density
    pd.testing.assert_series_equal(
        ours["value"], theirs["value"].astype(float), check_exact=False, rtol=1e-12, check_names=False
    )
    assert set(rows[rows["status"] != "ok"]["reason"]) == {"no density"}


def test_scoring_again_gives_the_same_bytes_and_every_row_its_own_noise(run, finished):
    name = f"{finished}/mine.py:noise"
    first = benchmarks.score(run, [name])
    before = (run / "metrics" / "noise.csv").read_bytes()
    benchmarks.score(run, [f"{finished}/mine.py:spoils", name])
    assert (run / "metrics" / "noise.csv").read_bytes() == before
    assert not first["value"].duplicated().any()


def test_a_metric_s_file_is_executed_a_few_times_and_not_for_every_cell(run, tmp_path):
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'log')!r}, 'a').write('x')\n" + MINE)
    benchmarks.score(run, [f"{tmp_path}/mine.py:shift"])
    assert len((tmp_path / "log").read_text()) <= 2


def test_a_metric_that_writes_into_its_points_costs_no_other(run, finished):
    shift = f"{finished}/mine.py:shift"
    alone = benchmarks.score(run, [shift])
    after = benchmarks.score(run, [f"{finished}/mine.py:spoils", shift])
    pd.testing.assert_frame_equal(after[after["metric"] == "shift"].reset_index(drop=True), alone)


def test_arguments_in_brackets_make_metrics_of_their_own(run, finished):
    rows = benchmarks.score(run, [f"{finished}/mine.py:shift[power=[1, 2]]"])
    once, squared = (rows[rows["metric"] == f"shift[power={k}]"]["value"].to_numpy() for k in (1, 2))
    assert squared == pytest.approx(once**2)
    assert (run / "metrics" / "shift[power=2].csv").exists()


def test_the_report_shows_it_without_the_metric_s_file(run, tmp_path):
    (tmp_path / "other.py").write_text(MINE)
    benchmarks.score(run, [f"{tmp_path}/other.py:shift"])
    (tmp_path / "other.py").unlink()
    content = content_of(Store(run))
    write_report(content, run)
    text = (run / "tables" / "shift.md").read_text()
    assert text.startswith("**shift: Distance between the means. To some power.** In data units; lower is better.")
    assert "second line" not in text
    for name in ("README.md", "index.html"):
        assert "shift: Distance between the means" in (run / name).read_text()
    numbers = pd.read_csv(run / "tables" / "shift.csv")
    rows = pd.read_csv(run / "metrics" / "shift.csv")
    medians = rows.groupby(["target", "model"])["value"].median()
    for row in numbers.itertuples():
        assert row.value == pytest.approx(medians[row.target, row.model])
        assert row.low <= row.value <= row.high
    assert numbers["best"].sum() == 3, "of the only contender, on every target"


def test_nothing_is_best_where_neither_way_is_better(run, finished):
    benchmarks.score(run, [f"{finished}/mine.py:spoils", "energy_distance"])
    content = content_of(Store(run))
    tables = {name: metric_table(content, name) for name in ("spoils", "energy_distance")}
    marked = {name: {cell.mark for row in table.rows for cell in row} for name, table in tables.items()}
    assert "best" in marked["energy_distance"]
    assert "best" not in marked["spoils"]
    assert "Bold" not in tables["spoils"].caption


def test_a_run_without_such_metrics_is_as_before(run):
    assert list(content_of(Store(run)).metrics) == list(content_of(Store(run)).scores["metric"].unique())
    pd.testing.assert_frame_equal(content_of(Store(run)).scores, Store(run).scores())


def test_a_metric_that_raises_costs_its_own_rows_and_says_why(run, finished):
    planned = scoring.plan(run, [f"{finished}/mine.py:breaks", "energy_distance"])
    outcome = scoring.carry_out(planned)
    bad = outcome.rows[outcome.rows["status"] == "failed"]
    assert set(bad["target"]) == {"stars"}
    assert set(bad["metric"]) == {"breaks"}
    assert set(bad["reason"]) == {"RuntimeError: no <b>luck</b> | today [red]"}
    assert len(outcome.broken) == len(MODELS)
    assert "breaks on stars × oracle: RuntimeError: no <b>luck" in outcome.broken[0]
    foot = metric_table(content_of(Store(run)), "breaks").foot
    assert foot == "Without a number: every model on stars (failed: RuntimeError: no <b>luck</b> | today [red])."


def test_a_cell_that_failed_keeps_its_word_and_is_no_failure_of_the_metric(tiny, finished, tmp_path):
    out = tmp_path / "bad"
    benchmarks.run(tiny, models=[f"{FAULTY}:Diverges", "gaussian"], targets=["bimodal"], out=out)
    outcome = scoring.carry_out(scoring.plan(out, ["energy_distance", f"{finished}/mine.py:density"]))
    bad = outcome.rows[outcome.rows["model"] == "Diverges"]
    assert set(bad["status"]) == {"diverged"}
    assert bad["reason"].str.contains("not finite").all()
    assert bad["value"].isna().all()
    assert set(outcome.rows[outcome.rows["model"] == "gaussian"]["status"]) == {"ok"}
    assert outcome.broken == []


def test_cells_computed_since_are_not_scored_until_they_are(tiny, tmp_path):
    out = tmp_path / "run"
    benchmarks.run(tiny, models=["gaussian"], targets=["bimodal"], out=out)
    benchmarks.score(out, ["energy_distance"])
    benchmarks.run(tiny, models=["gaussian", "oracle"], targets=["bimodal"], out=out)

    def words() -> dict[str, set[str]]:
        scores = content_of(Store(out)).scores
        scores = scores[scores["metric"] == "energy_distance"]
        return scores.groupby("model")["status"].agg(set).to_dict()

    assert words() == {"gaussian": {"ok"}, "oracle": {"not scored"}}
    assert "oracle on bimodal (not scored" in metric_table(content_of(Store(out)), "energy_distance").foot
    kept = json.loads((out / "metrics" / "energy_distance.json").read_text())
    del kept["checksum"]
    kept["cells"]["bimodal"]["gaussian"] = (
        "another key ok"  # as if the model's file had changed, and the run been made anew
    )
    (out / "metrics" / "energy_distance.json").write_text(json.dumps(kept))
    assert words()["gaussian"] == {"not scored"}
    benchmarks.score(out, ["energy_distance"])
    assert words() == {"gaussian": {"ok"}, "oracle": {"ok"}}
    shutil.rmtree(out / "cells")  # as in a published run
    assert words() == {"gaussian": {"ok"}, "oracle": {"ok"}}


def test_a_model_and_a_target_from_a_file_are_found_again(tiny, finished, tmp_path, monkeypatch):
    (tmp_path / "target.py").write_text(
        "from benchmarks.targets.univariate import Bimodal\n"
        "class Mine(Bimodal):\n    def __init__(self, colour: str = 'red'):\n        super().__init__()\n"
    )
    (tmp_path / "model.py").write_text("from models.gaussian import Gaussian\nclass Own(Gaussian):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    benchmarks.run(tiny, models=["model.py:Own"], targets=["target.py:Mine[colour=blue]"], out=tmp_path / "run")
    monkeypatch.chdir("/")
    rows = benchmarks.score(tmp_path / "run", [f"{finished}/mine.py:density", "energy_distance"])
    assert set(rows["status"]) == {"ok"}
    (tmp_path / "target.py").unlink()
    with pytest.raises(UserError, match=r"target Mine\[colour=blue\] of this run cannot be found any more: .*no file"):
        scoring.plan(tmp_path / "run", ["energy_distance"])


def test_a_model_without_weights_fails_with_a_hint(tiny, finished, tmp_path):
    (tmp_path / "model.py").write_text(
        "from models.base import Budget, DensityModel, History\n"
        "class Forgets(DensityModel):\n"
        "    def fit(self, x, generator, budget=Budget()):\n        self.x = x\n        return History()\n"
        "    def sample(self, n, generator):\n        return self.x[:n].repeat(9, 1)[:n]\n"
        "    def log_prob(self, x):\n        return -(x - self.x.mean(0)).square().sum(1)\n"
    )
    benchmarks.run(tiny, models=[f"{tmp_path}/model.py:Forgets"], targets=["bimodal"], out=tmp_path / "run")
    rows = benchmarks.score(tmp_path / "run", [f"{finished}/mine.py:density"])
    assert set(rows["status"]) == {"failed"}
    assert rows["reason"].str.contains("has no parameters or buffers, so none were kept").all()


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("energy_distanse", "unknown metric 'energy_distanse'; did you mean energy_distance"),
        ("kl", "kl is scored in every run"),
        ("nowhere.py:mine", "there is no file nowhere.py"),
        ("{mine}:absent", "has no 'absent'"),
        ("{mine}:nothing", "is not a metric: it must be a function under @sample_metric or @model_metric"),
        ("{mine}:shift[powers=2]", "unknown argument 'powers'; did you mean power"),
        ("{mine}:shift[power=much]", "power = 'much'"),
        ("{mine}:shift[samples=2]", "samples cannot be set in a name"),
    ],
)
def test_a_metric_that_there_is_not_is_one_clear_line(run, finished, metric, expected):
    with pytest.raises(UserError) as caught:
        scoring.plan(run, [metric.format(mine=f"{finished}/mine.py")])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (run / "metrics").exists()


def test_a_metric_called_like_a_score_of_every_run_is_refused(run, tmp_path):
    (tmp_path / "mine.py").write_text(MINE.replace("def shift", "def kl"))
    with pytest.raises(UserError, match="metric kl: a score of every run has this name"):
        scoring.plan(run, [f"{tmp_path}/mine.py:kl"])
    assert "kl" in METRICS


def test_a_run_that_there_is_not_and_one_without_cells_are_refused(run, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        scoring.plan(tmp_path / "nowhere", ["energy_distance"])
    shutil.rmtree(run / "cells")
    with pytest.raises(UserError, match="keeps no cells to score"):
        scoring.plan(run, ["energy_distance"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dimension": 3}, "target bimodal has 1 dimensions by now, and had 3 in this run"),
        ({"name": "bimodel"}, "target bimodel of this run cannot be found any more: unknown target 'bimodel'"),
    ],
)
def test_a_target_that_is_another_one_by_now_is_refused(run, change, expected):
    manifest = Store(run).manifest()
    manifest["targets"][0] |= change
    Store(run).write_manifest(manifest)
    with pytest.raises(UserError) as caught:
        scoring.plan(run, ["energy_distance"])
    assert expected in str(caught.value)


def test_data_that_have_changed_or_gone_are_refused(tiny, tmp_path):
    data = tmp_path / "moons.csv"
    pd.DataFrame(np.random.default_rng(1).normal(size=(600, 2))).to_csv(data, index=False)
    benchmarks.run(tiny, models=["gaussian"], data=str(data), out=tmp_path / "run")
    assert set(benchmarks.score(tmp_path / "run", ["energy_distance"])["status"]) == {"ok"}
    pd.DataFrame(np.random.default_rng(2).normal(size=(600, 2))).to_csv(data, index=False)
    with pytest.raises(UserError, match="has changed since this run"):
        scoring.plan(tmp_path / "run", ["energy_distance"])
    data.unlink()
    with pytest.raises(UserError, match="target moons of this run cannot be found any more"):
        scoring.plan(tmp_path / "run", ["energy_distance"])


def test_a_run_from_before_sources_were_kept_is_scored_by_its_names(run):
    manifest = Store(run).manifest()
    manifest["targets"] = [
        {key: value for key, value in about.items() if key not in ("source", "sha256")}
        for about in manifest["targets"]
        if about["name"] != "stars"
    ]
    del manifest["model_sources"]
    Store(run).write_manifest(manifest)
    rows = benchmarks.score(run, ["energy_distance"])
    assert len(rows) == 2 * len(MODELS) * 2


def test_a_metric_that_cannot_be_read_back_is_named(run):
    benchmarks.score(run, ["energy_distance"])
    (run / "metrics" / "energy_distance.json").write_text("{")
    with pytest.raises(UserError, match=r"energy_distance\.json cannot be read"):
        content_of(Store(run))
