"""Why a cell has no score, fit to be kept and shown: models raise with megabytes of text, and with bytes of no text."""

from __future__ import annotations

import dataclasses
import unicodedata

from benchmarks.cell import CellResult

LONGEST = 1_000  # characters


def readable(result: CellResult) -> CellResult:
    """The result with reasons that are not too long, can be encoded, and do nothing to a terminal."""
    rows = [row | {"reason": text(str(row["reason"]))} if row.get("reason") else row for row in result.scores]
    return dataclasses.replace(result, reason=text(result.reason), scores=rows)


def text(reason: str) -> str:
    """A reason, shortened, its control characters and lone surrogates written as escapes."""
    shown = "".join(map(_shown, reason[:LONGEST]))
    return shown if len(reason) <= LONGEST else f"{shown} … ({len(reason):,} characters)"


def _shown(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs"):
        return character
    return character.encode("unicode_escape").decode()
