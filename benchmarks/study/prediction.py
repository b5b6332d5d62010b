"""What a study is made of: predictions that data can refute, and the claims that decide them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure

from benchmarks.report.statistics import Estimate
from benchmarks.report.tables import Table

if TYPE_CHECKING:
    from benchmarks.study.evidence import Evidence

Verdict = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Experiment:
    """Every one of these models on every one of these targets, by the names that suites use."""

    targets: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """An effect, and the range that the theory puts it in. effect None: it could not be measured.

    says: what the range means, in words, with its bound in them.
    """

    says: str
    effect: Estimate | None
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def verdict(self) -> Verdict:
        """Supported if the whole 95 % interval lies in the range, refuted if all of it lies outside."""
        if self.effect is None or not (math.isfinite(self.effect.low) and math.isfinite(self.effect.high)):
            return "undecided"
        if self.at_least <= self.effect.low and self.effect.high <= self.at_most:
            return "supported"
        if self.effect.high < self.at_least or self.at_most < self.effect.low:
            return "refuted"
        return "undecided"


@dataclass(frozen=True)
class Finding:
    """What an experiment showed. summary: one sentence, with its numbers in it. tables: what the figure shows."""

    claims: tuple[Claim, ...]
    summary: str
    tables: tuple[Table, ...]
    figure: Callable[[], Figure]
    caption: str

    @property
    def verdict(self) -> Verdict:
        """That of all claims together: one that is refuted refutes the prediction."""
        return overall([claim.verdict for claim in self.claims])


@dataclass(frozen=True)
class Prediction:
    """A falsifiable sentence, the theory that it follows from, and the experiment that decides it.

    plain: what it is about, for who has never seen an ELBO.
    find: a pure function of what the experiment left in the store.
    """

    name: str
    title: str
    plain: str
    statement: str
    theory: str
    source: str
    experiments: tuple[Experiment, ...]
    find: Callable[[Evidence], Finding]


@dataclass(frozen=True)
class Study:
    """A question, predictions about it, and what their experiments answer, a sentence each."""

    question: str
    predictions: tuple[Prediction, ...]
    answer: Callable[[Evidence], list[str]]


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Refuted if one is, supported if all are."""
    if "refuted" in verdicts:
        return "refuted"
    return "supported" if verdicts and set(verdicts) == {"supported"} else "undecided"
