"""What a run was made of, found again by what it kept: its targets, and its fitted models without training them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchmarks import lookup
from benchmarks.draws import training_set
from benchmarks.errors import UserError
from benchmarks.lookup import ORACLE, Kind, Plugin
from benchmarks.oracle import oracle
from benchmarks.seeds import generator
from benchmarks.targets.base import Target
from benchmarks.targets.user_data import DataFileError
from models.base import Model


def kept_source(plugin: Plugin) -> dict[str, str]:
    """What run.json keeps of a target or a model, so that it can be found again: its source, and of data the digest."""
    file = plugin.file()
    return {"source": plugin.source} | ({} if file.suffix == ".py" else {"sha256": lookup.digest(file)})


def find_target(about: Mapping[str, Any]) -> tuple[Plugin, Target]:
    """A target of a run, from what run.json says of it.

    Raises UserError if it cannot be found any more, or is another one by now: of another dimension, or other data.
    """
    plugin = find("target", about["name"], about.get("source", ""))
    target = plugin.load()()
    if target.dimension != about["dimension"]:
        raise UserError(
            f"target {plugin.name} has {target.dimension} dimensions by now, and had {about['dimension']} in this run"
        )
    if "sha256" in about and lookup.digest(plugin.file()) != about["sha256"]:
        raise UserError(f"target {plugin.name}: {plugin.source} has changed since this run")
    return plugin, target


def find(kind: Kind, name: str, source: str) -> Plugin:
    """The plug-in of this name that a run was made with; source: where it was, "" where a run does not say.

    Raises UserError if it cannot be found any more.
    """
    path, _, attribute = source.rpartition(":")
    try:
        if source and not attribute.isidentifier():
            return lookup.data(source)
        _, bracket, arguments = name.partition("[")
        return lookup.find(kind, f"{source}{bracket}{arguments}" if path.endswith(".py") else name)
    except (UserError, DataFileError) as error:
        raise UserError(f"{kind} {name} of this run cannot be found any more: {error}") from error


def fitted(
    model: Plugin, plugin: Plugin, target: Target, replicate: int, arrays: Mapping[str, Tensor], train: int
) -> Model:
    """The model that one replicate of a cell was left with, in float64 on the CPU.

    plugin: the target's. arrays: those of the cell. train: training points. The oracle has no weights and is made
    anew. Raises whatever a model raises that cannot become what its weights say.
    """
    if model.name == ORACLE:
        entrant = oracle(target)
        noise = generator("model", model=ORACLE, target=plugin.name, replicate=replicate)
        entrant.fit(training_set(target, plugin.name, replicate, train), noise)
        return entrant
    start = f"{replicate}/weights/"
    restored: Model = model.load()()
    restored.restore(
        {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}, target.dimension
    )
    return restored
