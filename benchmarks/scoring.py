"""Custom metrics on a run that is there: scored from the samples and the weights that it keeps, without training.

What `benchmarks.score` and `pushforward score` call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks import again, kept_metrics, lookup
from benchmarks.cell import CellResult, single_threaded
from benchmarks.csv_tables import SCORE_COLUMNS
from benchmarks.draws import held_out_samples
from benchmarks.errors import UserError
from benchmarks.lookup import ORACLE, Plugin, digest
from benchmarks.seeds import generator
from benchmarks.source import versions
from benchmarks.store import Store
from benchmarks.targets.base import Target
from metrics import METRICS, Sizes
from metrics.custom import CustomMetric, Function, custom_score
from metrics.score import Score


@dataclass(frozen=True)
class Chosen:
    """A metric with its arguments; its file is executed once, however many cells there are."""

    plugin: Plugin
    metric: CustomMetric
    function: Function

    @classmethod
    def of(cls, plugin: Plugin) -> Chosen:
        """The metric of this plug-in."""
        metric = plugin.found()
        return cls(plugin, metric, partial(metric, **dict(plugin.arguments)))

    @property
    def name(self) -> str:
        """How it is called, with its arguments."""
        return self.plugin.name


@dataclass(frozen=True)
class Plan:
    """What will be scored: checked in full before anything is computed. models: found only if a metric needs them."""

    store: Store
    metrics: list[Chosen]
    targets: list[tuple[Plugin, Target]]
    models: dict[str, Plugin]
    names: list[str]
    replicates: int
    train: int
    sizes: Sizes


def plan(run: str | Path, metrics: Sequence[str]) -> Plan:
    """Resolve and check. Raises UserError for a run or a metric that there is not, and for a target that has changed.

    metrics: names or path/to/file.py:name, with arguments in brackets where wanted.
    """
    store = Store(Path(run))
    manifest = store.described()
    built_in = [name for name in metrics if name in METRICS]
    if built_in:
        raise UserError(f"{built_in[0]} is scored in every run; `pushforward score` is for what is not")
    _check_sources(store, manifest)
    chosen = [Chosen.of(plugin) for plugin in lookup.find_all("metric", metrics)]
    taken = [each.name for each in chosen if each.name in METRICS]
    if taken:
        raise UserError(f"metric {taken[0]}: a score of every run has this name; choose another")
    names = list(manifest["models"])
    if not any(store.identity(target["name"], model) for target in manifest["targets"] for model in names):
        raise UserError(f"{store.folder} keeps no cells to score; `pushforward run` computes them")
    sources = manifest.get("model_sources", {})
    needed = names if any(each.metric.given == "model" for each in chosen) else []
    return Plan(
        store=store,
        metrics=chosen,
        targets=[again.find_target(about) for about in manifest["targets"]],
        models={name: again.find("model", name, sources.get(name, {}).get("source", "")) for name in needed},
        names=names,
        replicates=manifest["replicates"],
        train=manifest["description"]["train"],
        sizes=_sizes(store, manifest["description"]["sizes"]),
    )


def _check_sources(store: Store, manifest: Mapping[str, Any]) -> None:
    """Nothing that lies in the run's own directory is executed: whoever made the run would run code here."""
    abouts = [*manifest["targets"], *manifest.get("model_sources", {}).values()]
    for source in (about.get("source", "") for about in abouts):
        path, _, _ = source.rpartition(":")
        if path.endswith(".py") and Path(path).resolve().is_relative_to(store.folder.resolve()):
            raise UserError(f"{path} lies in the run's own directory, from which nothing is executed")


def _sizes(store: Store, kept: Mapping[str, int]) -> Sizes:
    try:
        return Sizes(**kept)
    except TypeError as error:
        raise UserError(f"{store.folder}/run.json has sizes that there are not: {error}") from error


@dataclass(frozen=True)
class Outcome:
    """rows: as in scores.csv. broken: where a metric failed on a cell that is there, a line for each reason."""

    rows: pd.DataFrame
    broken: list[str]


