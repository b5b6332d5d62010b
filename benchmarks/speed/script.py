"""The whole suite against a straightforward script that does the same work, one fit at a time.

The same work is, for each model, target and replicate of a run:

- the fit: as many steps of the same loss in the plain loop, stage after stage; what comes before and after, and the
  checkpoints, are not charged to the script. A model that solves instead of training is fitted by the same code, and
  its time is on both sides;
- the samples: the model's own, as many as the suite draws;
- the distances: the same debiased W2² from POT called plainly, four transports a batch (P–Q, P′–Q′, P–P′, Q–Q′) and
  four sliced distances, each time anew, because a script of one fit keeps nothing of the fit before. On the line, where
  both sides sort, they cost nothing worth counting;
- log p_θ at as many held-out points as the suite uses: the model's own where it is exact, IWAE-5000 for a
  latent-variable model. That is what a user would take; on a trained model its bias is then still above the suite's
  error (the part `log-likelihood`, and metrics/README.md), so that equal error would cost the script more.

The suite does more, and all of it is charged to the suite alone: the best q of the encoder's family at each point, the
sandwich, the ELBO, the KL divergence as an integral, W1, the diagnostics. A second total lets the script's KL
divergence, a mean over held-out points, reach the standard error of the suite's integral on targets of one and two
dimensions: with n = 2 KL / error² points (the variance of log p*/p_θ is twice its mean where p_θ is near p*), at most a
hundred thousand.

The suite's times are those of a run on this machine, which had all its cores busy; the script's are measured here, for
one target of each dimension, on a few dozen steps, points and projections, and multiplied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

import metrics
from benchmarks import efficiency, lookup, machine
from benchmarks.seeds import generator
from benchmarks.speed.estimators import plain_sliced_w2_squared, plain_w2_squared
from benchmarks.speed.loops import plain_seconds, tasks_of
from benchmarks.speed.measurement import Clock, Extent, Row, single
from benchmarks.store import Store
from benchmarks.targets.base import Target
from metrics import HeldOut, Sizes
from metrics.wasserstein import batches
from models.base import Budget, DensityModel, LatentModel, Model
from models.training import GradientTrained, fit_replicates

SUITE = "suite"
GOAL = "≥ 5"
DRAWS = 5_000  # of the IWAE
MOST_POINTS = 100_000
PARTS = ("fit", "samples", "exact W2", "sliced W2", "log p", "more points")
_STEPS, _PROJECTIONS, _POINTS, _TRIAL_ROWS = 30, 8, 4, 2_000
_TRIAL = Budget(effort=0.02)


@dataclass(frozen=True)
class Distances:
    """CPU seconds of the script's distances for one replicate, and of what the suite computes once per target."""

    exact: float
    sliced: float
    shared: float


def script_rows(extent: Extent, folder: Path) -> list[Row]:
    """Every model of the run in this folder, and the totals, on the targets whose dimension is in `extent`.

    No rows where there is no such run, or it was made on another machine: times are not compared across stamps.
    """
    run = Store(folder)
    manifest = run.manifest()
    if manifest is None or manifest["machine"] != machine.stamp():
        return []
    sizes, effort = Sizes(**manifest["description"]["sizes"]), manifest["description"]["budget"]["effort"]
    dimensions = {each["name"]: each["dimension"] for each in manifest["targets"]}
    ours = run.costs().pivot_table(index=["model", "target"], columns="metric", values="value", aggfunc="mean")
    order = [
        (model, target) for model in manifest["models"] for target, d in dimensions.items() if d in extent.dimensions
    ]
    ours = ours.loc[[cell for cell in order if cell in ours.index]]
    kl = run.scores().query("metric == 'kl' and status == 'ok'").groupby(["model", "target"])[["value", "error"]].mean()

    at: dict[int, Distances] = {}
    steps: dict[tuple[str, int], tuple[float | None, float]] = {}
    found = []
    for model, target in ours.index:
        d = dimensions[target]
        known = ours.loc[model, target]
        if d not in at:
            at[d] = _distances(target, sizes)
        if (model, d) not in steps:
            steps[model, d] = _fit_and_density(model, target, effort)
        fit, point = steps[model, d]
        points = sizes.latent if _is_latent(model) else sizes.likelihood
        more = _points_for(kl.loc[model, target]) - points if d <= 2 and (model, target) in kl.index else 0.0
        found.append(
            {
                "model": model,
                "target": target,
                "d": d,
                "ours fit": known["fit_cpu_seconds"],
                "ours score": known["score_cpu_seconds"],
                "fit": known["fit_cpu_seconds"] if fit is None else fit,
                "samples": known["sample_seconds_per_1000"] * 2 * sizes.sliced / 1_000,
                "exact W2": at[d].exact,
                "sliced W2": at[d].sliced,
                "log p": point * points,
                "more points": point * max(0.0, more),
            }
        )
    shared = sum(at[dimensions[target]].shared for target in ours.index.unique("target"))
    return _rows(pd.DataFrame(found), shared, manifest["replicates"])


