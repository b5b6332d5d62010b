"""The undisturbed run that every disturbed one is held against."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.faults.undisturbed import Undisturbed

SEED = 20_240_229

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]  # there are no process groups, no SIGKILL


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(params=[SEED], ids="seed {}".format)
def rng(request) -> random.Random:
    """All that is random; the test's name says the seed."""
    return random.Random(request.param)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path
