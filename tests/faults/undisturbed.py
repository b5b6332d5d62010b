"""Runs that nothing happened to, one for each choice of models and targets: made when first asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tests.faults.place import Place


class Undisturbed:
    """What undisturbed runs give, in one process and in one go, all of their models healthy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._scores: dict[tuple[tuple[str, ...], ...], dict[str, bytes]] = {}

    @cached_property
    def _whole(self) -> tuple[dict[str, bytes], float]:
        place = Place(self.folder / "whole")
        process = place.start()
        place.wait_until(process, "run/run.json")
        began = time.monotonic()
        place.ended(process).expect(0)
        return place.tables(), time.monotonic() - began

    @property
    def tables(self) -> dict[str, bytes]:
        """Of the suite as it is: scores.csv, and all tables and figures that are made from it."""
        return self._whole[0]

    @property
    def seconds(self) -> float:
        """How long that took, from run.json to the end."""
        return self._whole[1]

    def scores(self, models: Sequence[str] = (), targets: Sequence[str] = ()) -> dict[str, bytes]:
        """scores.csv of a run of these."""
        key = tuple(models), tuple(targets)
        if key not in self._scores:
            place = Place(self.folder / str(len(self._scores)), models, targets)
            (place.folder / "healthy").touch()
            place.settle()
            self._scores[key] = place.scores()
        return self._scores[key]