def _rows(cells: pd.DataFrame, shared: float, replicates: int) -> list[Row]:
    """Per model and in all, in CPU seconds of all replicates."""
    sums = cells.groupby("model", sort=False)[["ours fit", "ours score", *PARTS]].sum() * replicates
    total, shared = sums.sum(), shared * replicates
    plain = [part for part in PARTS if part != "more points"]
    what = f"{cells['target'].nunique()} targets × {replicates}"

    def row(case: str, ours: float, theirs: float, goal: str = "") -> Row:
        return single(SUITE, case, ("the suite", ours), ("the script", theirs), "CPU s", theirs / ours, goal)

    def of_script(part: str) -> Row:
        return single(SUITE, f"of which {part}", ("", math.nan), ("the script", total[part]), "CPU s", math.nan)

    all_ours = total["ours fit"] + total["ours score"] + shared
    return [
        *(
            row(f"{model}, {what}", each["ours fit"] + each["ours score"], each[plain].sum())
            for model, each in sums.iterrows()
        ),
        row("all fits", total["ours fit"], total["fit"]),
        row("all scores", total["ours score"] + shared, total[plain].sum() - total["fit"]),
        *(of_script(part) for part in plain[1:]),
        row("fits and scores", all_ours, total[plain].sum(), GOAL),
        row("fits and scores, the script without sliced W2", all_ours, total[plain].sum() - total["sliced W2"]),
        row("fits and scores, the script with more points for KL", all_ours, total[list(PARTS)].sum()),
    ]


def _distances(name: str, sizes: Sizes) -> Distances:
    clock = Clock("cpu")
    target: Target = lookup.find("target", name).load()()
    if target.dimension == 1:
        return Distances(0.0, 0.0, 0.0)
    size = 2 * max(sizes.sliced, sizes.wasserstein * sizes.batches)
    _, test = target.split(1, size, generator("speed test", target=name))
    q, q2 = (half.double().numpy() for half in test[: len(test) // 2 * 2].chunk(2))
    count, few = batches(len(q), sizes.wasserstein, sizes.batches)
    exact = clock.of(lambda: plain_w2_squared(q[:few], q2[:few]))
    q, q2 = q[: sizes.sliced], q2[: sizes.sliced]
    sliced = clock.of(lambda: plain_sliced_w2_squared(q, q2, _PROJECTIONS)) * sizes.projections / _PROJECTIONS
    held_out = HeldOut(test, None, math.inf)
    shared = clock.of(lambda: metrics.reference(held_out, sizes, generator("speed reference", target=name)))
    return Distances(4 * count * exact, 4 * sliced, shared)


def _fit_and_density(name: str, target: str, effort: float) -> tuple[float | None, float]:
    """CPU seconds of a plain fit, None for a model that is not trained by a loss, and of log p_θ at one point."""
    if name == lookup.ORACLE:
        return None, 0.0
    factory, clock = lookup.find("model", name).load(), Clock("cpu")
    x, test = lookup.find("target", target).load()().split(20_000, 1_000, generator("speed data", target=target))
    model: Model = factory()
    fit = None
    if isinstance(model, GradientTrained):
        tasks = tasks_of(factory, x, "cpu")
        fit = sum(
            plain_seconds(task, _STEPS, clock, "cpu") * Budget(effort=effort).steps(task.recipe.steps) for task in tasks
        )
    if not isinstance(model, LatentModel | DensityModel):
        return fit, 0.0
    noise = generator("speed", model=name, target=target)
    with torch.enable_grad():
        fit_replicates([model], [x[:_TRIAL_ROWS]], [noise], _TRIAL)
    return fit, _density_seconds(model.double(), test, noise, clock)


def _density_seconds(model: DensityModel | LatentModel, x: Tensor, noise: torch.Generator, clock: Clock) -> float:
    if isinstance(model, DensityModel):
        return clock.of(partial(model.log_prob, x)) / len(x)
    few = x[:_POINTS]
    return clock.of(partial(efficiency.iwae, model, few, DRAWS, noise)) / len(few)


def _is_latent(name: str) -> bool:
    if name == lookup.ORACLE:
        return False
    return isinstance(lookup.find("model", name).load()(), LatentModel)


def _points_for(kl: pd.Series) -> float:
    """How many held-out points give the mean of log p*/p_θ the standard error that the suite's KL divergence has."""
    if not kl["error"] > 0:
        return 0.0
    return min(MOST_POINTS, 2 * max(0.0, kl["value"]) / kl["error"] ** 2)
