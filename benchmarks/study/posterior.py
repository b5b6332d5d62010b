"""Which Gaussian: one decoder, trained by bounds that are ever tighter, up to the likelihood itself."""

from __future__ import annotations

import pandas as pd

from benchmarks.report.statistics import Estimate
from benchmarks.study.charts import dots
from benchmarks.study.evidence import Evidence, difference, ratio
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import said, table

TARGETS = ("eight_gaussians", "rings", "checkerboard")
EXACT = "exact_likelihood_vae"
SAMPLES = (1, 4, 16, 64)


def weighted(samples: int) -> str:
    """The importance-weighted bound with so many draws."""
    return f"iwae[importance_samples={samples}]"


WAYS = (
    ("ELBO, diagonal Gaussian q", "gaussian_vae"),
    ("ELBO, full Gaussian q", "full_covariance_vae"),
    ("ELBO, flow as q", "vae_flow_posterior"),
    *((f"importance-weighted, K = {samples}", weighted(samples)) for samples in SAMPLES),
    ("nearly exact likelihood", EXACT),
)
TWICE, TIGHTER = 2.0, 1.0


def times_exact(evidence: Evidence, target: str, model: str = "gaussian_vae") -> Estimate | None:
    """KL over that of the exact likelihood, at equal capacity: above 2, q costs more than p(x|z)."""
    return ratio(*_pair(evidence, target, model))


def tightened(evidence: Evidence, target: str) -> Estimate | None:
    """KL at the most importance samples over that at one, which is the ELBO."""
    return ratio(*(evidence.values("kl", target, weighted(samples)) for samples in (SAMPLES[-1], SAMPLES[0])))


def find(evidence: Evidence) -> Finding:
    """The price of q is what the ELBO's KL loses to the exact likelihood's, and the price of p is what that keeps."""
    price = {target: difference(*_pair(evidence, target)) for target in TARGETS}
    claims = [
        Claim(f"{target}: the ELBO’s KL is more than {TWICE:g} times the exact likelihood’s: q costs more than p(x|z)",
              times_exact(evidence, target), at_least=TWICE)
        for target in TARGETS
    ] + [
        Claim(f"{target}: KL at K = {SAMPLES[-1]} is below that at K = {SAMPLES[0]} (ratio)",
              tightened(evidence, target), at_most=TIGHTER)
        for target in TARGETS
    ]  # fmt: skip
    rows = [((way,), [evidence.kl(target, model) for target in TARGETS]) for way, model in WAYS]
    groups = [(target, [(way, evidence.kl(target, model), model) for way, model in WAYS]) for target in TARGETS]
    summary = "At equal capacity the Gaussian q costs " + "; ".join(
        f"{said(price[target], 'nats')} on {target}, where the Gaussian p(x|z) keeps "
        f"{said(evidence.estimate('kl', target, EXACT), 'nats')}"
        for target in TARGETS
    )
    caption = (
        "KL(p*‖p_θ) of the same two-layer decoder, 64 wide, with two latents and one σ per coordinate, by what it was "
        "trained with. From the top down the bound gets tighter; at the bottom there is no bound and no q. What the "
        "rows above it have more than the last is the price of q; what the last has is the price of p(x|z)."
    )
    return Finding(
        tuple(claims), f"{summary}.",
        (table("posterior", "KL by training bound", "Nats, median over replicates with its 95 % interval.",
               ("trained by", *TARGETS), rows),),
        lambda: dots(groups, "KL, nats"), caption,
    )  # fmt: skip


def _pair(evidence: Evidence, target: str, model: str = "gaussian_vae") -> tuple[pd.Series, pd.Series]:
    return evidence.values("kl", target, model), evidence.values("kl", target, EXACT)


PREDICTION = Prediction(
    "posterior",
    "Which Gaussian",
    "Two Gaussians could be to blame. We keep the decoder’s and remove the encoder’s step by step: a more "
    "flexible q, many draws instead of one, and finally no q at all. What the error loses on the way was q’s "
    "fault; what stays is p(x|z)’s.",
    "It is q(z|x): at equal capacity the price of a Gaussian q under the ELBO is larger than what the Gaussian p(x|z) "
    "costs, and a tighter bound takes it away.",
    "ELBO = log p_θ − KL(q‖p_θ(z|x)): maximising it pulls θ towards models whose posterior is Gaussian. The "
    "importance-weighted bound approaches log p_θ as K grows, and the exact likelihood has no q at all.",
    "Cremer, Li & Duvenaud 2018; Burda, Grosse & Salakhutdinov 2016, theorem 1; Turner & Sahani 2011",
    (Experiment(TARGETS, tuple(model for _, model in WAYS)),),
    find,
)
