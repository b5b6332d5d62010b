"""Each check of a model is proved by a model that only it catches; and the built-in models pass them all."""

from __future__ import annotations

import pytest

from benchmarks import lookup
from benchmarks.checks import CHECKS, parametrize_with_checks
from benchmarks.checks.examination import failure
from tests.benchmarks.checks.broken import BROKEN
from tests.benchmarks.checks.sound import SoundLatent, SoundMap


def failing(make) -> set[str]:
    """The names of all checks that fail, whatever they build on."""
    model = make()
    return {check.name for check in CHECKS["model"] if check.applies(model) and failure(check, make) is not None}


def test_there_is_a_broken_model_for_every_check():
    assert list(BROKEN) == [check.name for check in CHECKS["model"]]


@pytest.mark.parametrize("make", [SoundMap, SoundLatent])
def test_a_sound_model_passes_every_check(make):
    assert failing(make) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_caught_by_its_check_and_by_no_other(name):
    assert failing(BROKEN[name]) == {name}


@parametrize_with_checks(*sorted(lookup.available("model")))
def test_built_in(check):
    check()
