"""Each check is proved by a model or a target that only it catches; and everything built in passes them all."""

from __future__ import annotations

import pytest

from benchmarks import lookup
from benchmarks.checks import CHECKS, parametrize_with_checks
from benchmarks.checks.examination import failure
from tests.benchmarks.checks import broken, broken_targets
from tests.benchmarks.checks.sound import SoundHighTarget, SoundLatent, SoundMap, SoundTarget

BROKEN = {"model": broken.BROKEN, "target": broken_targets.BROKEN}


def failing(kind, make) -> set[str]:
    """The names of all checks that fail, whatever they build on."""
    subject = make()
    return {check.name for check in CHECKS[kind] if check.applies(subject) and failure(check, make) is not None}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_check_has_its_broken_one(kind):
    assert list(BROKEN[kind]) == [check.name for check in CHECKS[kind]]


@pytest.mark.parametrize(
    ("kind", "make"),
    [("model", SoundMap), ("model", SoundLatent), ("target", SoundTarget), ("target", SoundHighTarget)],
)
def test_what_is_sound_passes_every_check(kind, make):
    assert failing(kind, make) == set()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, found in BROKEN.items() for name in found])
def test_what_is_broken_is_caught_by_its_check_and_by_no_other(kind, name):
    assert failing(kind, BROKEN[kind][name]) == {name}


@parametrize_with_checks(*sorted(lookup.available("model")), *sorted(lookup.available("target")))
def test_what_is_built_in_passes(check):
    check()  # raises CheckError
