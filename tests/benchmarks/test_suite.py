from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import lookup, suite
from benchmarks.errors import UserError
from benchmarks.lookup import ORACLE


@pytest.mark.parametrize("name", ["smoke", "standard", "full"])
def test_a_built_in_suite_names_only_what_is_installed(name):
    loaded = suite.load(name)
    assert loaded.name == name
    assert set(loaded.targets) <= set(lookup.available("target"))
    assert set(loaded.models) - {ORACLE} <= set(lookup.available("model"))


def test_the_full_suite_has_every_target():
    assert set(suite.load("full").targets) == set(lookup.available("target"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("replicates = 2", "replicas = 2", [":6", "unknown key 'replicas'", "replicates"]),
        ("replicates = 2", "replicates = -1", [":6", "replicates", "-1"]),
        ("projections = 8", "projektions = 8", [":12", "unknown key 'projektions'", "projections"]),
        ("projections = 8", "projections = 0", ["projections = 0", "at least 1"]),
        ("projections = 8", 'projections = "many"', [":12", "projections", "many"]),
        ("seconds = 120", "seconds = -3", [":18", "seconds", "-3"]),
        ('name = "tiny"', 'name = "../tiny"', [":2", "name", "../tiny"]),
        ('name = "tiny"', "name = ", ["not valid TOML", "line 2"]),
        ("train = 200", "", None),
        ('models = ["oracle", "gaussian"]', "", ["models", "required"]),
    ],
)
def test_what_is_wrong_in_a_suite_is_said_with_its_line(tiny, old, new, expected):
    text = Path(tiny).read_text()
    assert old in text
    Path(tiny).write_text(text.replace(old, new))
    if expected is None:  # there is a default
        assert suite.load(tiny).train == 20_000
        return
    with pytest.raises(UserError) as caught:
        suite.load(tiny)
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message, message


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(UserError, match="standard"):
        suite.load("standart")


def test_a_suite_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as text"):
        suite.load(str(path))
