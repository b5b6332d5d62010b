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
    better: Literal["lower", "higher", "neither"]
    note: str = ""


W2_NOTE = (
    "Negative where the sampling noise that is taken off is larger than the distance. In many dimensions the debiased "
    "estimate falls short of a large distance between laws of different spread; the error of each replicate allows for "
    "that."
)
SLICED_NOTE = (
    "The mean over directions of the squared distance between projections on them, less its sampling noise: may be "
    "negative. It does not drown in dimension, and is the smaller the more directions show nothing."
)
W1_NOTE = (
    "Cross-fitted: the best potential between two samples, evaluated on two others; in the mean zero at equal laws and "
    "never above W1, so that it may be negative. On the line only."
)
KL_NOTE = (
    "Integrated over the target in one and two dimensions, the mean over held-out points above. Exact for a model with "
    "a density; for a latent-variable model as the log-likelihood."
)
LIKELIHOOD_NOTE = (
    "Exact for a model with a density; for a latent-variable model by quadrature where its latent has one or two "
    "dimensions, else a lower bound by importance sampling."
)
APPROXIMATION_NOTE = (
    "log p_θ less the best ELBO that the encoder’s own family can reach, optimised at every point: the price of a "
    "Gaussian posterior."
)
AMORTISATION_NOTE = (
    "The best ELBO of the encoder’s family less the ELBO of the encoder: the price of one network for all points."
)
UVP_NOTE = (
    "100 E|T(z) − T*(z)|² / Var(p*), z from N(0, I), with T* the known Brenier map (Korotin et al. 2021): 0 is the map "
    "itself, about 100 the map to the mean. Only where the target’s map is known and the model is a map of N(0, I)."
)
COSINE_NOTE = (
    "The cosine between the displacements T(z) − z and T*(z) − z in L2 of N(0, I) (Korotin et al. 2021): 1 is the "
    "right direction everywhere. Known where L2-UVP is."
)
_SQUARED, _NATS = "squared units of the target", "nats"

METRICS: dict[str, MetricInfo] = {
    "w2_squared": MetricInfo("Debiased W2²", _SQUARED, "lower", W2_NOTE),
    "w2_squared_plain": MetricInfo("Plain W2²", _SQUARED, "lower"),
    "w2_squared_floor": MetricInfo("Noise floor of W2²", _SQUARED, "neither"),
    "sliced_w2_squared": MetricInfo("Debiased sliced W2²", _SQUARED, "lower", SLICED_NOTE),
    "sliced_w2_squared_plain": MetricInfo("Plain sliced W2²", _SQUARED, "lower"),
    "sliced_w2_squared_floor": MetricInfo("Noise floor of sliced W2²", _SQUARED, "neither"),
    "w1": MetricInfo("Cross-fitted W1", "units of the target", "lower", W1_NOTE),
    "w1_plain": MetricInfo("Plain W1", "units of the target", "lower"),
    "w1_floor": MetricInfo("Noise floor of W1", "units of the target", "neither"),
    "map_l2_uvp": MetricInfo("L2-UVP to the optimal map", "per cent", "lower", UVP_NOTE),
    "map_cosine": MetricInfo("Cosine to the optimal map", "", "higher", COSINE_NOTE),
    "log_likelihood": MetricInfo("Log-likelihood", _NATS, "higher", LIKELIHOOD_NOTE),
    "kl": MetricInfo("KL", _NATS, "lower", KL_NOTE),
    "elbo": MetricInfo("ELBO", _NATS, "higher"),
    "elbo_gap": MetricInfo("ELBO gap", _NATS, "lower", "The fit gap, the approximation gap and the amortisation gap."),
    "fit_gap": MetricInfo("Fit gap", _NATS, "lower"),
    "inference_gap": MetricInfo("Inference gap", _NATS, "lower", "The approximation gap and the amortisation gap."),
    "approximation_gap": MetricInfo("Approximation gap", _NATS, "lower", APPROXIMATION_NOTE),
    "amortisation_gap": MetricInfo("Amortisation gap", _NATS, "lower", AMORTISATION_NOTE),
    "sandwich_lower": MetricInfo("Lower bound on the likelihood of the model’s own samples", _NATS, "neither"),
    "sandwich_upper": MetricInfo("Upper bound on the likelihood of the model’s own samples", _NATS, "neither"),
    "sandwich_width": MetricInfo("Width of the likelihood sandwich", _NATS, "lower"),
}

