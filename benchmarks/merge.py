"""One run out of several of the same suite: their targets, models and cells united, each cell byte for byte."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cell import CellResult
from benchmarks.errors import UserError
from benchmarks.files import check_folder, write_bytes
from benchmarks.store import Store

#: Where runs differ in these, their cells are not cells of one run.
EQUAL = ("suite", "replicates", "train", "sizes", "budget", "device")

Pair = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """A run that is merged: where it is, its run.json, and its (target, model) that have a file."""

    store: Store
    manifest: Mapping[str, Any]
    pairs: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.store.folder)


def merge(runs: Sequence[Path], out: Path, prefer: Sequence[Path] = (), *, command: str = "") -> str:
    """Write the union of these runs to a new or empty directory; what was done, in a sentence.

    A cell that several runs hold is the first one's if their scores are identical; if not, that of the run that is
    preferred. Raises UserError, and writes nothing, where a directory is no run with cells, the runs are not of the
    same suite and description, a cell is damaged or in dispute, or `out` holds something.
    """
    _check_out(out)
    parts = _parts(runs)
    _check_alike(parts)
    order = _order(parts, prefer)
    sources = _sources(parts, order)
    manifest = _manifest(parts, sources, command)
    _write(manifest, sources, out)
    twice = sum(len(part.pairs) for part in parts) - len(sources)
    again = f"; {twice} were in more than one" if twice else ""
    return f"{len(sources)} cells of {len(parts)} runs{again}; `pushforward report {out}` makes its tables and figures"


def _check_out(out: Path) -> None:
    check_folder(out)
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; choose another --out")
    check_folder(out.absolute().parent)


def _parts(runs: Sequence[Path]) -> list[Part]:
    """The runs, read. Raises UserError where there are fewer than two, or one is named twice or holds no cells."""
    if len(runs) < 2:
        raise UserError("there is nothing to merge: name at least two runs")
    places = [run.resolve() for run in runs]
    for run, place in zip(runs, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"{run} is named twice")
    return [_part(run) for run in runs]


def _part(run: Path) -> Part:
    store = Store(run)
    manifest = store.described(whole=False)
    try:
        targets, models = [str(target["name"]) for target in manifest["targets"]], list(map(str, manifest["models"]))
        for key in EQUAL:
            _described(manifest, key)
    except (KeyError, TypeError) as error:
        raise UserError(f"{run}/run.json is not a run's: it lacks {error}") from error
    pairs = tuple((t, m) for t in targets for m in models if store.path(t, m).is_file())
    if not pairs:
        raise UserError(f"{run} keeps no cells, only tables: merge the run that they were made from")
    return Part(store, manifest, pairs)


def _described(manifest: Mapping[str, Any], key: str) -> Any:
    """What a run.json says of one of EQUAL. Raises KeyError."""
    return manifest[key] if key in ("suite", "replicates", "device") else manifest["description"][key]


def _check_alike(parts: Sequence[Part]) -> None:
    """Raise UserError, with all that differs, unless these are runs of one suite at one size on the same targets."""
    first = parts[0]
    for part in parts[1:]:
        differ = []
        for key in EQUAL:
            mine, theirs = _described(first.manifest, key), _described(part.manifest, key)
            if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
                names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
                differ += [f"{key}.{name} is {mine.get(name)!r} and {theirs.get(name)!r}" for name in names]
            elif mine != theirs:
                differ.append(f"{key} is {mine!r} and {theirs!r}")
        if differ:
            raise UserError(f"{first.name} and {part.name} cannot be one run: {'; '.join(differ)}")
    known: dict[str, tuple[object, str]] = {}
    for part in parts:
        for target in part.manifest["targets"]:
            before, where = known.setdefault(target["name"], (target, part.name))
            if before != target:
                raise UserError(f"target {target['name']} is not the same in {where} and in {part.name}")


def _order(parts: Sequence[Part], prefer: Sequence[Path]) -> list[Part]:
    """The preferred runs alone, the most preferred first. Raises UserError for one that is not merged."""
    by_place = {part.store.folder.resolve(): part for part in parts}
    for path in prefer:
        if path.resolve() not in by_place:
            raise UserError(f"--prefer {path} is none of the runs; they are {', '.join(part.name for part in parts)}")
    return [by_place[path.resolve()] for path in prefer]


def _sources(parts: Sequence[Part], preferred: Sequence[Part]) -> dict[Pair, Part]:
    """Which run gives each cell, in the order of the merged run. Raises UserError for one that is damaged or disputed.

    Every file is read in full, whichever is taken: a damaged one is said, not passed over.
    """
    kept: dict[Pair, tuple[Part, str]] = {}
    disputed: dict[Pair, list[Part]] = {}
    for part in parts:
        for pair in part.pairs:
            scores = json.dumps(_whole(part, pair).scores)  # words and the shortest text of each number: to the bit
            before = kept.setdefault(pair, (part, scores))
            if before[1] != scores:
                disputed.setdefault(pair, [before[0]]).append(part)
    sources = {pair: part for pair, (part, _) in kept.items()}
    settled = {pair: next((part for part in preferred if pair in part.pairs), None) for pair in disputed}
    open_ = [pair for pair, part in settled.items() if part is None]
    if open_:
        target, model = open_[0]
        others = f" (and those of {len(open_) - 1} more cells)" if len(open_) > 1 else ""
        names = " and ".join(part.name for part in disputed[open_[0]])
        raise UserError(
            f"the scores of {target} × {model}{others} differ between {names}; "
            f"--prefer {disputed[open_[0]][0].name} takes its cells, `pushforward compare` shows what differs"
        )
    sources |= {pair: part for pair, part in settled.items() if part is not None}
    return {
        (target, model): sources[target, model]
        for target in _united(parts, "targets")
        for model in _united(parts, "models")
        if (target, model) in sources
    }


def _whole(part: Part, pair: Pair) -> CellResult:
    """A cell, its checksum verified. Raises UserError for one that is damaged, or has other replicates than its run."""
    path = part.store.path(*pair)
    result = part.store.read(*pair)
    again = f"run `{part.manifest.get('command', 'pushforward run')}` again, or remove the file"
    if result is None:
        raise UserError(f"{path} is damaged: {again}")
    if {row["replicate"] for row in result.scores} != set(range(part.manifest["replicates"])):
        raise UserError(f"{path} has other replicates than its run.json says: {again}")
    return result


def _united(parts: Sequence[Part], kind: str) -> list[str]:
    """The targets or the models of all runs: in the order of the suite, and those that it lacks after them."""
    listed = [str(name) for part in parts for name in part.manifest["description"].get(kind, [])]
    names = [each["name"] if kind == "targets" else each for part in parts for each in part.manifest[kind]]
    here = dict.fromkeys(map(str, names))
    return list(dict.fromkeys([*(name for name in listed if name in here), *here]))


def _manifest(parts: Sequence[Part], sources: Mapping[Pair, Part], command: str) -> dict[str, Any]:
    """The run.json of the merged run: that of its parts where they agree, and what each part was."""
    first = parts[0].manifest
    targets = {target["name"]: target for part in parts for target in part.manifest["targets"]}
    names = {kind: _united(parts, kind) for kind in ("targets", "models")}
    return {
        **{key: first[key] for key in ("suite", "replicates", "device")},
        "description": {**first["description"], **names},
        "targets": [targets[name] for name in names["targets"]],
        "models": names["models"],
        # of a model that several have, the first one's: whose cells are taken first too
        "model_sources": {
            name: source for part in reversed(parts) for name, source in part.manifest.get("model_sources", {}).items()
        },
        "command": command,
        **{key: _agreed([part.manifest.get(key) or {} for part in parts]) for key in ("versions", "machine")},
        "parts": [_provenance(part, [pair for pair, source in sources.items() if source is part]) for part in parts],
    }


def _provenance(part: Part, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Where a part came from and which cells it gave; of a merged one, its own parts too."""
    kept = ("command", "versions", "machine", "parts")
    return {
        "run": part.name,
        "cells": [f"{target} × {model}" for target, model in pairs],
        **{key: part.manifest[key] for key in kept if key in part.manifest},
    }


