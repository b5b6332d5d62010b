"""A run whose cells come from several machines: their times side by side, and never together.

costs.csv names a cell's machine only where there are several. A run of one machine is shown as if there were no such
thing.
"""

from __future__ import annotations

from collections.abc import Hashable

from benchmarks.report.content import COSTS, Content

#: The costs that depend on the machine.
TIMES = tuple(name for name, info in COSTS.items() if info.unit == "s")


def machines(content: Content) -> dict[str, str]:
    """The machines of a run of several: label to stamp, in the order of the costs. Empty for a run of one."""
    if "machine" not in content.costs.columns:
        return {}
    stamps = [str(stamp) for stamp in content.costs["machine"].dropna().unique()]
    return {f"M{i}": stamp for i, stamp in enumerate(stamps, start=1)} if len(stamps) > 1 else {}


def labels(content: Content) -> dict[tuple[Hashable, Hashable], str]:
    """The label of the machine of every (target, model) with costs. Empty for a run of one machine."""
    names = {stamp: label for label, stamp in machines(content).items()}
    if not names:
        return {}
    costs = content.costs
    return {
        (target, model): names[str(stamp)]
        for target, model, stamp in zip(costs["target"], costs["model"], costs["machine"], strict=True)
    }


def explained(content: Content) -> str:
    """What the labels mean, as a line under a table or a figure; nothing for a run of one machine."""
    known = machines(content)
    if not known:
        return ""
    return (
        f"The cells of this run were computed on {len(known)} machines. Times compare only within one: "
        + "; ".join(f"{label} is {stamp or 'not known'}" for label, stamp in known.items())
        + "."
    )
