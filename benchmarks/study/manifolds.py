"""Manifolds: what the decoder's σ becomes where data lie near a curved surface, by the number of latents."""

from __future__ import annotations

from benchmarks.report.statistics import Estimate
from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.evidence import Evidence, positive
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import said, table
from benchmarks.targets.base import Target
from models.base import LatentModel, Model

SURFACE = 2
NOISES = (0.05, 0.2)
LATENTS = (1, 2, 3, 8)
TIMES, WITHIN = 2.0, 1.5


def near(noise: float) -> str:
    """The surface in eight dimensions, with this noise around it."""
    return f"noisy_manifold_8d[noise={noise!r}]"


def with_latents(k: int) -> str:
    """The VAE with k latents."""
    return f"gaussian_vae[latent_dim={k}]"


def sigma(model: Model, _: Target) -> float:
    """The decoder's σ, as the root mean square over coordinates, in the units of the data."""
    assert isinstance(model, LatentModel)
    return float(model.likelihood(model.prior().mean[None]).variance.mean().sqrt())


def learned_sigma(evidence: Evidence, latents: int, noise: float) -> Estimate | None:
    """The σ that was learned, as a multiple of the noise."""
    return positive(evidence.measured("sigma", sigma, near(noise), with_latents(latents)) / noise)


def find(evidence: Evidence) -> Finding:
    """The learned σ over the true one, and the ELBO, for fewer latents than the surface has, as many, and more."""
    learned = {(k, s): learned_sigma(evidence, k, s) for k in LATENTS for s in NOISES}
    claims = [
        Claim(f"noise {s:g}, {SURFACE - 1} latent: σ is at least {TIMES:g} times the noise", learned[SURFACE - 1, s],
              at_least=TIMES)
        for s in NOISES
    ] + [
        Claim(f"noise {s:g}, {SURFACE} latents: σ is within a factor of {WITHIN:g} of the noise", learned[SURFACE, s],
              at_least=1 / WITHIN, at_most=WITHIN)
        for s in NOISES
    ]  # fmt: skip
    panels = [
        Panel("learned σ", "latents", "multiple of the noise",
              [Line(f"noise {s:g}", [(k, learned[k, s]) for k in LATENTS], i) for i, s in enumerate(NOISES)],
              levels={"the noise itself": 1.0}),
        Panel("ELBO gap", "latents", "nats",
              [Line(f"noise {s:g}", [(k, evidence.estimate("elbo_gap", near(s), with_latents(k))) for k in LATENTS], i)
               for i, s in enumerate(NOISES)]),
    ]  # fmt: skip
    rows = [
        ((f"{s:g}", str(k)),
         [learned[k, s], *(evidence.estimate(m, near(s), with_latents(k)) for m in ("kl", "elbo_gap"))])
        for s in NOISES
        for k in LATENTS
    ]  # fmt: skip
    summary = "The learned σ, as a multiple of the true noise, is " + "; ".join(
        f"with {k} latent{'s' if k > 1 else ''} " + ", ".join(f"{said(learned[k, s])} (noise {s:g})" for s in NOISES)
        for k in (SURFACE - 1, SURFACE, LATENTS[-1])
    )
    caption = (
        f"A surface of dimension {SURFACE} bent into eight dimensions, with Gaussian noise around it. Left, the σ that "
        "a VAE learns, as a multiple of that noise; right, its ELBO gap; both against the number of latents."
    )
    return Finding(
        tuple(claims), f"{summary}.",
        (table("manifolds", "Learned σ and scores by latents", "σ as a multiple of the noise; KL and ELBO gap in nats.",
               ("noise", "latents", "learned σ", "KL", "ELBO gap"), rows),),
        lambda: curves(panels, 3.6), caption,
    )  # fmt: skip


PREDICTION = Prediction(
    "manifolds",
    "Manifolds",
    "Data often lie near a surface of few dimensions. A VAE should find as many latents as it needs, and its σ "
    "should shrink to the true noise around the surface.",
    "The decoder’s σ goes down to the noise around a surface as soon as there are as many latents as the surface has "
    "dimensions, and more latents than that change nothing.",
    "With too few latents the decoder must spend σ on what it cannot follow. With enough the optimal σ is the noise "
    "itself, and superfluous latents are switched off by the KL term.",
    "Dai & Wipf 2019, theorems 2–4",
    (Experiment(tuple(map(near, NOISES)), tuple(map(with_latents, LATENTS))),),
    find,
)
