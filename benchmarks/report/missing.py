"""The cells without a number, named in one line under their table: which, with which word, and why in short."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.report import text
from benchmarks.report.analysis import Analysis

#: More groups than this would be a page, and all failures have a table of their own.
GROUPS = 8
FEW = 4  # those that are left out are named instead where they are so many times fewer
LONGEST = 90

_NUMBER = re.compile(r"(?<![A-Za-z_])\d[\d,]*(?:\.\d+)?")


def left_out(analysis: Analysis, metric: str) -> tuple[str, ...]:
    """The targets where a metric is n/a, and where no model has a number for it: rows that would say nothing."""
    content = analysis.content
    rows = {t.name: [analysis.score(metric, t.name, model) for model in content.columns] for t in content.targets}
    return tuple(
        name
        for name, scores in rows.items()
        if all(score.estimate is None for score in scores) and any(score.word == "n/a" for score in scores)
    )


def without_number(analysis: Analysis, metric: str) -> str:
    """Every cell of a metric's table without a number: "Without a number: vae on rings (failed: why); …"; or nothing.

    Cells with the same word for the same reason, up to the figures in it, are named together. Every cell of a row that
    is left out is named as n/a.
    """
    content = analysis.content
    groups: dict[tuple[str, str], list[tuple[str, str, tuple[str, ...]]]] = {}
    silent = left_out(analysis, metric)
    for target in content.targets:
        scores = [analysis.score(metric, target.name, model) for model in content.columns]
        for model, own in zip(content.columns, scores, strict=True):
            # Where a metric does not apply, it does not matter there that a cell failed as well.
            idle = target.name in silent and own.word != "n/a"
            score = next(other for other in scores if other.word == "n/a") if idle else own
            if score.estimate is None:
                reasons = tuple(short(reason) for reason in score.reasons)
                key = (score.word, _NUMBER.sub("#", reasons[0]) if reasons else "")
                groups.setdefault(key, []).append((target.name, model, reasons))
    parts: list[str] = []
    more = 0
    for (word, pattern), cells in groups.items():
        if len(parts) == GROUPS:
            more += len(cells)
            continue
        same = [reason for _, _, reasons in cells for reason in reasons if _NUMBER.sub("#", reason) == pattern]
        why = f"{word}: {spanned(same)}" if same else word
        parts.append(f"{_named(analysis, [(target, model) for target, model, _ in cells])} ({why})")
    if more:
        parts.append(f"{more} more")
    return f"Without a number: {'; '.join(parts)}." if parts else ""


def short(reason: str) -> str:
    """The first clause of a reason: up to a colon, a semicolon or a bracket, but more than the name of an exception."""
    whole = text.plain(reason)
    for end in re.finditer(r": |; | \(", whole):
        if " " in whole[: end.start()]:
            whole = whole[: end.start()]
            break
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1].rstrip() + "…"


def spanned(reasons: Sequence[str]) -> str:
    """One reason for several that differ in their figures only: "72 of 99" and "87 of 99" make "72–87 of 99"."""
    rows = [_NUMBER.findall(reason) for reason in reasons]
    spans = []
    for column in zip(*rows, strict=True):
        least, most = (pick(column, key=lambda word: float(word.replace(",", ""))) for pick in (min, max))
        spans.append(least if least == most else f"{least}–{most}")
    words = iter(spans)
    return _NUMBER.sub(lambda _: next(words), reasons[0])


def _named(analysis: Analysis, cells: list[tuple[str, str]]) -> str:
    """These cells in words, targets with the same models together."""
    targets: dict[str, tuple[str, ...]] = {}
    for target, model in cells:
        targets[target] = (*targets.get(target, ()), model)
    alike: dict[tuple[str, ...], list[str]] = {}
    for target, models in targets.items():
        alike.setdefault(models, []).append(target)
    content = analysis.content

    def say(models: tuple[str, ...], names: list[str]) -> str:
        others = [model for model in content.columns if model not in models]
        who = ", ".join(models)
        if len(models) > max(1, FEW * len(others)):
            who = "every model" + (f" but {', '.join(others)}" if others else "")
        where = "every target" if len(names) == len(content.targets) > 1 else ", ".join(names)
        return f"{who} on {where}"

    return " plus ".join(say(models, names) for models, names in alike.items())
