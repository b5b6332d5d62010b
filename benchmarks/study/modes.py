"""Separated modes: what lies between them, and how steep a map has to be."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch.distributions import Normal

from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.evidence import Evidence, exactly, positive
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.pushing import mass, steepest
from benchmarks.study.tabular import said, table
from benchmarks.targets.base import Target
from benchmarks.targets.families import TwoModes
from models.base import Model

SEPARATIONS = (2.0, 4.0, 6.0, 8.0, 12.0)
MODELS = ("normalizing_flow", "flow_matching", "ot_map", "gaussian_vae", "exact_likelihood_vae")
FAR_APART, SHARE, MORE = 8.0, 0.5, 2.0


def apart(separation: float) -> str:
    """Two unit Gaussians whose means are this far apart."""
    return f"two_modes[separation={separation!r}]"


def exact_slope(separation: float) -> float:
    """T′(0) = φ(0)/p*(0) = e^(s²/8), the steepest slope of the monotone map to the two modes."""
    return math.exp(separation**2 / 8)


def exact_between(separation: float) -> float:
    """P*(|x| < s/8): the middle quarter of the way from one mode to the other, beyond the modes' own tails."""
    normal, edge = Normal(0.0, 1.0), separation / 8 * torch.tensor([1.0, -1.0], dtype=torch.float64)
    return float((normal.cdf(edge[0] + separation / 2) - normal.cdf(edge[1] + separation / 2)).double())


def between(model: Model, target: Target) -> float:
    """P_θ(|x| < s/8)."""
    assert isinstance(target, TwoModes)
    return mass(model, -target.separation / 8, target.separation / 8)


def find(evidence: Evidence) -> Finding:
    """Slopes against e^(s²/8), mass between the modes against the target's own, and the KL that both cost."""

    def slope(model: str, separation: float) -> pd.Series:
        return evidence.measured("steepest", steepest, apart(separation), model)

    def filled(model: str, separation: float) -> pd.Series:
        return evidence.measured("between", between, apart(separation), model)

    relative = {m: positive(slope(m, FAR_APART) / exact_slope(FAR_APART)) for m in MODELS}
    excess = {m: positive(filled(m, FAR_APART) / exact_between(FAR_APART)) for m in MODELS}
    slopes = {(m, s): positive(slope(m, s)) for m in MODELS for s in SEPARATIONS}
    masses = {(m, s): positive(filled(m, s)) for m in MODELS for s in SEPARATIONS}
    claims = [
        Claim(f"{m}: at a distance of {FAR_APART:g} its slope is at most {SHARE:.0%} of e^(s²/8)", relative[m],
              at_most=SHARE)
        for m in MODELS
    ] + [
        Claim(f"{m}: at a distance of {FAR_APART:g} it leaves at least {MORE:g} times the target’s mass between the "
              "modes", excess[m], at_least=MORE)
        for m in MODELS
    ]  # fmt: skip
    panels = [
        Panel("KL", "distance of the modes", "KL, nats",
              [Line(m, [(s, evidence.kl(apart(s), m)) for s in SEPARATIONS], m) for m in MODELS],
              log_x=False),
        Panel("steepest slope", "distance of the modes", "|T′|, at most",
              [*(Line(m, [(s, slopes[m, s]) for s in SEPARATIONS], m) for m in MODELS),
               Line("optimum", [(s, exactly(exact_slope(s))) for s in SEPARATIONS], "oracle", dashed=True)],
              log_x=False),
        Panel("mass between the modes", "distance of the modes", "P(|x| < s/8)",
              [*(Line(m, [(s, masses[m, s]) for s in SEPARATIONS], m) for m in MODELS),
               Line("target", [(s, exactly(exact_between(s))) for s in SEPARATIONS], "oracle", dashed=True)],
              log_x=False),
    ]  # fmt: skip
    rows = [
        ((m, f"{s:g}"), [evidence.kl(apart(s), m), slopes[m, s], masses[m, s]]) for m in MODELS for s in SEPARATIONS
    ]
    summary = (
        f"At a distance of {FAR_APART:g} standard deviations the exact map has a slope of {exact_slope(FAR_APART):,.0f}"
        "; the fitted ones reach this share of it: " + ", ".join(f"{m} {said(relative[m])}" for m in MODELS)
    )
    caption = (
        "Two unit Gaussians drawn apart. Left, KL; middle, the steepest slope of the map from N(0, 1) (of a "
        "decoder: of its mean), dashed that of the only increasing map there is; right, the mass in the middle quarter "
        "between them, dashed the target’s own. (A first run took the middle half: mostly the modes’ own tails.)"
    )
    return Finding(
        tuple(claims), f"{summary}.",
        (table("modes", "KL, slope and mass between the modes", "Median over replicates with its 95 % interval.",
               ("model", "distance", "KL, nats", "steepest slope", "mass between"), rows),),
        lambda: curves(panels), caption,
    )  # fmt: skip


PREDICTION = Prediction(
    "modes",
    "Separated modes and topology",
    "To split one cloud into two, a map has to tear it: its slope in the middle must be enormous, or points are "
    "left on the bridge between the two. We measure both.",
    "No trained map is as steep as two separated modes ask for: it leaves mass between them that is not there.",
    "N(0, I) has a connected support. A map that parts it must have a slope of at least the isoperimetric profile of "
    "the Gaussian over that of the target; on the line the increasing map is the only one without folds, and its slope "
    "at 0 is e^(s²/8). Noise added by p(x|z) blurs what is between, and fills it too.",
    "Salmona, De Bortoli, Delon & Desolneux 2022, theorem 1; Cornish et al. 2020",
    (Experiment(tuple(map(apart, SEPARATIONS)), MODELS),),
    find,
)
