"""`pushforward new`: what it writes works under every name that it takes, and it takes no name that cannot work."""

from __future__ import annotations

import os

import pytest

from benchmarks import new
from benchmarks.checks import examine
from benchmarks.errors import UserError


@pytest.mark.parametrize("kind", ["model", "target"])
@pytest.mark.parametrize("name", ["a", "my_1st_one", "new_model", "x" * 40])
def test_any_name_that_is_taken_works(kind, name, tmp_path):
    path, test = new.create(kind, name, tmp_path)
    assert (path.name, test.name) == (f"{name}.py", f"test_{name}.py")
    examination = examine(f"{path}:{new.class_name(name)}")
    assert [examination.outcome(check).message for check in examination.checks[:2]] == ["", ""]
    compile(test.read_text(encoding="utf-8"), str(test), "exec")
    assert f"from {name} import {new.class_name(name)}" in test.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("model", "MyModel", "lower-case"),
        ("model", "class", "lower-case"),
        ("model", "1st", "lower-case"),
        ("target", "my-target", "lower-case"),
        ("model", "x" * 41, "at most 40"),
        ("model", "oracle", "already"),
        ("model", "gaussian_vae", "already"),
        ("target", "rings", "already"),
        ("model", "numpy", "hide the Python package numpy"),
        ("model", "random", "hide the Python package random"),
        ("target", "models", "hide the Python package models"),
        ("model", "history", "hide History"),
        ("target", "exact_target", "hide ExactTarget"),
        ("target", "path", "hide Path"),
    ],
)
def test_a_name_that_cannot_work_is_refused(kind, name, why, tmp_path):
    with pytest.raises(UserError, match=why):
        new.create(kind, name, tmp_path)
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten_and_no_directory_made(tmp_path):
    (tmp_path / "test_mine.py").write_text("kept")
    with pytest.raises(UserError, match="nothing is overwritten"):
        new.create("model", "mine", tmp_path)
    assert os.listdir(tmp_path) == ["test_mine.py"]
    with pytest.raises(UserError, match="no directory"):
        new.create("model", "mine", tmp_path / "away")
