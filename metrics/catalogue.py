"""What every score is called, is measured in, and which way it improves: what tables and documentation read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One score: a description of one line, its unit, and the direction in which a model is better."""

    description: str
    unit: str
    better: Literal["lower", "higher", "neither"]


_SQUARED, _NATS = "squared data units", "nats"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "w2_squared": Metric("Squared Wasserstein-2 distance to the target, debiased", _SQUARED, "lower"),
        "w2_squared_plain": Metric("Squared Wasserstein-2 distance, sampling noise included", _SQUARED, "lower"),
        "w2_squared_floor": Metric("The same between two samples of the target: its noise floor", _SQUARED, "neither"),
        "sliced_w2_squared": Metric("Sliced squared Wasserstein-2 distance, debiased", _SQUARED, "lower"),
        "sliced_w2_squared_plain": Metric("Sliced W2², sampling noise included", _SQUARED, "lower"),
        "sliced_w2_squared_floor": Metric(
            "The same between two samples of the target: its noise floor", _SQUARED, "neither"
        ),
        "w1": Metric("Wasserstein-1 distance on the line, cross-fitted", "data units", "lower"),
        "w1_plain": Metric("Wasserstein-1 distance on the line, sampling noise included", "data units", "lower"),
        "w1_floor": Metric("The same between two samples of the target: its noise floor", "data units", "neither"),
        "map_l2_uvp": Metric("Error of the map itself, as a share of the target's variance", "per cent", "lower"),
        "map_cosine": Metric("Cosine between the map's displacement and the optimal map's", "", "higher"),
        "log_likelihood": Metric("Mean held-out log-density of the model", _NATS, "higher"),
        "kl": Metric("Kullback–Leibler divergence of the model from the target, KL(p*‖p_θ)", _NATS, "lower"),
        "elbo": Metric("Mean held-out evidence lower bound", _NATS, "higher"),
        "elbo_gap": Metric("Target's log-density minus the ELBO: fit gap + inference gap", _NATS, "lower"),
        "fit_gap": Metric("The part of the ELBO gap that is the model's fit, KL(p*‖p_θ)", _NATS, "lower"),
        "inference_gap": Metric("The part of the ELBO gap that is the encoder: log-density minus ELBO", _NATS, "lower"),
        "approximation_gap": Metric("The part of the inference gap that is the family of q(z|x)", _NATS, "lower"),
        "amortisation_gap": Metric("The part of the inference gap that is one network for all x", _NATS, "lower"),
        "sandwich_lower": Metric("Lower bound on the log-likelihood at the model's own samples", _NATS, "neither"),
        "sandwich_upper": Metric("Upper bound on the log-likelihood at the model's own samples", _NATS, "neither"),
        "sandwich_width": Metric("Upper minus lower bound on the model's own log-likelihood", _NATS, "lower"),
    }
)
