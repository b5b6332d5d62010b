"""How the checks are run and reported: expected failures, what builds on what, messages, the command and its twin."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.checks import examine, expectations
from benchmarks.errors import UserError
from tests.benchmarks.checks.broken import Squeezing, Unnormalised
from tests.benchmarks.checks.broken_targets import Rounded
from tests.benchmarks.checks.sound import SoundMap, SoundTarget

ROOT = Path(__file__).parents[3]


def verdicts(make, expected=None) -> dict[str, str]:
    examination = examine(make, expected)
    return {check.name: examination.outcome(check).verdict for check in examination.checks}


def test_checks_are_chosen_by_capability():
    assert "log_determinant" in verdicts(SoundMap)
    assert "elbo_bound" not in verdicts(SoundMap)
    assert "brenier_map" in verdicts(SoundTarget)


def test_a_check_is_skipped_where_one_fails_that_it_builds_on():
    found = verdicts(Squeezing)
    assert found["shapes"] == "failed"
    assert found["mass"] == "skipped"
    assert found["history"] == "passed"


def test_a_failure_says_what_was_expected_what_came_and_where_to_look():
    examination = examine(Unnormalised)
    message = next(examination.outcome(check).message for check in examination.checks if check.name == "mass")
    assert re.fullmatch(
        r"expected: ∫ p = 1 in 1 dimensions\n"
        r"got:      1\.105\d* ± \S+\n"
        r"look at:  Unnormalised\.log_prob \(broken\.py:\d+\)",
        message,
    )


def test_what_a_check_does_not_expect_is_a_failure_with_its_place():
    class Raising(SoundMap):
        """Divides by zero."""

        def log_prob(self, x):
            return super().log_prob(x) / (1 // 0)

    examination = examine(Raising)
    message = next(examination.outcome(check).message for check in examination.checks if check.name == "shapes")
    assert "ZeroDivisionError" in message
    assert "test_examination.py:" in message


def test_an_expected_failure_is_no_failure_and_a_pass_in_its_place_is():
    assert verdicts(Rounded, {"entropy": "a typing error"})["entropy"] == "expected"
    assert verdicts(SoundTarget, {"entropy": "a typing error"})["entropy"] == "unexpected"


@pytest.mark.parametrize(
    ("make", "expected", "says"),
    [
        (SoundMap, {"masss": "why"}, "did you mean mass"),
        (SoundMap, {"elbo_bound": "why"}, "unknown check"),
        (SoundMap, {"mass": "  "}, "needs a reason"),
        ("gaussian_vea", None, "did you mean gaussian_vae"),
        ("no_such.py:Model", None, "there is no file"),
        ("gaussian_vae[hidden=[8,16]]", None, "one is needed"),
    ],
)
def test_what_cannot_be_examined_is_said(make, expected, says):
    with pytest.raises(UserError, match=says):
        examine(make, expected)


@pytest.mark.parametrize("given", ["mass", "mass=", "mass= "])
def test_an_expected_failure_on_the_command_line_needs_a_reason(given):
    with pytest.raises(UserError, match="CHECK=REASON"):
        expectations([given])


def test_the_twin_makes_a_test_of_each_check_and_is_strict(tmp_path):
    """In a process of its own: passes, an expected failure, and a pass that was expected to fail."""
    (tmp_path / "test_it.py").write_text(
        "from benchmarks.checks import parametrize_with_checks\n"
        "from tests.benchmarks.checks.broken_targets import Rounded\n"
        "from tests.benchmarks.checks.sound import SoundTarget\n\n"
        '@parametrize_with_checks(Rounded, expected_failures={"entropy": "a typing error"})\n'
        "def test_broken(check):\n    check()\n\n"
        '@parametrize_with_checks(SoundTarget, expected_failures={"entropy": "a typing error"})\n'
        "def test_sound(check):\n    check()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert re.search(r"1 failed, \d+ passed, 1 xfailed", done.stdout), done.stdout
    assert "[XPASS(strict)] a typing error" in done.stdout
