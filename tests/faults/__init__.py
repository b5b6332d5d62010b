"""Faults done for real: `make faults` is the whole campaign, the tests here are its short form."""

import pytest

pytest.register_assert_rewrite("tests.faults.place", "tests.faults.tally", "tests.faults.undisturbed")
