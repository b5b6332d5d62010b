"""One measurement, the clock it is read from, and how much is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import torch

#: Columns of speed.csv: `ours` and `theirs` are in `unit`; `ratio` and its range over the repetitions.
COLUMNS = ("part", "case", "ours_is", "theirs_is", "unit", "ours", "theirs", "ratio", "lowest", "highest", "goal")


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured of ours and of theirs, and what is to be made of the two.

    ratio: times cheaper (theirs / ours), or for a share ours / theirs. lowest, highest: its range over repetitions,
    the ratio itself where there was one. goal: what the project set itself, empty where nothing was set.
    """

    part: str
    case: str
    ours_is: str
    theirs_is: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float
    goal: str = ""


@dataclass(frozen=True)
class Extent:
    """How much is measured: `FULL` takes about four minutes on one core, `QUICK` half a minute and says little.

    repetitions: of every comparison, in turn; steps: optimisation steps timed, by target and number of replicates in
    lockstep; points: samples in the exact W2; dimensions: of the targets at which the script is measured; cases: of
    the likelihood's comparison; suite, replicates: the run in which the harness is watched.
    """

    repetitions: int = 2
    steps: Mapping[str, Mapping[int, int]] = field(
        default_factory=lambda: {
            "eight_gaussians": {1: 60, 3: 30, 8: 16, 32: 6},
            "gaussian_mixture_16d": {3: 12, 8: 6},
        }
    )
    points: tuple[int, ...] = (1_000, 2_000)
    dimensions: tuple[int, ...] = (1, 2, 8, 16, 64)
    cases: int = 4
    suite: str = "standard"
    replicates: int = 2


FULL = Extent()
QUICK = Extent(1, {"eight_gaussians": {1: 12, 8: 6}}, (200,), (1,), 1, "smoke", 1)


class Clock:
    """CPU seconds of this process; on an accelerator, where the CPU only waits, wall-clock seconds of finished work."""

    def __init__(self, device: str) -> None:
        self._cuda = torch.device(device).type == "cuda"

    def __call__(self) -> float:
        """The time now, in seconds."""
        if self._cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def of(self, work: Callable[[], object]) -> float:
        """How many seconds `work` takes."""
        start = self()
        work()
        return self() - start


def interleaved(ways: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, list[float]]:
    """What each way of doing the same work costs, in turn, so that a machine that slows down slows all of them."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, way in ways.items():
            found[name].append(way())
    return found


def compared(
    part: str,
    case: str,
    ours: tuple[str, list[float]],
    theirs: tuple[str, list[float]],
    unit: str,
    scale: float = 1.0,
    goal: str = "",
) -> Row:
    """How many times cheaper ours is: each side's name and its seconds in each repetition, the same for both.

    scale: from seconds to the unit. The ratio is the median of those of the repetitions, with their range.
    """
    ratios = [b / a for a, b in zip(ours[1], theirs[1], strict=True)]
    a, b = scale * median(ours[1]), scale * median(theirs[1])
    return Row(part, case, ours[0], theirs[0], unit, a, b, median(ratios), min(ratios), max(ratios), goal)


def single(
    part: str, case: str, ours: tuple[str, float], theirs: tuple[str, float], unit: str, ratio: float, goal: str = ""
) -> Row:
    """A line that was measured once, or computed from others: each side's name and its value in the unit."""
    return Row(part, case, ours[0], theirs[0], unit, ours[1], theirs[1], ratio, ratio, ratio, goal)
