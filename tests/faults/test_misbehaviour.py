"""Models that crash, exit, hang, eat the memory, print megabytes or return nonsense: each costs its own cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tests.faults.place import FAULTY, Place
from tests.faults.tally import Tally
from tests.faults.undisturbed import Undisturbed

LIMIT = 15  # seconds of a cell

DIED = "its worker process died"
REASONS = {
    "Segfaults": ("failed", DIED),
    "Hangs": ("timeout", f"took longer than {LIMIT} s"),
    "Eats": ("failed", "used more than 1.5 GB of memory"),
    "Exits": ("failed", "SystemExit: 3"),
    "SamplesNaN": ("failed", "not finite"),
    "SamplesWrongShape": ("failed", "must return a tensor of shape (8, 1), and returned (8, 2)"),
    "Prints": ("ok", ""),
    "RaisesMegabytes": ("failed", "RuntimeError: no luck"),
    "RaisesNoText": ("failed", "RuntimeError: bad \\udcff\\x00\\x1b[31m name"),
    "CannotBeKept": ("failed", "cannot be kept"),
    "HalfPrecision": ("ok", ""),
    "Aborts": ("failed", DIED),
    "ExitsAtOnce": ("failed", DIED),
    "KillsItself": ("failed", DIED),
    "HangsInC": ("timeout", f"took longer than {LIMIT} s"),
    "Stops": ("timeout", f"took longer than {LIMIT} s"),
    "Gulps": ("failed", "used more than 1.5 GB of memory"),
    "AsksForTooMuch": ("failed", "can't allocate memory"),
    "DensityNaN": ("untrusted", ""),
    "DensityWrongShape": ("failed", "shape"),
}
SHORT = list(REASONS)[:11]  # with three that take their worker with them


def inflict(undisturbed: Undisturbed, folder: Path, names: Sequence[str] = tuple(REASONS)) -> Tally:
    """All of them in one run beside a good model; then again, when they are well."""
    tally = Tally("models that misbehave")
    models = [*(f"{FAULTY}:{name}" for name in names), "gaussian"]
    reference = undisturbed.scores(models, ["bimodal"])
    place = Place(folder / "misbehaviour", models, ["bimodal"], workers=2, seconds=LIMIT)
    place.finish().expect(1)
    scores = pd.read_csv(place.run / "scores.csv", keep_default_na=False)
    assert "ok" in set(scores.loc[scores["model"] == "gaussian", "status"])
    for name in names:
        of = scores[scores["model"] == name]
        word, reason = REASONS[name]
        said = of.loc[of["status"] == word, "reason"]
        good = len(said) > 0 and (word == "ok" or said.str.contains(reason, regex=False).any())
        tally.injected += 1
        tally.survived += good
        tally.problems += [] if good else [f"{name}: {set(of['status'])}, {of['reason'].iloc[0]}"]
    kept = {name: content for name, content in place.cells().items() if _is_fine(name)}
    (place.folder / "healthy").touch()
    place.settle()
    tally.keep(kept, place.cells())
    tally.compare(place, reference)
    return tally


def _is_fine(cell: str) -> bool:
    name = Path(cell).stem
    return name == "gaussian" or REASONS[name][0] in ("ok", "untrusted")


def test_a_model_that_misbehaves_costs_its_own_cell_and_says_why(undisturbed, folder):
    inflict(undisturbed, folder, SHORT).check()
