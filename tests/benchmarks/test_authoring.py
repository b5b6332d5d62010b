"""What a newcomer starts from: the files that `pushforward new` writes, and `pushforward check`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import benchmarks
from benchmarks.cli import app
from benchmarks.errors import UserError
from tests.benchmarks.checks import broken

KINDS = [("model", "my_model", "MyModel"), ("target", "my_target", "MyTarget")]


def invoke(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(("kind", "name", "made"), KINDS)
def test_what_new_writes_works_as_it_is(tmp_path, kind, name, made):
    """It passes its checks, its own tests, and runs beside the others."""
    assert invoke("new", kind, name, "--folder", str(tmp_path)).exit_code == 0
    assert len((tmp_path / f"{name}.py").read_text().splitlines()) < 55
    checked = invoke("check", f"{tmp_path}/{name}.py:{made}")
    assert checked.exit_code == 0, checked.output
    assert "failed" not in checked.output
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    own = [f"{tmp_path}/{name}.py:{made}"]
    models, targets = (own, ["bimodal"]) if kind == "model" else (["oracle", "gaussian"], own)
    scores = benchmarks.run("smoke", models=models, targets=targets, replicates=1, out=tmp_path / "run")
    assert set(scores["status"]) <= {"ok", "n/a"}


def test_new_makes_models_and_targets_only(tmp_path):
    error = invoke("new", "metric", "mine", "--folder", str(tmp_path)).exception
    assert isinstance(error, UserError)
    assert "templates for model and target" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_check_exits_with_1_and_says_what_is_wrong():
    source = f"{broken.__file__}:Timid"
    found = invoke("check", source)
    assert found.exit_code == 1
    assert "✗ sampler_and_density" in found.output
    assert "look at:  Timid.sample (broken.py:" in found.output
    assert "1 failed" in found.output
    assert invoke("check", source, "--only", "shapes").exit_code == 0
    expected = invoke("check", source, "--expect-failure", "sampler_and_density=it is timid")
    assert expected.exit_code == 0
    assert "1 expected" in expected.output
    unexpected = invoke("check", source, "--only", "shapes", "--expect-failure", "shapes=it might be wrong")
    assert unexpected.exit_code == 1
    assert "expected to fail: it might be wrong" in unexpected.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gaussian_vea",), "did you mean gaussian_vae"),
        (("gaussian", "--only", "masss"), "did you mean mass"),
        (("gaussian", "--expect-failure", "mass"), "CHECK=REASON"),
    ],
)
def test_bad_arguments_of_check_are_said(arguments, says):
    error = invoke("check", *arguments).exception
    assert isinstance(error, UserError)
    assert says in str(error)
