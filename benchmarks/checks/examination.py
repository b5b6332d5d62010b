"""A model or a target, examined: which checks apply, what each of them found, and which were expected to fail."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from benchmarks import lookup
from benchmarks.checks.catalogue import CHECKS
from benchmarks.checks.check import Check, CheckError, Make, explanation
from benchmarks.errors import UserError, unknown
from benchmarks.lookup import Kind
from models.base import Model

Verdict = Literal["passed", "failed", "skipped", "expected", "unexpected"]
BAD: tuple[Verdict, ...] = ("failed", "unexpected")


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    verdict: "skipped" where a check that it builds on fails; "expected" for a failure that has a reason, "unexpected"
    for a pass where a failure was expected. message: what is wrong, or why it was skipped or expected to fail.
    """

    check: Check
    verdict: Verdict
    message: str = ""

    @property
    def bad(self) -> bool:
        """Whether something has to be done."""
        return self.verdict in BAD


class Examination:
    """The checks of one model or target, each run once, after those that it builds on."""

    def __init__(self, make: Make, checks: Sequence[Check], expected: Mapping[str, str] | None = None) -> None:
        """make: gives a new model, or the target. expected: reasons of expected failures, by check.

        Raises UserError where `make` raises, and for an expected failure that is not of one of these checks, or has
        no reason.
        """
        self._make = make
        try:
            subject = make()
        except Exception as error:
            raise UserError(f"it cannot be made without arguments: {type(error).__name__}: {error}") from error
        self.checks = tuple(check for check in checks if check.applies(subject))
        self._expected = checked_expectations(expected or {}, self.checks)
        self._found: dict[str, Outcome] = {}

    def outcome(self, check: Check) -> Outcome:
        """What this check finds."""
        if check.name not in self._found:
            self._found[check.name] = self._outcome(check)
        return self._found[check.name]

    def _outcome(self, check: Check) -> Outcome:
        for before in self.checks:
            if before.name in check.after and self.outcome(before).verdict != "passed":
                return Outcome(check, "skipped", f"it builds on {before.name}")
        reason = self._expected.get(check.name)
        message = failure(check, self._make)
        if reason is None:
            return Outcome(check, "passed") if message is None else Outcome(check, "failed", message)
        if message is None:
            return Outcome(check, "unexpected", f"it holds, although it was expected to fail: {reason}")
        return Outcome(check, "expected", reason)


def subject_of(subject: str | Make) -> tuple[str, Kind, Make]:
    """The name of a model or a target, which of the two it is, and what makes it.

    Raises UserError if the name is that of none, or of a sweep.
    """
    if isinstance(subject, str):
        kind = lookup.kind_of(subject)
        plugin = lookup.find(kind, subject)
        return plugin.name, kind, plugin.load()
    is_model = inspect.isclass(subject) and issubclass(subject, Model)
    return getattr(subject, "__name__", type(subject).__name__), "model" if is_model else "target", subject


def examine(subject: str | Make, expected: Mapping[str, str] | None = None) -> Examination:
    """The examination of a model or a target: by the name that `pushforward run` takes, or as what makes it.

    Raises UserError as `subject_of` and `Examination` do.
    """
    _, kind, make = subject_of(subject)
    return Examination(make, CHECKS[kind], expected)


def expectations(given: Iterable[str]) -> dict[str, str]:
    """Reasons by check, from "CHECK=REASON". Raises UserError for what is not written so."""
    found = {}
    for one in given:
        name, equals, reason = one.partition("=")
        if not equals or not reason.strip():
            raise UserError(f"{one!r}: an expected failure needs a reason; write it as CHECK=REASON")
        found[name.strip()] = reason.strip()
    return found


def chosen(checks: Sequence[Check], names: Sequence[str]) -> list[Check]:
    """The checks with these names, or all of them where none is given. Raises UserError for one that there is not."""
    for name in names:
        if name not in (valid := [check.name for check in checks]):
            raise unknown("check", name, valid)
    return [check for check in checks if not names or check.name in names]


def failure(check: Check, make: Make) -> str | None:
    """Run a check: None if it holds, else what is wrong. Anything that is raised is a failure of the check."""
    try:
        with torch.no_grad():
            check.run(make)
    except CheckError as error:
        return str(error)
    except Exception as error:
        text = str(error).strip() or "no message"
        return explanation(check.about, f"{type(error).__name__}: {text.splitlines()[0]}", _place(error))
    return None


def checked_expectations(expected: Mapping[str, str], checks: Iterable[Check]) -> dict[str, str]:
    """The same. Raises UserError for a check that there is not, and for an expected failure without a reason."""
    names = [check.name for check in checks]
    for name, reason in expected.items():
        if name not in names:
            raise unknown("check", name, names)
        if not reason.strip():
            raise UserError(f"the expected failure of {name} needs a reason")
    return dict(expected)


def _place(error: Exception) -> str:
    """The innermost line that is not a library's."""
    place = "the traceback"
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "site-packages" not in file and Path(file).parent != Path(__file__).parent:
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
