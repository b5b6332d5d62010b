"""Which Gaussian: one decoder, trained by bounds that are ever tighter, up to the likelihood itself."""

from __future__ import annotations

from benchmarks.study.charts import dots
from benchmarks.study.evidence import Evidence, difference, ratio
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import said, table

TARGETS = ("eight_gaussians", "rings", "checkerboard")
EXACT = "exact_likelihood_vae"
SAMPLES = (1, 4, 16)


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
TIMES, TIGHTER = 1.0, 1.0


def find(evidence: Evidence) -> Finding:
    """The price of q is what the ELBO's KL loses to the exact likelihood's, and the price of p is what that keeps."""

    def price(target: str):  # type: ignore[no-untyped-def]
        bound, exact = (evidence.values("kl", target, model) for model in ("gaussian_vae", EXACT))
        return evidence.combined(bound, exact, by=lambda b, e: (b - e) / e), evidence.combined(
            bound, exact, by=difference
        )

    prices = {target: price(target) for target in TARGETS}
    tighter = {
        target: ratio(*(evidence.values("kl", target, weighted(samples)) for samples in (SAMPLES[-1], SAMPLES[0])))
        for target in TARGETS
    }
    claims = [
        Claim(f"{target}: the price of q is above {TIMES:g} times that of p(x|z)", prices[target][0], at_least=TIMES)
        for target in TARGETS
    ] + [
        Claim(f"{target}: KL at K = {SAMPLES[-1]} is below that at K = {SAMPLES[0]} (ratio)", tighter[target],
              at_most=TIGHTER)
        for target in TARGETS
    ]  # fmt: skip
    rows = [((way,), [evidence.estimate("kl", target, model) for target in TARGETS]) for way, model in WAYS]
    groups = [(target, [(way, evidence.estimate("kl", target, model)) for way, model in WAYS]) for target in TARGETS]
    summary = "At equal capacity the Gaussian q costs " + "; ".join(
        f"{said(prices[target][1], 'nats')} on {target}, where the Gaussian p(x|z) keeps "
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


PREDICTION = Prediction(
    "posterior",
    "Which Gaussian",
    "It is q(z|x): at equal capacity the price of a Gaussian q under the ELBO is larger than what the Gaussian p(x|z) "
    "costs, and a tighter bound takes it away.",
    "ELBO = log p_θ − KL(q‖p_θ(z|x)): maximising it pulls θ towards models whose posterior is Gaussian. The "
    "importance-weighted bound approaches log p_θ as K grows, and the exact likelihood has no q at all.",
    "Cremer, Li & Duvenaud 2018; Burda, Grosse & Salakhutdinov 2016, theorem 1; Turner & Sahani 2011",
    (Experiment(TARGETS, tuple(model for _, model in WAYS)),),
    find,
)
