"""What a study's cells left in the store, as numbers with intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import torch

from benchmarks import lookup
from benchmarks.report.statistics import Estimate, median, positive_median, seed
from benchmarks.store import Store
from benchmarks.targets.base import Target
from models.base import Model

Measure = Callable[[Model, Target], float]


class Evidence:
    """The scores of a study, and its fitted models."""

    def __init__(self, store: Store) -> None:
        """Of the cells that the store holds; those that are missing have no values."""
        self._store = store
        self._scores = store.scores()
        self._read = cache(store.read)
        self._measured: dict[tuple[str, str, str], pd.Series] = {}

    def values(self, metric: str, target: str, model: str) -> pd.Series:
        """The score of each replicate that has a number; the index is the replicate."""
        rows = self._rows(self._scores, metric, target, model)
        return rows[rows["status"] == "ok"].set_index("replicate")["value"]

    def estimate(self, metric: str, target: str, model: str) -> Estimate | None:
        """The median over replicates with its 95 % interval; None where no replicate has a number."""
        rows = self._rows(self._scores, metric, target, model)
        rows = rows[rows["status"] == "ok"]
        if rows.empty:
            return None
        generator = np.random.default_rng(seed("study", metric, target, model))
        return median(rows["value"].to_numpy(), rows["error"].to_numpy(dtype=float), generator)

    def kl(self, target: str, model: str) -> Estimate | None:
        """KL(p*‖p_θ) in nats: `estimate` of it."""
        return self.estimate("kl", target, model)

    def measured(self, name: str, measure: Measure, target: str, model: str) -> pd.Series:
        """A property of each fitted model that no score holds, by replicate. name: for the memory of it."""
        key = (name, target, model)
        if key not in self._measured:
            law: Target = lookup.find("target", target).load()()
            with torch.no_grad():
                found = {r: measure(fitted, law) for r, fitted in self._fitted(target, model, law.dimension).items()}
            self._measured[key] = pd.Series(found, dtype=float)
        return self._measured[key]

    def first(self, target: str, model: str) -> Model | None:
        """The fitted model of the first replicate, None where there is none."""
        law: Target = lookup.find("target", target).load()()
        return next(iter(self._fitted(target, model, law.dimension).values()), None)

    def _fitted(self, target: str, model: str, dimension: int) -> dict[int, Model]:
        """The models of each replicate, from the weights that were kept."""
        cell = self._read(target, model)
        if cell is None or cell.status != "ok":
            return {}
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in cell.arrays.items():
            replicate, _, rest = name.partition("/")
            if rest.startswith("weights/"):
                states.setdefault(int(replicate), {})[rest.removeprefix("weights/")] = value
        found: dict[int, Model] = {}
        for number, state in sorted(states.items()):
            found[number] = lookup.find("model", model).load()()
            found[number].restore(state, dimension)
        return found

    @staticmethod
    def _rows(table: pd.DataFrame, metric: str, target: str, model: str) -> pd.DataFrame:
        return table[(table["metric"] == metric) & (table["target"] == target) & (table["model"] == model)]


def of_replicates(values: pd.Series) -> Estimate | None:
    """The median over replicates, with an interval from their spread alone; None where there are none."""
    if values.empty:
        return None
    return median(values.to_numpy(dtype=float), np.full(len(values), np.nan), np.random.default_rng(_seed(values)))


def positive(values: pd.Series) -> Estimate | None:
    """`of_replicates` of what cannot be negative: its interval is made on the logarithm, where no value is 0."""
    if values.empty or bool((values <= 0).any()):
        return of_replicates(values)
    return positive_median(values.to_numpy(dtype=float), np.random.default_rng(_seed(values)))


def ratio(a: pd.Series, b: pd.Series) -> Estimate | None:
    """The median of a / b over the replicates that both have, both positive; None where they share none."""
    return positive((a / b).dropna())


def difference(a: pd.Series, b: pd.Series) -> Estimate | None:
    """The median of a − b over the replicates that both have; None where they share none."""
    return of_replicates((a - b).dropna())


def exactly(value: float) -> Estimate:
    """A number that has no error."""
    return Estimate(value, value, value)


def _seed(values: pd.Series) -> int:
    return seed("study", json.dumps([float(value) for value in values]))
