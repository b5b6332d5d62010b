"""What a campaign counts: the same figures for every fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.faults.place import Place


@dataclass
class Tally:
    """Of one kind of fault: how often it was done, how often it was survived, and what it cost.

    lost: finished cells that were gone, changed or computed again. differing: tables that are not those of an
    undisturbed run. compared: how often all of them were.
    """

    fault: str
    injected: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    compared: int = 0
    differing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def keep(self, before: Mapping[str, object], after: Mapping[str, object]) -> None:
        """Count the cells that were there before and are not the same after."""
        self.lost += [name for name, content in before.items() if after.get(name) != content]

    def compare(self, place: Place, reference: Mapping[str, bytes]) -> None:
        """Hold the tables of a place against those of an undisturbed run, or scores.csv where that is all it gives."""
        found = place.tables() if len(reference) > 1 else place.scores()
        self.compared += 1
        self.differing += [name for name in {**found, **reference} if found.get(name) != reference.get(name)]
        self.problems += [f"left behind: {path}" for path in place.litter()]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost and nothing differs."""
        return not self.lost and not self.differing and not self.problems and self.survived == self.injected

    def check(self) -> None:
        """Raise AssertionError unless all is well."""
        assert self.injected > 0, f"{self.fault}: nothing was done"
        assert self.is_clean, self


COLUMNS = ("fault", "injected", "survived", "cells lost", "runs compared", "tables that differ")


def table(tallies: Iterable[Tally]) -> str:
    """The figures of a campaign, in Markdown."""
    rows = [
        (each.fault, *map(str, (each.injected, each.survived, len(each.lost), each.compared, len(each.differing))))
        for each in tallies
    ]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [COLUMNS, *rows]
    text = ["| " + " | ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)) + " |" for line in lines]
    rule = "|" + "|".join("-" * (n + 2) for n in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])
