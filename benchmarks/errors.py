"""Errors that are for people: one line that says what was wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 1_500


class UserError(ValueError):
    """Bad input. The command line prints its message and exits with 2; nothing has been written.

    The message is one line without control characters and not without end, whatever it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(short(plain(message), LONGEST))


def plain(text: str) -> str:
    """One line without control characters: what any format can start from."""
    spaced = " ".join(str(text).split())
    return spaced if spaced.isprintable() else "".join(char for char in spaced if char.isprintable())


def short(text: str, most: int = 80) -> str:
    """The text, or its beginning where it is longer than this."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """`name` is not a `kind`: the error names the nearest valid ones, or all of them where none is near."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    return UserError(f"unknown {kind} {short(name)!r}; {hint}")
