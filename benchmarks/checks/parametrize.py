"""The checks as tests: one test of each, for pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from benchmarks.checks.catalogue import CHECKS
from benchmarks.checks.check import Check, CheckError, Make
from benchmarks.checks.examination import Examination, subject_of

if TYPE_CHECKING:
    import pytest


def parametrize_with_checks(
    *subjects: str | Make, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Make one test of each check that applies: a decorator for a function whose only argument is `check`.

        @parametrize_with_checks("my_model.py:MyModel")
        def test_my_model(check):
            check()

    subjects: models or targets, by the names that `pushforward run` takes, or as a `Model` class, or as whatever
    returns a target. expected_failures: the reason for each check that is known not to hold, by its name; they are
    strict: a check that holds after all fails the test. Raises UserError for what is no model or target, for an
    unknown check and for a reason that is empty.
    """
    import pytest  # only tests need it

    cases = []
    for subject in subjects:
        name, kind, make = subject_of(subject)
        examination = Examination(make, CHECKS[kind], expected_failures)
        for check in examination.checks:
            reason = (expected_failures or {}).get(check.name)
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, raises=CheckError)]
            cases.append(pytest.param(_test(examination, check), id=f"{name}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def _test(examination: Examination, check: Check) -> Callable[[], None]:
    def run() -> None:
        __tracebackhide__ = True  # the message says where to look
        outcome = examination.outcome(check)
        if outcome.verdict == "skipped":
            import pytest

            pytest.skip(outcome.message)
        if outcome.verdict in ("failed", "expected"):
            raise CheckError(outcome.message)

    return run