def carry_out(planned: Plan, watch: Callable[[str], None] = lambda _: None) -> Outcome:
    """Score every cell that is there, and keep the metrics in the run.

    A metric that raises is "failed" for that replicate and costs no other; a cell without samples keeps its own word.
    watch: is told the name of every cell before it is scored.
    """
    rows: dict[str, list[dict[str, object]]] = {each.name: [] for each in planned.metrics}
    cells: dict[str, dict[str, str]] = {}
    broken: list[str] = []
    with single_threaded(), torch.no_grad():
        for plugin, target in planned.targets:
            held_out = [
                held_out_samples(target, plugin.name, replicate, planned.sizes)
                for replicate in range(planned.replicates)
            ]
            for model in planned.names:
                identity, result = planned.store.identity(plugin.name, model), planned.store.read(plugin.name, model)
                if identity is None or result is None:
                    continue
                watch(f"{plugin.name} × {model}")
                cells.setdefault(plugin.name, {})[model] = identity
                for replicate, points in enumerate(held_out):
                    axes = {"target": plugin.name, "model": model, "replicate": replicate}
                    for each in planned.metrics:
                        score = _score(planned, each, (plugin, target), model, replicate, result, points)
                        rows[each.name].append({**axes, "metric": each.name, **dataclasses.asdict(score)})
                        if score.status == "failed" and score.reason != result.reason:
                            broken.append(f"{each.name} on {plugin.name} × {model}: {score.reason}")
    frames = {name: pd.DataFrame(found, columns=SCORE_COLUMNS) for name, found in rows.items()}
    for each in planned.metrics:
        origin = {
            "source": each.plugin.source,
            "sha256": digest(each.plugin.file()),
            "given": each.metric.given,
            "versions": versions(),
        }
        kept_metrics.save(planned.store, each.name, each.metric.about, origin, cells, frames[each.name])
    return Outcome(pd.concat(frames.values(), ignore_index=True), list(dict.fromkeys(broken)))


def score(run: str | Path, metrics: Sequence[str]) -> pd.DataFrame:
    """Score a run by metrics of one's own, from what it keeps, and return their rows, as `benchmarks.run` does.

    The same as `pushforward score`. Raises UserError for bad input.
    """
    return carry_out(plan(run, metrics)).rows


def _score(
    planned: Plan,
    chosen: Chosen,
    on: tuple[Plugin, Target],
    model: str,
    replicate: int,
    result: CellResult,
    held_out: Tensor,
) -> Score:
    """One metric on one replicate of a cell. Points are copied: a metric that writes into them costs no other."""
    plugin, target = on
    kept = [name for name in result.arrays if name.startswith(f"{replicate}/")]
    noise = generator("metric", metric=chosen.name, target=plugin.name, model=model, replicate=replicate)
    if chosen.metric.given == "samples":
        name = f"{replicate}/samples"
        if name not in kept:
            return _without(result, "the run kept no samples of it")
        return custom_score(chosen.function, result.arrays[name].double().clone(), held_out.clone(), noise)
    if result.status != "ok" and not kept:
        return _without(result, "the run kept no weights of it")

    def on_fitted(_: object, points: Tensor, noise: torch.Generator) -> tuple[float, float] | Score:
        restored = again.fitted(planned.models[model], plugin, target, replicate, result.arrays, planned.train)
        return chosen.function(restored, points, noise)

    found = custom_score(on_fitted, held_out, held_out.clone(), noise)
    unkept = model != ORACLE and not any("/weights/" in name for name in kept)
    if found.status == "failed" and unkept:
        return Score.absent("failed", f"{found.reason}; the model has no parameters or buffers, so none were kept")
    return found


def _without(result: CellResult, reason: str) -> Score:
    """The word of the cell itself."""
    if result.status == "ok":
        return Score.absent("failed", reason)
    return Score.absent(result.status, result.reason)
