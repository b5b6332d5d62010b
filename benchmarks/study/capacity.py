"""Universal approximation by capacity: more of the same Gaussian decoder."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from benchmarks.report.statistics import Estimate
from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.evidence import Evidence, of_replicates, ratio
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import percent, said, table
from benchmarks.targets.base import Target
from models.base import Model
from models.gaussian_mixture import GaussianMixture
from models.vae import VAE

TARGETS = ("eight_gaussians", "rings", "checkerboard")
WIDTHS = (4, 8, 16, 32, 64, 128)
DEPTHS = (1, 2, 3)
LATENTS = (1, 2)
COMPONENTS = (2, 4, 8, 16, 32, 64)
SLOPE, SHARE = 0.0, 0.25


def wide(width: int) -> str:
    """The decoder of this width, two layers deep; 64 is the default."""
    return "exact_likelihood_vae" if width == 64 else f"exact_likelihood_vae[hidden={width}]"


def deep(depth: int) -> str:
    """The decoder of this depth, 32 wide."""
    return wide(32) if depth == 2 else f"exact_likelihood_vae[hidden=32,depth={depth}]"


def latent(k: int) -> str:
    """The decoder of this many latents, the network at its default size: on planar targets two are the default."""
    return wide(64) if k == 2 else f"exact_likelihood_vae[latent_dim={k}]"


def mixed(components: int) -> str:
    """The mixture of at most so many Gaussians."""
    return f"gaussian_mixture[components={components}]"


MODELS = tuple(dict.fromkeys([*map(wide, WIDTHS), *map(deep, DEPTHS), *map(latent, LATENTS), *map(mixed, COMPONENTS)]))


def freedom(model: Model, target: Target) -> float:
    """How many numbers p_θ has to choose: those of a decoder, or of a mixture's weights, means and covariances."""
    if isinstance(model, GaussianMixture):
        d = target.dimension
        return float(len(model.weights) * (1 + d + d * (d + 1) // 2) - 1)
    assert isinstance(model, VAE)
    return float(sum(parameter.numel() for parameter in model.decoder.parameters()))


def find(evidence: Evidence) -> Finding:
    """The slope of log KL against log width, and what is left of the KL from the narrowest to the widest."""
    claims = [
        Claim(f"{t}: log KL falls with log width, slope below {SLOPE:g}", slope(evidence, t), at_most=SLOPE)
        for t in TARGETS
    ] + [
        Claim(
            f"{t}: of the KL at width {WIDTHS[0]}, at most {SHARE:.0%} is left at width {WIDTHS[-1]}",
            left(evidence, t),
            at_most=SHARE,
        )
        for t in TARGETS
    ]

    kl = evidence.kl

    def size(target: str, model: str) -> float:
        return float(evidence.measured("freedom", freedom, target, model).median())

    panels = [
        Panel(
            target,
            "numbers in p_θ",
            "KL, nats",
            [
                Line("width", [(size(target, wide(w)), kl(target, wide(w))) for w in WIDTHS], "exact_likelihood_vae"),
                Line("depth", [(size(target, deep(d)), kl(target, deep(d))) for d in DEPTHS], 1),
                Line(
                    "mixture", [(size(target, mixed(m)), kl(target, mixed(m))) for m in COMPONENTS], "gaussian_mixture"
                ),
            ],
        )
        for target in TARGETS
    ]
    names = [*(("width", str(w), wide(w)) for w in WIDTHS), *(("depth", str(d), deep(d)) for d in DEPTHS),
             *(("latents", str(k), latent(k)) for k in LATENTS),
             *(("mixture of at most", str(m), mixed(m)) for m in COMPONENTS)]  # fmt: skip
    rows = [((what, amount), [kl(target, model) for target in TARGETS]) for what, amount, model in names]
    last = {target: kl(target, wide(WIDTHS[-1])) for target in TARGETS}
    summary = (
        f"Trained by nearly exact likelihood, a Gaussian decoder {WIDTHS[-1]} wide comes to a KL of "
        + ", ".join(f"{said(last[target], 'nats')} ({target})" for target in TARGETS)
        + f"; of the KL at width {WIDTHS[0]} there remains "
        + ", ".join(percent(left(evidence, target)) for target in TARGETS)
        + "."
    )
    caption = (
        "KL(p*‖p_θ) against how many numbers p_θ has to choose (a decoder’s; a mixture’s), both logarithmic. Width at "
        "two layers, depth at a width of 32, and finite mixtures of Gaussians by EM, which choose how many components "
        "they use. Lines that flatten have met something else than capacity: the training’s own noise, the 20,000 "
        "points, or an optimum that is local."
    )
    return Finding(
        tuple(claims),
        summary,
        (table("capacity", "KL by capacity", "Nats, median over replicates with its 95 % interval.",
               ("what grows", "to", *TARGETS), rows),),
        lambda: curves(panels),
        caption,
    )  # fmt: skip


def left(evidence: Evidence, target: str) -> Estimate | None:
    """The KL at the largest width over that at the least."""
    return ratio(*(evidence.values("kl", target, wide(width)) for width in (WIDTHS[-1], WIDTHS[0])))


def slope(evidence: Evidence, target: str) -> Estimate | None:
    """Of log KL on log width by least squares, for each replicate."""
    values = pd.concat([evidence.values("kl", target, wide(w)) for w in WIDTHS], axis=1, join="inner").dropna()
    if values.empty or bool((values <= 0).any().any()):
        return None
    x = np.log(WIDTHS)
    slopes = np.polyfit(x, np.log(values.to_numpy()).T, 1)[0]
    return of_replicates(pd.Series(slopes, index=values.index)) if math.isfinite(float(slopes.sum())) else None


PREDICTION = Prediction(
    "capacity",
    "Universal approximation by capacity",
    "A decoder lays a small Gaussian around every point that its network can reach: with a network large enough "
    "these blobs can cover any shape. Here nothing else is in the way, and we watch the error as the network "
    "grows.",
    "With the encoder out of the way, the KL of one and the same Gaussian decoder falls towards 0 as its network "
    "grows, on every target.",
    "μ(z) with z ~ N(0, I), k ≥ 1, can be brought as near to any law as one likes by a wide enough network, and the "
    "noise N(0, σ²I) added to it vanishes with σ: p_θ is a mixture of infinitely many Gaussians with tied centres. "
    "That is the universal approximation theorem of the question; it says nothing of rates, nor of training.",
    "Lu & Lu 2020; Dai & Wipf 2019, theorem 1; Nguyen et al. 2020 for mixtures",
    (Experiment(TARGETS, MODELS),),
    find,
)
