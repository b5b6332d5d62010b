"""From predictions to the cells of one run, which is carried out, kept and resumed like every other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import lookup
from benchmarks.cell import Cell
from benchmarks.errors import UserError, unknown
from benchmarks.execution import RESULTS, Plan
from benchmarks.store import Store
from benchmarks.study import capacity, gap, manifolds, maps, modes, noise, penalty, posterior, tails
from benchmarks.study.answer import answer
from benchmarks.study.prediction import Study
from benchmarks.suite import Limits, Suite
from metrics import Sizes
from models.base import Budget

STUDIES = {
    "bottleneck": Study(
        "Why can a VAE approximate arbitrary distributions, although its encoder q(z|x) and its decoder p(x|z) are "
        "Gaussian? Will the Gaussian not act as a bottleneck? And is there a universal approximation theorem?",
        tuple(part.PREDICTION for part in (capacity, posterior, noise, tails, modes, manifolds, gap, penalty, maps)),
        answer,
    )
}

#: The distances are not what a study is about: as few samples as they can be made from.
SIZES = Sizes(
    wasserstein=50, batches=2, sliced=500, projections=8, likelihood=5_000, latent=250, importance_samples=500, gaps=64
)


@dataclass(frozen=True)
class Extent:
    """How much is spent on a study: replicates, training points, the share of every model's own steps, and scores."""

    replicates: int
    train: int
    effort: float
    sizes: Sizes = SIZES


FULL = Extent(replicates=6, train=20_000, effort=1.0)
QUICK = Extent(
    replicates=2,
    train=5_000,
    effort=0.1,
    sizes=replace(SIZES, likelihood=2_000, latent=100, importance_samples=200, gaps=24),
)


def plan(study: str, *, quick: bool = False, out: Path | None = None) -> Plan:
    """The cells of a study. Raises UserError for a study that there is not, and a directory that it cannot use.

    Every model of a target is in the cells of it once, whichever predictions it serves.
    """
    if study not in STUDIES:
        raise unknown("study", study, STUDIES)
    predictions = STUDIES[study].predictions
    extent = QUICK if quick else FULL
    name = f"{study}-quick" if quick else study
    pairs = dict.fromkeys(
        (target, model)
        for prediction in predictions
        for experiment in prediction.experiments
        for target in experiment.targets
        for model in experiment.models
    )
    targets, models = (list(dict.fromkeys(pair[i] for pair in pairs)) for i in (0, 1))
    suite = Suite(
        name=name,
        description=f"The study {study!r}: {len(predictions)} predictions and the cells that decide them.",
        models=models,
        targets=targets,
        replicates=extent.replicates,
        train=extent.train,
        sizes=extent.sizes,
        budget=Budget(effort=extent.effort),
        limits=Limits(seconds=1_200),
    )
    cells = [
        Cell(
            model=_plugin("model", model),
            target=_plugin("target", target),
            replicates=suite.replicates,
            train=suite.train,
            sizes=suite.sizes,
            budget=suite.budget,
        )
        for target in targets  # one target after the other: what is computed of a target alone is then at hand
        for model in models
        if (target, model) in pairs
    ]
    store = Store(out if out is not None else RESULTS / name)
    store.check(name)
    return Plan(suite, cells, store)


def study_of(store: Store) -> Study | None:
    """The study that a directory holds; None if it holds something else."""
    manifest = store.manifest() or {}
    return STUDIES.get(str(manifest.get("suite", "")).removesuffix("-quick"))


def _plugin(kind: lookup.Kind, name: str) -> lookup.Plugin:
    found = lookup.find(kind, name)
    if found.name != name:
        raise UserError(f"{kind} {name!r} is written {found.name!r}: a study has to use that name")
    return found