def _agreed(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Key by key what all say, or everything that is said: "2.13 or 2.14"."""
    keys = dict.fromkeys(key for each in found for key in each)
    return {key: " or ".join(dict.fromkeys(str(each[key]) for each in found if key in each)) for key in keys}


def _write(manifest: Mapping[str, Any], sources: Mapping[Pair, Part], out: Path) -> None:
    """Build the run beside its place, then put it there: a merge that is killed leaves nothing that looks like a run.

    What it leaves is a folder of the name .NAME.PID.merging. Raises UserError for a cell that changed while it was
    copied.
    """
    place = out.absolute()
    beside = Store(place.with_name(f".{place.name}.{os.getpid()}.merging"))
    shutil.rmtree(beside.folder, ignore_errors=True)  # of a merge that was killed and had the same number
    beside.create()
    try:
        results = []
        for pair, part in sources.items():
            write_bytes(beside.path(*pair), part.store.path(*pair).read_bytes())
            result = beside.read(*pair)
            if result is None:
                raise UserError(f"{part.store.path(*pair)} changed while it was copied; merge when its run is done")
            # the tables need no arrays, and all of them at once may not fit in memory
            results.append(CellResult(result.status, result.reason, result.scores, result.costs, {}, result.machine))
        beside.write_tables(results)
        beside.write_manifest(manifest)
        if place.is_dir():
            place.rmdir()  # it is empty, or this fails and nothing is lost
        os.rename(beside.folder, place)
    finally:
        shutil.rmtree(beside.folder, ignore_errors=True)
