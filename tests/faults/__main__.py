"""The whole campaign, with one command: `make faults`, or `python -m tests.faults --kills 200`.

Prints a table of figures: what was done, what was survived, and what it cost. Exits with 1 unless it cost nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults import (
    test_clock,
    test_damage,
    test_disk,
    test_interrupts,
    test_kills,
    test_misbehaviour,
    test_twice,
    test_workers,
)
from tests.faults.conftest import SEED
from tests.faults.tally import Tally, table
from tests.faults.undisturbed import Undisturbed

SIZES = [4, 12, 30, 60, 100, 150, 200, 300, 400, 500, 600, 700]  # of disks, in kilobytes: a run needs more


Part = Callable[[], Tally | list[Tally]]


def campaign(folder: Path, kills: int, seed: int) -> dict[str, list[Part]]:
    """Every fault by its test's name, as often as the number of kills asks for."""
    rng, undisturbed = Random(seed), Undisturbed(folder / "undisturbed")
    few, year = max(1, kills // 20), test_clock.YEAR
    return {
        "kills": [
            lambda: test_kills.inflict(undisturbed, folder, rng, kills),
            lambda: test_kills.inflict(undisturbed, folder, rng, max(1, kills // 5), workers=2),
        ],
        "interrupts": [
            lambda: test_interrupts.inflict(undisturbed, folder, rng, max(1, kills // 10), workers=0),
            lambda: test_interrupts.inflict(undisturbed, folder, rng, max(1, kills // 10), workers=2),
        ],
        "workers": [lambda: test_workers.inflict(undisturbed, folder, rng, few)],
        "misbehaviour": [lambda: test_misbehaviour.inflict(undisturbed, folder)],
        "disk": [
            lambda: test_disk.inflict(undisturbed, folder, SIZES),
            lambda: test_disk.inflict(undisturbed, folder, SIZES[1::4], workers=2),
        ],
        "damage": [lambda: test_damage.inflict(undisturbed, folder, rng, min(1.0, kills / 200), few)],
        "twice": [lambda: test_twice.inflict(undisturbed, folder, rng, few)],
        "clock": [
            lambda: test_clock.inflict(undisturbed, folder, year, workers=2),
            lambda: test_clock.inflict(undisturbed, folder, -year, workers=0),
        ],
    }


def figures(parts: Iterable[Part]) -> Iterator[Tally]:
    """What comes of each part; what a system cannot do is said and left out."""
    for part in parts:
        try:
            found = part()
        except pytest.skip.Exception as reason:
            print(f"left out: {reason}", file=sys.stderr)
            continue
        yield from found if isinstance(found, list) else [found]


def main() -> int:
    """Run the campaign and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often the run is killed; the rest in proportion")
    parser.add_argument("--only", nargs="+", metavar="FAULT", help="by the names of the tests: kills, disk …")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    began, tallies = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        parts = campaign(Path(folder), options.kills, options.seed)
        for tally in figures(part for name in options.only or parts for part in parts[name]):
            tallies.append(tally)
            seconds = time.monotonic() - began
            print(f"{seconds:5.0f} s  {tally.fault}: {tally.survived} of {tally.injected} survived", flush=True)
            for problem in [*tally.lost, *tally.differing, *tally.problems]:
                print(f"         {problem}")
    print(f"\n{table(tallies)}\n\nseed {options.seed}, {time.monotonic() - began:.0f} s")
    return 0 if all(tally.is_clean for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
