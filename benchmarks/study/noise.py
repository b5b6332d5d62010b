"""The decoder's noise: the floor that a fixed σ puts under the KL, predicted before anything is trained."""

from __future__ import annotations

from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.deconvolution import GAP, floor
from benchmarks.study.evidence import Evidence, exactly, of_replicates, ratio
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import said, table

TARGETS = ("uniform", "bimodal", "claw")
NOISES = (0.02, 0.05, 0.1, 0.2, 0.4)
EDGES = ("uniform", "checkerboard")
CLOSE, SHARE = 0.02, 1.0
NODES = 1597  # of z in training: posteriors under a small σ are narrow


def fixed(noise: float) -> str:
    """The decoder whose σ stays at this many of the data's standard deviations."""
    return f"exact_likelihood_vae[latent_dim=1,noise={noise:g},learn_noise=False,nodes={NODES}]"


def find(evidence: Evidence) -> Finding:
    """How far the trained decoders stay above the floors, and what a σ of each z changes at edges."""
    above = {
        (target, noise): of_replicates(evidence.values("kl", target, fixed(noise)) - floor(target, noise))
        for target in TARGETS
        for noise in NOISES
    }
    free = {
        target: ratio(
            evidence.values("kl", target, "heteroscedastic_vae"), evidence.values("kl", target, "gaussian_vae"))
        for target in EDGES
    }  # fmt: skip
    claims = [
        Claim(f"{target}, σ = {noise:g} sd: KL less its floor is at most {CLOSE} nats", above[target, noise],
              at_least=-2 * GAP, at_most=CLOSE)
        for target in TARGETS
        for noise in NOISES[2:]
    ] + [
        Claim(f"{target}: with a σ of each z the KL is no larger (ratio)", free[target], at_most=SHARE)
        for target in EDGES
    ]  # fmt: skip
    panels = [
        Panel(
            target, "σ, in standard deviations of the data", "KL, nats",
            [
                Line("trained", [(s, evidence.kl(target, fixed(s))) for s in NOISES], "exact_likelihood_vae"),
                Line("floor", [(s, exactly(floor(target, s))) for s in NOISES], "oracle", dashed=True),
            ],
        )
        for target in TARGETS
    ]  # fmt: skip
    rows = [
        ((target, f"{noise:g}"),
         [exactly(floor(target, noise)), evidence.kl(target, fixed(noise)), above[target, noise]])
        for target in TARGETS
        for noise in NOISES
    ]  # fmt: skip
    worst = max((e for e in above.values() if e is not None), key=lambda e: e.value, default=None)
    summary = (
        f"Deconvolution says beforehand what a wrong σ costs: a σ of {NOISES[-1]:g} sd costs at least "
        + ", ".join(f"{floor(target, NOISES[-1]):.2g} nats on {target}" for target in TARGETS)
        + f", and the trained decoders stay within {said(worst, 'nats')} of their floors, at worst; a σ of each z "
        "multiplies the VAE's KL by " + ", ".join(f"{said(free[target])} on {target}" for target in EDGES) + "."
    )  # fmt: skip
    caption = (
        "KL against a σ that is held fixed, of decoders with one latent trained by nearly exact likelihood; dashed, "
        "the floor: the best that any latent law, bent by any network, can do with that σ, from deconvolution alone."
    )
    return Finding(
        tuple(claims), summary,
        (table("noise", "KL and its floor by σ", "Nats, median over replicates with its 95 % interval.",
               ("target", "σ", "floor", "KL", "above the floor"), rows),),
        lambda: curves(panels), caption,
    )  # fmt: skip


PREDICTION = Prediction(
    "noise",
    "The decoder's noise",
    "p(x|z) blurs everything it makes by its σ. How much a blur of a given width costs can be computed without "
    "training anything; then we train and see whether the network reaches that limit.",
    "A σ that is too large costs what deconvolution says, and a good decoder pays no more; where the target has "
    "edges, a σ of each z is cheaper than one for all.",
    "With p(x|z) = N(μ(z), σ²) the model is ν ∗ N(0, σ²), ν the law of μ(z): whatever the network, its KL is at least "
    "the least KL over all ν, which is a convex problem. Where σ exceeds the target's own detail that floor is not 0.",
    "Lindsay 1983 (mixing distributions); Dai & Wipf 2019; Rezende, Mohamed & Wierstra 2014 (σ of z)",
    (
        Experiment(TARGETS, tuple(map(fixed, NOISES))),
        Experiment(EDGES, ("gaussian_vae", "heteroscedastic_vae")),
    ),
    find,
)
