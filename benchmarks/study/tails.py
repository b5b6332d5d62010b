"""Tails: a Lipschitz map of a Gaussian has Gaussian tails."""

from __future__ import annotations

import math

from scipy import stats

from benchmarks.report.statistics import Estimate
from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.evidence import Evidence, difference, positive
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.pushing import mass
from benchmarks.study.tabular import said, table
from benchmarks.targets.base import Target
from benchmarks.targets.families import StudentT
from models.base import Model

DEGREES = (2.5, 4.0, 8.0, 30.0)  # KL to Gaussian tails is infinite without a variance, at 2
BOUNDED = ("gaussian_vae", "flow_matching")
UNBOUNDED = ("heteroscedastic_vae", "normalizing_flow", "ot_map", "gaussian_mixture")
MODELS = (*BOUNDED, "l2_autoencoder", *UNBOUNDED)
FAR, SHARE = 1e-3, 0.5


def student(degrees: float) -> str:
    """Student's t with so many degrees of freedom."""
    return f"student_t[degrees={degrees!r}]"


def beyond(model: Model, target: Target) -> float:
    """P_θ(|x| > q) / P*(|x| > q), q the quantile beyond which the target has 1e-3 of its mass."""
    assert isinstance(target, StudentT)
    quantile = float(stats.t.ppf(1 - FAR / 2, target.degrees))
    # What is beyond three decimals the quadrature of a map does not know.
    return round((mass(model, -math.inf, math.inf) - mass(model, -quantile, quantile)) / FAR, 3)


def far_mass(evidence: Evidence, model: str, degrees: float) -> Estimate | None:
    """`beyond`, the median over replicates."""
    return positive(evidence.measured("beyond", beyond, student(degrees), model))


def find(evidence: Evidence) -> Finding:
    """KL against the degrees of freedom, and the mass that is left where the target has one part in 1,000."""
    heavy, light = student(DEGREES[0]), student(DEGREES[-1])
    worse = {m: difference(evidence.values("kl", heavy, m), evidence.values("kl", light, m)) for m in BOUNDED}
    found = {(m, n): far_mass(evidence, m, n) for m in MODELS for n in DEGREES}
    claims = [
        Claim(f"{model}: the KL is larger at {DEGREES[0]:g} degrees of freedom than at {DEGREES[-1]:g}", worse[model],
              at_least=0.0)
        for model in worse
    ] + [
        Claim(f"{model}: at {DEGREES[0]:g} degrees of freedom at most {SHARE:.0%} of the far mass is there",
              found[model, DEGREES[0]], at_most=SHARE)
        for model in BOUNDED
    ]  # fmt: skip
    panels = [
        Panel("KL", "degrees of freedom", "KL, nats",
              [Line(m, [(n, evidence.kl(student(n), m)) for n in DEGREES], m) for m in MODELS]),
        Panel("mass in the far tail", "degrees of freedom", "model’s over the target’s",
              [Line(m, [(n, found[m, n]) for n in DEGREES], m) for m in MODELS],
              levels={"the target": 1.0}),
    ]  # fmt: skip
    rows = [((model, f"{n:g}"), [evidence.kl(student(n), model), found[model, n]]) for model in MODELS for n in DEGREES]
    summary = (
        f"Where the target has {FAR:g} of its mass, at {DEGREES[0]:g} degrees of freedom, a model has this much of it: "
        + (", ".join(f"{model} {said(found[model, DEGREES[0]])}" for model in MODELS))
    )
    caption = (
        "Student’s t with ever lighter tails to the right. Left, KL; right, the model’s mass beyond the quantile that "
        "leaves one part in 1,000 of the target’s on the outside, as a multiple of that (0 is off the axis)."
    )
    return Finding(
        tuple(claims), f"{summary}.",
        (table("tails", "KL and far mass by degrees of freedom", "KL in nats; far mass as a multiple of the target’s.",
               ("model", "degrees of freedom", "KL", "far mass"), rows),),
        lambda: curves(panels, 4.0), caption,
    )  # fmt: skip


PREDICTION = Prediction(
    "tails",
    "Tails",
    "A network with bounded slopes can stretch the few far draws of a Gaussian only so far, so rare large values "
    "go missing. We count how many of the rarest thousandth each model still makes.",
    "The heavier the target’s tails, the larger the KL of a map whose slope is bounded, and the mass far out is "
    "missing.",
    "If |T(z) − T(z′)| ≤ L|z − z′| and z ~ N(0, 1), then P(|T(z)| > t) falls like exp(−t²/2L²): no finite L gives a "
    "polynomial tail. A tanh decoder with one σ is Lipschitz; a σ of z, a compression of the tails before a flow, or a "
    "convex potential that grows faster than |z|² is not.",
    "Jaini, Kobyzev, Yu & Brubaker 2020, theorem 1; Wainwright 2019, theorem 2.26",
    (Experiment(tuple(map(student, DEGREES)), MODELS),),
    find,
)
