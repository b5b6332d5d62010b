"""One line of the ledger: what was known, what the suite says, and whether the two agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from metrics.score import Score

Kind = Literal["value", "at most", "at least", "coverage", "conservative"]

#: How many standard errors a value may be off. Of 300 true lines, one in fifty runs has one beyond.
ERRORS = 4.0
LOW, NOMINAL, HIGH = 0.93, 0.95, 0.97
Z = 1.96
PASS, FAIL = "pass", "FAIL"


@dataclass(frozen=True)
class Check:
    """A number of the suite against one that was known before.

    expected: the known number. got: the suite's. error: the standard error of got, 0 where it is deterministic.
    source: where `expected` comes from. tolerance: what is allowed beyond the error (rounding, quadrature, an o(1)).

    kind "value": |got − expected| ≤ 4 errors + tolerance. "at most", "at least": a bound, that 4 errors may cross.
    "coverage": got, a share of 95 % intervals that hold the truth, lies within 93–97 %. "conservative": it is at least
    93 %, because the interval is wide by construction; `source` says why. Neither is given the benefit of its error.
    """

    group: str
    name: str
    expected: float
    got: float
    error: float
    source: str
    kind: Kind = "value"
    tolerance: float = 0.0

    @property
    def z(self) -> float:
        """How many standard errors got is above expected; NaN where got has none, or none but rounding."""
        return (self.got - self.expected) / self.error if self.error > self.tolerance / 100 else math.nan

    @property
    def holds(self) -> bool:
        """Whether got is what it has to be; false if it is not a number."""
        match self.kind:
            case "value":
                return abs(self.got - self.expected) <= ERRORS * self.error + self.tolerance
            case "at most":
                return self.got <= self.expected + ERRORS * self.error
            case "at least":
                return self.got >= self.expected - ERRORS * self.error
            case "coverage":
                return LOW <= self.got <= HIGH
            case "conservative":
                return self.got >= LOW

    @property
    def verdict(self) -> str:
        """`pass`, or `FAIL`."""
        return PASS if self.holds else FAIL

    @property
    def stated(self) -> str:
        """What is expected, in words, with a tolerance that matters: "0.25", "0 ± 1e-10", "≤ 0.05", "93–97 %"."""
        number = f"{round(self.expected, 12) + 0.0:.5g}"
        match self.kind:
            case "value":
                return f"{number} ± {self.tolerance:.2g}" if self.tolerance > self.error / 10 else number
            case "at most":
                return f"≤ {number}"
            case "at least":
                return f"≥ {number}"
            case "coverage":
                return "93–97 %"
            case "conservative":
                return "≥ 93 %"


def holds(score: Score, truth: float) -> bool:
    """Whether the score's 95 % interval, ±1.96 errors, holds the truth; a score without a number does not."""
    return score.value is not None and score.error is not None and abs(score.value - truth) <= Z * score.error


def coverage(name: str, held: list[bool], conservative: str = "") -> Check:
    """The line for the share of 95 % intervals that hold the truth; its error is the binomial's.

    conservative: why the interval is wider than it says; then more than 97 % will do.
    """
    source = f"{len(held):,} repetitions"
    return Check(
        "coverage",
        name,
        NOMINAL,
        sum(held) / len(held),
        math.sqrt(NOMINAL * (1 - NOMINAL) / len(held)),
        f"{source}; wide because {conservative}" if conservative else source,
        "conservative" if conservative else "coverage",
    )
