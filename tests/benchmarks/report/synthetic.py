"""A run that never ran: every kind of target, of cell and of trouble, with known numbers behind them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain

import numpy as np
import pandas as pd

from benchmarks.report.content import COSTS, GAUSSIAN, METRICS, ORACLE, SPLIT, Content, Curve, Picture, TargetInfo
from benchmarks.report.families import FAMILIES, MACHINES

TARGETS = [
    TargetInfo("claw", "five narrow modes on a broad one", 1),
    TargetInfo("student_t2", "no variance", 1),
    TargetInfo("eight_gaussians", "eight separated modes", 2),
    TargetInfo("two_moons", "two curved, interleaved modes", 2),
    TargetInfo("checkerboard", "hard edges", 2),
    TargetInfo("funnel_10d", "scales over orders of magnitude", 10),
    TargetInfo("gaussian_mixture_16d", "modes in sixteen dimensions", 16),
    TargetInfo("digits", "real images, dequantised", 64, image=(8, 8)),
]
MODELS = [ORACLE, GAUSSIAN, *MACHINES]
#: All entrants, family by family.
ENTRANTS = [ORACLE, *chain.from_iterable(FAMILIES.values()), GAUSSIAN]
LATENT = {*FAMILIES["variational autoencoders"], *FAMILIES["autoencoders"]}
DENSITY = (
    "log_likelihood", "kl", "fit_gap", "inference_gap", "elbo_gap", "elbo", "approximation_gap", "amortisation_gap"
)  # fmt: skip
#: The true KL of each contender relative to the gaussian's: the flow is best, then OT, VAE, autoencoder.
QUALITY = {
    "oracle": 0.0,
    "normalizing_flow": 0.04,
    "ot_map": 0.12,
    "gaussian_vae": 0.3,
    "l2_autoencoder": 0.75,
    "gaussian": 1.0,
    "heteroscedastic_vae": 0.28,
    "iwae": 0.06,
    "vae_flow_posterior": 0.15,
    "vae_flow_prior": 0.2,
    "two_stage_vae": 0.35,
    "full_covariance_vae": 0.29,
    "exact_likelihood_vae": 0.05,
    "l2_autoencoder_mixture": 0.1,
    "flow_matching": 0.08,
    "sinkhorn_map": 0.14,
    "gaussian_ot": 1.0,
    "gaussian_mixture": 0.07,
}
REACH = {
    "claw": 0.15,
    "student_t2": 0.9,
    "eight_gaussians": 1.2,
    "two_moons": 0.7,
    "checkerboard": 0.5,
    "funnel_10d": 4.0,
}
SECONDS = {
    "oracle": 0.02,
    "gaussian": 0.01,
    "gaussian_vae": 12,
    "l2_autoencoder": 5,
    "normalizing_flow": 40,
    "ot_map": 22,
}


def content(
    targets: list[TargetInfo] | None = None,
    models: list[str] | None = None,
    replicates: int = 3,
    *,
    trouble: bool = True,
) -> Content:
    """A run of these targets, models and replicates; trouble: with cells that are n/a, failed, untrusted and lost."""
    targets = TARGETS if targets is None else targets
    models = MODELS if models is None else models
    scores, costs = [], []
    for target in targets:
        for model in models:
            for replicate in range(replicates):
                generator = np.random.default_rng([len(target.name), *map(ord, target.name + model), replicate])
                for metric, (value, error, status, reason) in _cell(
                    target, model, replicate, generator, trouble
                ).items():
                    scores.append((target.name, model, replicate, metric, value, error, status, reason))
                for metric, value in _cost(target, model, generator).items():
                    costs.append((target.name, model, replicate, metric, value))
    return Content(
        scores=pd.DataFrame(
            scores, columns=["target", "model", "replicate", "metric", "value", "error", "status", "reason"]
        ),
        costs=pd.DataFrame(costs, columns=["target", "model", "replicate", "metric", "value"]),
        targets=targets,
        models=models,
        pictures=lambda target, model: _picture({t.name: t for t in targets}[target], model, trouble),
        curves=_curves,
        provenance={
            "command": "pushforward run standard",
            "suite": "standard",
            "commit": "179a399",
            "torch": "2.13.0",
            "machine": "2 cores, Linux",
            "seconds": "912",
        },
    )


def _curves(target: str, model: str) -> list[Curve]:
    """Two replicates; the frame is not trained, and one loss ran off to infinity."""
    if model in ("oracle", "gaussian"):
        return []
    step = np.arange(1, 41) * 50.0
    loss = 2 + 30 / step + 0.02 * np.random.default_rng([*map(ord, target + model)]).standard_normal((2, 40))
    loss[1, -1] = math.inf if model == "ot_map" else loss[1, -1]
    return [(step, row) for row in loss]


Value = tuple[float, float, str, str]


def _cell(
    target: TargetInfo, model: str, replicate: int, generator: np.random.Generator, trouble: bool
) -> dict[str, Value]:
    if trouble and (target.name, model) == ("funnel_10d", "ot_map"):
        return dict.fromkeys(
            METRICS, (math.nan, math.nan, "failed", "RuntimeError: singular | matrix <at> step_3, 50% [red]")
        )
    lost = trouble and (target.name, model, replicate) == ("checkerboard", "l2_autoencoder", 1)
    if lost:
        return dict.fromkeys(METRICS, (math.nan, math.nan, "diverged", "the loss was not finite at step 212"))

    def noisy(value: float, error: float) -> Value:
        return (value + error * generator.standard_normal(), error, "ok", "")

    nothing = (math.nan, math.nan, "n/a", "the density of real data is not known")
    base = REACH.get(target.name, 2.0)
    heavy = trouble and (target.name, model) == ("eight_gaussians", "gaussian_vae")
    spread = math.exp((0.9 if heavy else 0.15) * generator.standard_normal())
    kl = noisy(QUALITY.get(model, 0.5) * base * spread, 0.0 if model == "oracle" else 0.004)
    latent = model in LATENT
    inference = noisy(0.5 * base * spread, 0.006) if latent else (0.0, 0.0, "ok", "")
    w2 = noisy(QUALITY.get(model, 0.5) * 0.4 * target.dimension * spread, 0.02 * target.dimension)
    sliced = noisy(QUALITY.get(model, 0.5) * 0.1 * spread, 0.001)
    known = target.image is None
    cell = {
        "w2_squared": w2,
        "w2_squared_plain": (w2[0] + 0.3, w2[1], "ok", ""),
        "w2_squared_floor": (0.3, 0.01, "ok", ""),
        "sliced_w2_squared": sliced,
        "sliced_w2_squared_plain": (sliced[0] + 0.01, sliced[1], "ok", ""),
        "w1": noisy(QUALITY.get(model, 0.5) * 0.2 * spread, 0.004)
        if target.dimension == 1
        else (math.nan, math.nan, "n/a", "more than one dimension"),
        "log_likelihood": noisy(-1.4 * target.dimension - kl[0], 0.02),
        "kl": kl if known else nothing,
        "fit_gap": kl if known else nothing,
        "inference_gap": inference,
        "elbo_gap": (kl[0] + inference[0], math.hypot(kl[1], inference[1]), "ok", "") if known else nothing,
        "elbo": noisy(-1.4 * target.dimension - kl[0] - inference[0], 0.02),
        "sandwich_width": noisy(0.01, 0.001) if latent else (math.nan, math.nan, "n/a", "exact"),
    }
    cell |= _later(target, model, cell, generator, latent=latent)
    if model == "sinkhorn_map":
        cell |= dict.fromkeys(DENSITY, (math.nan, math.nan, "n/a", "the model has no density"))
    if target.name == "student_t2":
        for metric in ("w2_squared", "w2_squared_plain", "w2_squared_floor"):
            cell[metric] = (math.nan, math.nan, "n/a", "the target has no second moment")
    if model == "oracle" and not known:
        for metric in ("log_likelihood", "elbo"):
            cell[metric] = nothing
    if trouble and (target.name, model) == ("gaussian_mixture_16d", "l2_autoencoder"):
        for metric in ("log_likelihood", "kl", "fit_gap", "elbo_gap", "elbo", "inference_gap", *SPLIT):
            cell[metric] = (cell[metric][0], cell[metric][1], "untrusted", "k-hat above 0.7 on 43 % of the points")
    if trouble and (target.name, model) == ("checkerboard", "gaussian_vae"):
        for metric in SPLIT:
            cell[metric] = (
                *cell[metric][:2],
                "untrusted",
                f"the search stopped early at {3 + replicate} of 200 points",
            )
    return cell


def _later(
    target: TargetInfo, model: str, cell: dict[str, Value], generator: np.random.Generator, *, latent: bool
) -> dict[str, Value]:
    """What runs before these metrics did not have."""

    def noisy(value: float, error: float) -> Value:
        return (value + error * generator.standard_normal(), error, "ok", "")

    def absent(reason: str) -> Value:
        return (math.nan, math.nan, "n/a", reason)

    inference = cell["inference_gap"]
    exact: Value = (0.0, 0.0, "ok", "")
    share = 0.7 if model == "gaussian_vae" else 0.35
    approximation = noisy(share * inference[0], 0.004) if latent else exact
    amortisation = (inference[0] - approximation[0], 0.004, "ok", "") if latent else exact
    if target.image is not None and latent:
        approximation = amortisation = absent("more than 32 latents")
    line = target.dimension == 1
    mapped = target.name == "gaussian_mixture_16d" and not latent
    no_map = absent("the target’s Brenier map is not known" if target.name != "gaussian_mixture_16d" else "no map")
    log_likelihood = cell["log_likelihood"][0]
    return {
        "approximation_gap": approximation,
        "amortisation_gap": amortisation,
        "w1_plain": (cell["w1"][0] + 0.05, cell["w1"][1], "ok", "") if line else cell["w1"],
        "w1_floor": (0.05, 0.002, "ok", "") if line else cell["w1"],
        "sliced_w2_squared_floor": (0.01, 0.0005, "ok", ""),
        "map_l2_uvp": noisy(60 * QUALITY.get(model, 0.5), 0.3) if mapped else no_map,
        "map_cosine": noisy(1 - 0.5 * QUALITY.get(model, 0.5), 0.004) if mapped else no_map,
        "sandwich_lower": noisy(log_likelihood, 0.02) if latent else absent("exact"),
        "sandwich_upper": noisy(log_likelihood + 0.01, 0.02) if latent else absent("exact"),
    }


LATER = (
    "approximation_gap",
    "amortisation_gap",
    "w1_plain",
    "sliced_w2_squared_floor",
    "map_l2_uvp",
    "map_cosine",
    "sandwich_lower",
    "sandwich_upper",
)


def older(run: Content) -> Content:
    """The same run as it was before these metrics were known."""
    return replace(run, scores=run.scores[~run.scores["metric"].isin(LATER)])


def _cost(target: TargetInfo, model: str, generator: np.random.Generator) -> dict[str, float]:
    seconds = SECONDS.get(model, 10) * (1 + 0.1 * target.dimension) * math.exp(0.1 * generator.standard_normal())
    values = dict.fromkeys(COSTS, seconds)
    values |= {
        "sample_seconds_per_1000": seconds / 1000,
        "parameters": 40_312.0,
        "peak_memory_mb": 380 + target.dimension,
    }
    return values


def _truth(name: str, d: int, n: int, generator: np.random.Generator) -> np.ndarray:
    if name == "claw":
        modes = generator.integers(0, 5, n)
        claw = 0.1 * generator.standard_normal(n) + modes / 2 - 1
        return np.where(generator.random(n) < 0.5, generator.standard_normal(n), claw)[:, None]
    if name == "student_t2":
        return generator.standard_t(2, n)[:, None]
    if name == "eight_gaussians":
        angle = generator.integers(0, 8, n) * np.pi / 4
        return 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.2 * generator.standard_normal((n, 2))
    if name == "two_moons":
        angle, upper = np.pi * generator.random(n), generator.random(n) < 0.5
        x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
        y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
        return np.c_[x, y] + 0.1 * generator.standard_normal((n, 2))
    if name == "checkerboard":
        column, y = generator.integers(0, 4, n), generator.integers(0, 2, n) * 2
        return np.c_[column + generator.random(n), y + column % 2 + generator.random(n)] - 2
    if name == "funnel_10d":
        v = 1.5 * generator.standard_normal((n, 1))
        return np.c_[v, np.exp(v / 2) * generator.standard_normal((n, d - 1))]
    if d == 64:
        row, column = np.mgrid[0:8, 0:8]
        cx, cy, r = generator.uniform(2.5, 4.5, (3, n, 1, 1)) * np.array([1, 1, 0.7])[:, None, None, None]
        ring = np.exp(-((np.hypot(row - cx, column - cy) - r) ** 2) / 0.8)
        return (ring + 0.05 * generator.random((n, 8, 8))).reshape(n, 64)
    means = 3 * np.random.default_rng(1).standard_normal((5, d))
    return means[generator.integers(0, 5, n)] + generator.standard_normal((n, d))


def _picture(target: TargetInfo, model: str, trouble: bool) -> Picture | None:
    if trouble and (target.name, model) == ("funnel_10d", "ot_map"):
        return None
    generator = np.random.default_rng([*map(ord, target.name + model)])
    d, n = target.dimension, 3000
    truth = _truth(target.name, d, n, generator)
    quality = QUALITY.get(model, 0.5)
    samples = (1 - quality) * truth + quality * (
        truth.mean(axis=0) + truth.std(axis=0) * generator.standard_normal((n, d))
    )
    low, high = np.quantile(truth, (0.005, 0.995), axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    density = None
    if d == 1 or (d == 2 and model != "ot_map"):
        sizes = 200 if d == 1 else 90
        counts, _ = np.histogramdd(samples, bins=sizes, range=list(zip(low, high, strict=True)), density=True)
        from scipy.ndimage import gaussian_filter

        density = gaussian_filter(counts, 2.2)
    return Picture(samples=samples, low=low, high=high, density=density)
