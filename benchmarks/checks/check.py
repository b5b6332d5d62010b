"""A check: one property that every model, or every target, must have; and how it says what is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn

from benchmarks.targets.base import Target
from models.base import Model

#: What is checked: a call of it gives a new model, not yet fitted, or the target.
Make = Callable[[], Any]
Capability = type | UnionType


class CheckError(AssertionError):
    """A check that does not hold: what was expected, what came instead, and where to look."""


def explanation(expected: str, got: str, look: str) -> str:
    """The message of a failure: three lines."""
    return f"expected: {expected}\ngot:      {got}\nlook at:  {look}"


@dataclass(frozen=True)
class Check:
    """One property, in the words of `about`.

    needs: the capabilities that a model or target must have for the check to apply. after: the names of the checks
    without which this one would only repeat what they say.
    """

    name: str
    about: str
    run: Callable[[Make], None]
    needs: tuple[Capability, ...]
    after: tuple[str, ...]

    def applies(self, subject: Model | Target) -> bool:
        """Whether the subject claims what this check is about."""
        return all(isinstance(subject, capability) for capability in self.needs)


def check(*needs: Capability, after: tuple[str, ...] = ()) -> Callable[[Callable[[Make], None]], Check]:
    """Make a check of a function: its name and the first line of its docstring are the check's."""

    def decorate(function: Callable[[Make], None]) -> Check:
        about = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__, about, function, needs, after)

    return decorate


def fail(make: Make, method: str, expected: str, got: str) -> NoReturn:
    """Raise CheckError; method is where in the subject's class to look."""
    raise CheckError(explanation(expected, got, where(make, method)))


def where(make: Make, method: str) -> str:
    """`Class.method (file.py:LINE)` of the code that `make` runs; as much of it as can be found."""
    made = make.func if isinstance(make, partial) else make
    owner = made if inspect.isclass(made) else type(made())
    found = getattr(owner, method, owner)
    try:
        place = f"{Path(inspect.getsourcefile(found) or '').name}:{inspect.getsourcelines(found)[1]}"
    except (OSError, TypeError):
        place = "its source"
    return f"{owner.__name__}.{method} ({place})"
