"""A machine's stamp in words. Apart from machine.py, which computes cells: what is there decides their keys."""

from __future__ import annotations

from collections.abc import Mapping


def in_words(stamp: Mapping[str, str]) -> str:
    """A stamp on one line: equal for equal stamps, in whichever order they are kept; nothing for none."""
    return ", ".join(f"{name} {value}" for name, value in sorted(stamp.items()))