#: Until W1 was debiased, its plain value had the name.
PLAIN_W1 = MetricInfo("W1", "units of the target", "lower", "Not debiased: sampling noise included.")

COSTS: dict[str, MetricInfo] = {
    "fit_cpu_seconds": MetricInfo("Fit, CPU time", "s", "lower"),
    "fit_seconds": MetricInfo("Fit, wall time", "s", "lower"),
    "sample_seconds_per_1000": MetricInfo("Sampling, per 1,000", "s", "lower"),
    "score_cpu_seconds": MetricInfo("Scoring, CPU time", "s", "lower"),
    "parameters": MetricInfo("Parameters", "", "lower"),
    "peak_memory_mb": MetricInfo("Peak memory of the worker", "MB", "lower"),
}

#: The metrics that get a table of their own, in the order of the page.
HEADLINE = (
    "kl",
    "w2_squared",
    "sliced_w2_squared",
    "w1",
    "map_l2_uvp",
    "map_cosine",
    "log_likelihood",
    "elbo_gap",
    "approximation_gap",
    "amortisation_gap",
    "inference_gap",
)

#: Those that few runs can know: without a number anywhere they have no table.
OPTIONAL = ("map_l2_uvp", "map_cosine", "approximation_gap", "amortisation_gap")

#: Parts of a score, zero by definition for some models: they are shown, but none is "best".
SPLIT = ("approximation_gap", "amortisation_gap")
PARTS = ("fit_gap", "inference_gap", *SPLIT)

#: Distances that are shown debiased: X is the score, X_plain and X_floor stand beside it.
DEBIASED = ("w2_squared", "sliced_w2_squared", "w1")
BESIDE = tuple(f"{metric}_{kind}" for metric in DEBIASED for kind in ("plain", "floor"))


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


#: The steps and the losses of one replicate's training.
Curve = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Content:
    """Everything a report shows.

    scores: one row per target, model, replicate and metric: value, error, status, reason. value and error are NaN
        where the status is not "ok" (an untrusted one may keep its value; it is not shown).
    costs: one row per target, model, replicate and metric: value.
    targets, models: in the order of the suite.
    pictures: of (target, model); "oracle" is the target itself. None where there is nothing to see.
    curves: of (target, model), the training curve of each replicate that has one.
    metrics: what each metric is called; those that are not in METRICS are the user's own.
    provenance: what made this run: command, suite, versions, machine, seconds, commit.
    """

    scores: pd.DataFrame
    costs: pd.DataFrame
    targets: list[TargetInfo]
    models: list[str]
    pictures: Callable[[str, str], Picture | None]
    curves: Callable[[str, str], list[Curve]] = lambda *_: []
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
        """The headline metrics that this run scored, those that are not n/a everywhere; and the user's own.

        The inference gap is left out where its two parts say the same, cell by cell.
        """
        scored = set(self.scores.loc[self.scores["status"] != "n/a", "metric"].unique())
        known = {metric: self._known(metric) for metric in (*OPTIONAL, "inference_gap")}
        split = known[SPLIT[0]] & known[SPLIT[1]]
        return [
            metric
            for metric in HEADLINE
            if metric in scored
            and not (metric in OPTIONAL and not known[metric])
            and not (metric == "inference_gap" and split and known[metric] <= split)
        ] + self.custom

    @property
    def custom(self) -> list[str]:
        """The metrics of the user's own that this run was scored by."""
        return [metric for metric in self.metrics if metric not in METRICS]

    def scored(self, metric: str) -> bool:
        """Any cell has a number for this metric."""
        return bool(self._known(metric))

    def _known(self, metric: str) -> set[tuple[str, str]]:
        """The target and the model of every cell with a number for this metric."""
        rows = self.scores[(self.scores["metric"] == metric) & (self.scores["status"] == "ok")]
        return set(zip(rows["target"], rows["model"], strict=True))

    def info(self, metric: str) -> MetricInfo:
        """What a metric or a cost is called; an unknown one is called by its name."""
        known = {**METRICS, **COSTS, **self.metrics}
        if metric == "w1" and known["w1"] is METRICS["w1"] and not (self.scores["metric"] == "w1_plain").any():
            return PLAIN_W1
        return known.get(metric, MetricInfo(metric, "", "lower"))
