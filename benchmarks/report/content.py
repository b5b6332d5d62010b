"""What a report is made from: one value that holds a whole run, and the words that describe it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The entrants that frame every comparison: the best that is possible, and not trying. Neither is ever "best".
ORACLE, GAUSSIAN = "oracle", "gaussian"
FRAME = (ORACLE, GAUSSIAN)

#: What a cell says where it has no number, the gravest first.
WORDS = ("failed", "timeout", "diverged", "untrusted", "n/a")


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is called, in which unit it is, which way is better, and what to know of it. No unit: a number."""

    title: str
    unit: str
    better: Literal["lower", "higher"]
    note: str = ""


W2_NOTE = (
    "Negative where the sampling noise that is taken off is larger than the distance. In many dimensions the debiased "
    "estimate falls short of a large distance, so that it ranks models better than it measures them."
)
LIKELIHOOD_NOTE = (
    "Exact for a model with a density; for a latent-variable model by quadrature where its latent has one or two "
    "dimensions, else a lower bound by importance sampling."
)

METRICS: dict[str, MetricInfo] = {
    "w2_squared": MetricInfo("Debiased W2²", "squared units of the target", "lower", W2_NOTE),
    "w2_squared_plain": MetricInfo("Plain W2²", "squared units of the target", "lower"),
    "w2_squared_floor": MetricInfo("Noise floor of W2²", "squared units of the target", "lower"),
    "sliced_w2_squared": MetricInfo("Debiased sliced W2²", "squared units of the target", "lower"),
    "sliced_w2_squared_plain": MetricInfo("Plain sliced W2²", "squared units of the target", "lower"),
    "w1": MetricInfo("W1", "units of the target", "lower"),
    "log_likelihood": MetricInfo("Log-likelihood", "nats", "higher", LIKELIHOOD_NOTE),
    "kl": MetricInfo("KL", "nats", "lower"),
    "elbo": MetricInfo("ELBO", "nats", "higher"),
    "elbo_gap": MetricInfo("ELBO gap", "nats", "lower"),
    "fit_gap": MetricInfo("Fit gap", "nats", "lower"),
    "inference_gap": MetricInfo("Inference gap", "nats", "lower"),
    "sandwich_width": MetricInfo("Width of the likelihood sandwich", "nats", "lower"),
}

COSTS: dict[str, MetricInfo] = {
    "fit_cpu_seconds": MetricInfo("Fit, CPU time", "s", "lower"),
    "fit_seconds": MetricInfo("Fit, wall time", "s", "lower"),
    "sample_seconds_per_1000": MetricInfo("Sampling, per 1,000", "s", "lower"),
    "score_cpu_seconds": MetricInfo("Scoring, CPU time", "s", "lower"),
    "parameters": MetricInfo("Parameters", "", "lower"),
    "peak_memory_mb": MetricInfo("Peak memory of the worker", "MB", "lower"),
}

#: The metrics that get a table of their own, in the order of the page.
HEADLINE = ("kl", "w2_squared", "sliced_w2_squared", "w1", "log_likelihood", "elbo_gap", "inference_gap")

#: Parts of a score, zero by definition for some models: they are shown, but none is "best".
PARTS = ("fit_gap", "inference_gap")


@dataclass(frozen=True)
class TargetInfo:
    """A target in a report. image: (rows, columns) where a vector is a picture, row by row."""

    name: str
    summary: str
    dimension: int
    image: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """What the wall shows of one cell's replicate 0.

    samples: (n, d). low, high: (d,), the target's window. density: the model's density on the regular grid from low to
    high, corners included, where d ≤ 2: (m,) or (m, m) with density[i, j] at (x_i, y_j); None where it is not known.
    """

    samples: Array
    low: Array
    high: Array
    density: Array | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """Everything a report shows.

    scores: one row per target, model, replicate and metric: value, error, status, reason. value and error are NaN
        where the status is not "ok" (an untrusted one may keep its value; it is not shown).
    costs: one row per target, model, replicate and metric: value.
    targets, models: in the order of the suite.
    pictures: of (target, model); "oracle" is the target itself. None where there is nothing to see.
    provenance: what made this run: command, suite, versions, machine, seconds, commit.
    """

    scores: pd.DataFrame
    costs: pd.DataFrame
    targets: list[TargetInfo]
    models: list[str]
    pictures: Callable[[str, str], Picture | None]
    metrics: Mapping[str, MetricInfo] = field(default_factory=lambda: METRICS)
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def contenders(self) -> list[str]:
        """The models that are compared: all but the frame."""
        return [model for model in self.models if model not in FRAME]

    @property
    def columns(self) -> list[str]:
        """The models as every table and figure shows them: oracle, the contenders, gaussian."""
        first = [ORACLE] if ORACLE in self.models else []
        last = [GAUSSIAN] if GAUSSIAN in self.models else []
        return [*first, *self.contenders, *last]

    @property
    def headline(self) -> list[str]:
        """The headline metrics that this run scored."""
        scored = set(self.scores["metric"].unique())
        return [metric for metric in HEADLINE if metric in scored]

    def info(self, metric: str) -> MetricInfo:
        """What a metric or a cost is called; an unknown one is called by its name."""
        known = {**METRICS, **COSTS, **self.metrics}
        return known.get(metric, MetricInfo(metric, "", "lower"))
