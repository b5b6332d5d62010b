"""Does the ELBO gap close? Its three parts against the capacity of a VAE."""

from __future__ import annotations

from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.evidence import Evidence, ratio
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import said, table

TARGETS = ("eight_gaussians", "rings", "banana")
WIDTHS = (4, 16, 64, 128)
PARTS = {"fit_gap": "fit", "approximation_gap": "approximation", "amortisation_gap": "amortisation"}
HALF = 0.5


def wide(width: int) -> str:
    """The VAE whose two networks have this width."""
    return "gaussian_vae" if width == 64 else f"gaussian_vae[hidden={width}]"


def find(evidence: Evidence) -> Finding:
    """What is left of each part from the narrowest to the widest VAE."""
    left = {
        (metric, target): ratio(
            evidence.values(metric, target, wide(WIDTHS[-1])), evidence.values(metric, target, wide(WIDTHS[0])))
        for metric in ("fit_gap", "inference_gap")
        for target in TARGETS
    }  # fmt: skip
    words = {"fit_gap": "fit gap", "inference_gap": "inference gap"}
    claims = [
        Claim(f"{target}: of the {words[metric]} at width {WIDTHS[0]}, at most {HALF:.0%} is left at {WIDTHS[-1]}",
              left[metric, target], at_most=HALF)
        for metric in words
        for target in TARGETS
    ]  # fmt: skip
    panels = [
        Panel(
            target, "width of both networks", "nats",
            [Line(name, [(w, evidence.estimate(metric, target, wide(w))) for w in WIDTHS], i)
             for i, (metric, name) in enumerate(PARTS.items())],
            log_y=False,
        )
        for target in TARGETS
    ]  # fmt: skip
    rows = [
        ((target, str(w)), [evidence.estimate(metric, target, wide(w)) for metric in [*PARTS, "elbo_gap"]])
        for target in TARGETS
        for w in WIDTHS
    ]
    summary = "From the narrowest to the widest VAE there remains " + "; ".join(
        f"on {target} a share of {said(left['fit_gap', target])} of the fit gap and "
        f"{said(left['inference_gap', target])} of the inference gap"
        for target in TARGETS
    )
    caption = (
        "The parts of the ELBO gap of a Gaussian VAE against the width of its networks: what the decoder does not "
        "represent (fit), what a Gaussian q cannot (approximation), what one encoder for all points cannot "
        "(amortisation). Where the fit gap goes back up to that of a Gaussian, training has switched the latents off."
    )
    return Finding(
        tuple(claims), f"{summary}.",
        (table("gap", "The parts of the ELBO gap by width", "Nats, median over replicates with its 95 % interval.",
               ("target", "width", *PARTS.values(), "ELBO gap"), rows),),
        lambda: curves(panels), caption,
    )  # fmt: skip


PREDICTION = Prediction(
    "gap",
    "Does the ELBO gap close?",
    "The ELBO is a bound, and a VAE is only as good as the bound is tight. A larger VAE should fit better and, by "
    "the theory, close the bound at the same time.",
    "With capacity the fit gap and the inference gap of a Gaussian VAE go to 0 together.",
    "E[log p* − ELBO] is the sum of KL(p*‖p_θ) and of the mean KL(q‖p_θ(z|x)): an ELBO that reaches the entropy forces "
    "p_θ = p*. A decoder rich enough to make p* with Gaussian posteriors exists where the manifold of x has the "
    "dimension of z (Dai & Wipf), so nothing in principle keeps the gap open.",
    "Dai & Wipf 2019, theorems 1–2; Cremer, Li & Duvenaud 2018",
    (Experiment(TARGETS, tuple(map(wide, WIDTHS))),),
    find,
)
