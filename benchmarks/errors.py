"""Errors that are for people: one line that says what was wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input. The command line prints its message and exits with 2; nothing has been written."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """`name` is not a `kind`: the error names the nearest valid ones, or all of them where none is near."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    return UserError(f"unknown {kind} {name!r}; {hint}")
