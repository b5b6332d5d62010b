"""Each check of a target is proved by a target that only it catches; and the built-in targets pass them all."""

from __future__ import annotations

import pytest

from benchmarks import lookup
from benchmarks.checks import CHECKS, parametrize_with_checks
from benchmarks.checks.examination import failure
from tests.benchmarks.checks.broken_targets import BROKEN
from tests.benchmarks.checks.sound import SoundHighTarget, SoundTarget


def failing(make) -> set[str]:
    """The names of all checks that fail, whatever they build on."""
    target = make()
    return {check.name for check in CHECKS["target"] if check.applies(target) and failure(check, make) is not None}


def test_there_is_a_broken_target_for_every_check():
    assert list(BROKEN) == [check.name for check in CHECKS["target"]]


@pytest.mark.parametrize("make", [SoundTarget, SoundHighTarget])
def test_a_sound_target_passes_every_check(make):
    assert failing(make) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_target_is_caught_by_its_check_and_by_no_other(name):
    assert failing(BROKEN[name]) == {name}


@parametrize_with_checks(*sorted(lookup.available("target")))
def test_built_in(check):
    check()
