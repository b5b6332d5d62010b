"""A step that fails is a value: it costs what builds on it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """In place of a result: why there is none."""

    reason: str


def attempt(compute: Callable[[], T]) -> T | Failure:
    """What `compute` returns, or why it raised."""
    try:
        return compute()
    except EarlierError as error:
        return Failure(str(error))
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")


class EarlierError(RuntimeError):
    """A step that this one builds on has failed, with this reason."""


def known(value: T | Failure | None) -> T:
    """The result of a step that this one builds on; raises if that step failed."""
    if value is None:
        raise EarlierError("the reference was made for another target")
    if isinstance(value, Failure):
        raise EarlierError(value.reason)
    return value
