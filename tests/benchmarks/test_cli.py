"""The commands as a user types them, in this process: exit codes, what is said, what is written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import cli

FAULTY = Path(__file__).with_name("faulty.py")


@pytest.fixture
def pushforward(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty directory; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pushforward", *arguments])
        monkeypatch.setattr(cli, "out", cli.Console(width=240))
        monkeypatch.setattr(cli, "err", cli.Console(width=240, stderr=True))
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize(
    "command", [command.name or command.callback.__name__ for command in cli.app.registered_commands]
)
def test_every_command_has_help(pushforward, command):
    code, output, _ = pushforward(command, "--help")
    assert code == 0
    assert len(output.splitlines()) > 3


def test_the_lists_name_everything(pushforward):
    code, output, _ = pushforward("models")
    assert code == 0
    for name in ("oracle", "gaussian", "gaussian_vae", "l2_autoencoder", "normalizing_flow", "ot_map"):
        assert name in output
    code, output, _ = pushforward("targets")
    assert code == 0
    for name in ("claw", "rings", "funnel_10d", "digits"):
        assert name in output
    code, output, _ = pushforward("metrics")
    assert code == 0
    for name in ("w2_squared", "kl", "amortisation_gap", "energy_distance"):
        assert name in output
    code, output, _ = pushforward("suites")
    assert code == 0
    for name in ("smoke", "standard", "full"):
        assert name in output


def test_a_sweep_of_arguments_is_a_model_for_each_value(pushforward, tiny):
    sweep = "gaussian_mixture[components=[1, 4], iterations=5]"
    options = ("--model", sweep, "--target", "two_modes[separation=6]", "--workers", "0", "--out", "results/sweep")
    code, _, errors = pushforward("run", tiny, *options)
    assert (code, errors) == (0, "")
    scores = pd.read_csv("results/sweep/scores.csv", keep_default_na=False)
    assert set(scores["target"]) == {"two_modes[separation=6.0]"}
    kl = scores[scores["metric"] == "kl"].set_index(["model", "replicate"])["value"].astype(float)
    one, four = (f"gaussian_mixture[components={k},iterations=5]" for k in (1, 4))
    assert set(scores["model"]) == {one, four}
    assert (kl[four] < kl[one]).all()
    before = Path("results/sweep/scores.csv").read_bytes()
    _, output, _ = pushforward("run", tiny, *options)
    assert output.count("(kept)") == 2
    assert Path("results/sweep/scores.csv").read_bytes() == before
    code, _, errors = pushforward("run", tiny, "--model", "gaussian_mixture[component=4]", "--out", "results/other")
    assert code == 2
    assert "did you mean components" in errors
    assert not Path("results/other").exists()


def test_a_run_writes_everything_and_a_report_writes_it_again(pushforward, tiny):
    code, output, errors = pushforward("run", tiny, "--workers", "0")
    assert code == 0, errors
    assert "eight_gaussians × gaussian" in output
    folder = Path("results/tiny")
    for name in ("scores.csv", "costs.csv", "run.json", "index.html", "README.md", "figures/wall.png", "tables/kl.md"):
        assert (folder / name).stat().st_size > 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".png", ".md", ".html", ".csv")}
    assert len(before) > 20
    for path in before:
        path.unlink()
    code, _, _ = pushforward("report", str(folder))
    assert code == 0
    for path, content in before.items():
        assert path.read_bytes() == content, path


def test_a_finished_run_is_scored_by_a_metric_of_one_s_own(pushforward, tiny):
    pushforward("run", tiny, "--workers", "0")
    Path("mine.py").write_text(
        "from metrics.custom import sample_metric\n"
        "@sample_metric(unit='bananas', better='higher')\n"
        "def spread(samples, held_out, generator, power: int = 1):\n"
        "    'How far samples spread.'\n"
        "    if held_out.shape[1] == power:\n"
        "        raise ValueError('no [red]luck')\n"
        "    return samples.std(), 0.01\n"
    )
    code, output, errors = pushforward("score", "results/tiny", "--metric", "mine.py:spread[power=3]")
    assert (code, errors) == (0, "")
    assert "spread[power=3]: How far samples spread" in output
    assert "In bananas; higher is better." in output
    code, output, errors = pushforward(
        "score", "results/tiny", "--metric", "mine.py:spread", "--metric", "energy_distance"
    )
    assert code == 1
    assert "failed spread on bimodal × gaussian: ValueError: no [red]luck" in errors
    assert "energy_distance: Energy distance" in output
    Path("mine.py").unlink()
    code, output, errors = pushforward("report", "results/tiny")
    assert (code, errors) == (0, "")
    assert "spread[power=3]: How far samples spread" in output
    assert "energy_distance" in Path("results/tiny/index.html").read_text()
    for arguments in (["results/nowhere", "--metric", "energy_distance"], ["results/tiny", "--metric", "energy"]):
        code, _, errors = pushforward("score", *arguments)
        assert code == 2
        assert errors.count("\n") == 1
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "gausian"], "did you mean gaussian"),
        (["--target", "ring"], "did you mean rings"),
        (["--replicates", "-2"], "at least 1"),
        (["--workers", "-1"], "--workers -1"),
        (["--device", "abacus"], "--device abacus"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--replicates", "many"], "--replicates"),
        (["--track", "mlfow"], "did you mean mlflow"),
    ],
)
def test_bad_input_is_exit_code_2_one_line_and_nothing_written(pushforward, tiny, tmp_path, arguments, expected):
    before = sorted(tmp_path.rglob("*"))
    code, _, errors = pushforward("run", tiny, *arguments)
    assert code == 2
    assert expected in errors
    assert "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_suite_and_a_missing_run_are_exit_code_2(pushforward):
    code, _, errors = pushforward("run", "standart")
    assert code == 2
    assert errors.count("\n") == 1
    assert "did you mean standard" in errors
    code, _, errors = pushforward("report", "results/nowhere")
    assert code == 2
    assert "holds no run" in errors


def test_a_directory_of_another_suite_is_left_alone(pushforward, tiny):
    code, _, _ = pushforward("run", tiny, "--workers", "0", "--target", "bimodal")
    assert code == 0
    before = {path: path.stat().st_mtime_ns for path in Path("results/tiny").rglob("*")}
    code, _, errors = pushforward("run", "smoke", "--out", "results/tiny")
    assert code == 2
    assert "holds a run of the suite 'tiny'" in errors
    assert {path: path.stat().st_mtime_ns for path in Path("results/tiny").rglob("*")} == before


def test_a_file_that_is_called_like_a_target_is_refused_beside_it(pushforward, tiny):
    pd.DataFrame(np.random.default_rng(0).normal(size=(3000, 2))).to_csv("rings.csv", index=False)
    code, _, errors = pushforward("run", tiny, "--target", "rings", "--data", "rings.csv")
    assert code == 2
    assert "target rings is named twice" in errors


def test_a_failed_cell_is_exit_code_1_and_its_reason_is_in_the_tables(pushforward, tiny):
    arguments = ["--workers", "0", "--target", "bimodal", "--model", f"{FAULTY}:Raises", "--model", "gaussian"]
    code, output, errors = pushforward("run", tiny, *arguments)
    assert code == 1
    assert "no <b>luck</b> | today [red]" in errors
    assert "1 of 2 cells have no score" in errors
    assert "failed" in output
    page = Path("results/tiny/index.html").read_text()
    assert "no &lt;b&gt;luck&lt;/b&gt;" in page
    assert "<b>luck" not in page


def test_a_users_own_file_is_a_target(pushforward, tiny):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4)) @ rng.normal(size=(4, 4)) + [1, 20, -3, 0]
    pd.DataFrame(x, columns=["mass", "price", "depth", "angle"]).to_csv("stars.csv", index=False)
    code, output, errors = pushforward("run", tiny, "--data", "stars.csv", "--workers", "0")
    assert code == 0, errors
    assert "stars × gaussian" in output
    scores = pd.read_csv("results/tiny-stars/scores.csv", keep_default_na=False)
    kl = scores[scores["metric"] == "kl"]
    assert set(kl["status"]) == {"n/a"}
    likelihood = scores[(scores["metric"] == "log_likelihood") & (scores["model"] == "gaussian")]
    assert set(likelihood["status"]) == {"ok"}


def test_publishing_renews_the_readme(pushforward, tiny):
    pushforward("run", tiny, "--workers", "0")
    pushforward("score", "results/tiny", "--metric", "energy_distance")
    Path("README.md").write_text("# Before\n<!-- generated: begin -->\nstale text\n<!-- generated: end -->\nafter\n")
    code, _, errors = pushforward("publish", "results/tiny")
    assert code == 0, errors
    readme = Path("README.md").read_text()
    assert "stale text" not in readme
    assert readme.startswith("# Before")
    assert readme.endswith("after\n")
    assert Path("results/published/scores.csv").read_bytes() == Path("results/tiny/scores.csv").read_bytes()
    assert Path("results/published/figures/hero.png").stat().st_size > 0
    before = Path("results/published/tables/energy_distance.md").read_bytes()
    pushforward("report", "results/published")  # it holds no cells
    assert Path("results/published/tables/energy_distance.md").read_bytes() == before
    assert "](published/figures/wall.png)" in Path("results/README.md").read_text()
    code, _, errors = pushforward("publish", "results/tiny", "--readme", "nowhere.md")
    assert code == 2
    assert "nowhere.md" in errors
