"""From the store to the report: the value that tables, figures and the page are pure functions of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from benchmarks.kept_metrics import load
from benchmarks.report.content import METRICS, Array, Content, Curve, MetricInfo, Picture, TargetInfo
from benchmarks.store import Store
from metrics.catalogue import Metric

TUNING = (
    "The built-in ones by hand, by their scores on targets of the built-in suites, and not with equal effort: most for "
    "the VAEs, normalizing_flow and ot_map. Exact targets: other draws than those scored. digits: its split is fixed, "
    "so normalizing_flow's weight decay was judged on the very rows that are scored, and ot_map was looked at on "
    "them. Part of a difference between models is one in tuning."
)

GPU = (
    "; a GPU may take sums in another order every time, so training there again need not give the same scores to the "
    "last bit, as it does on a CPU"
)


def content_of(store: Store) -> Content:
    """What the report shows of a run. Raises UserError where the store holds no run."""
    manifest = store.described()
    dimensions = {target["name"]: target["dimension"] for target in manifest["targets"]}

    @cache
    def picture(target: str, model: str) -> Picture | None:
        result = store.read(target, model)
        return None if result is None else _picture(result.arrays, dimensions[target])

    @cache
    def curves(target: str, model: str) -> list[Curve]:
        arrays = {} if (result := store.read(target, model)) is None else result.arrays
        of = [number for number in range(manifest["replicates"]) if f"{number}/history/step" in arrays]
        found = [[_numbers(arrays.get(f"{n}/history/{part}")) for part in ("step", "training")] for n in of]
        return [(step, loss) for step, loss in found if step.size and step.shape == loss.shape == (step.size,)]

    scores, custom = load(store, store.scores())
    return Content(
        scores=scores,
        costs=store.costs(),
        targets=[_target(info) for info in manifest["targets"]],
        models=list(manifest["models"]),
        pictures=picture,
        curves=curves,
        metrics={**METRICS, **{name: _called(name, about) for name, about in custom.items()}},
        provenance=_provenance(store, manifest),
    )


def _picture(arrays: Mapping[str, Tensor], dimension: int) -> Picture | None:
    """What figures show of a cell; None where it keeps nothing, or nothing that a target of this dimension gives."""
    samples, window = _numbers(arrays.get("0/samples")), _numbers(arrays.get("0/window"))
    if samples.ndim != 2 or samples.shape[1] != dimension or window.shape != (2, dimension):
        return None
    if not (np.isfinite(window).all() and (window[0] < window[1]).all()):
        return None
    density = _numbers(arrays.get("0/density"))
    known = density.size > 1 and density.ndim == dimension <= 2 and len(set(density.shape)) == 1
    return Picture(samples, window[0], window[1], density if known else None)


def _numbers(values: Tensor | None) -> Array:
    """As NumPy has them; nothing where there are none, or none that are real."""
    real = values is not None and not values.is_complex()
    return values.double().numpy() if values is not None and real else np.empty(0)


def _called(name: str, about: Metric) -> MetricInfo:
    return MetricInfo(f"{name}: {about.description.removesuffix('.')}", about.unit, about.better)


def _target(info: dict[str, Any]) -> TargetInfo:
    image = info.get("image")
    return TargetInfo(info["name"], info.get("summary", ""), info["dimension"], tuple(image) if image else None)


def _provenance(store: Store, manifest: dict[str, Any]) -> dict[str, str]:
    """What made the run, in words: nothing that differs between two runs of the same suite on the same machine."""
    costs = store.costs()
    spent = costs[costs["metric"].isin(["fit_cpu_seconds", "score_cpu_seconds"])]
    machine = ", ".join(f"{name} {value}" for name, value in manifest["machine"].items())
    time = _minutes(spent["value"])
    if "machine" in costs.columns:  # of several, whose times do not add up
        stamps = costs["machine"].unique()
        machine = "; ".join(stamps)
        time = "; ".join(f"{_minutes(spent.loc[spent['machine'] == stamp, 'value'])} on {stamp}" for stamp in stamps)
    return {
        "command": manifest["command"],
        "suite": f"{manifest['suite']}: {manifest['description']['description']}",
        "replicates": str(manifest["replicates"]),
        "training points": f"{manifest['description']['train']:,}",
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(manifest["versions"].items())),
        "machine": machine,
        "device": manifest["device"] + ("" if manifest["device"] == "cpu" else GPU),
        "how the models' defaults were chosen": TUNING,
        "CPU time of fits and scores": time,
    }


def _minutes(seconds: pd.Series) -> str:
    return f"{np.round(seconds.sum() / 60, 1)} minutes"
