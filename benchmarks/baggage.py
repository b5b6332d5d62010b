"""What travels with a cell to another machine: the files of plug-ins and data that are nowhere but on this one.

A plug-in file travels with all that it imports from beside it, in one bundle. A worker keeps a bundle in a folder of
its own, under the digest of its content, so what was changed since is another folder. A cell's name and its key do not
depend on where its files lie.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import source
from benchmarks.cell import Cell
from benchmarks.loading import files_of
from benchmarks.lookup import Plugin

Bundle = dict[str, bytes]
MARK = "baggage:"  # begins the source of a plug-in that travels: baggage:DIGEST/file.py:Object

_folder: list[Path] = []  # where this process, a worker, keeps its bundles


class Baggage:
    """The bundles of these cells, by digest."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.bundles: dict[str, Bundle] = {}
        self._sources: dict[str, str] = {}
        for plugin in {plugin.source: plugin for cell in cells for plugin in (cell.model, cell.target)}.values():
            if travels(plugin.source):
                self._sources[plugin.source] = self._pack(plugin)

    def labelled(self, cell: Cell) -> Cell:
        """The cell as a worker gets it: its plug-ins are said to be in a bundle."""
        return replace(cell, model=self._labelled(cell.model), target=self._labelled(cell.target))

    def _labelled(self, plugin: Plugin) -> Plugin:
        return replace(plugin, source=self._sources.get(plugin.source, plugin.source))

    def _pack(self, plugin: Plugin) -> str:
        file = plugin.file()
        top = source.root(file) if file.suffix == ".py" else file.parent
        files = files_of(file) if file.suffix == ".py" else {file}
        bundle = {path.relative_to(top).as_posix(): path.read_bytes() for path in sorted(files)}
        contents = [(name, hashlib.sha256(content).hexdigest()) for name, content in bundle.items()]
        digest = hashlib.sha256(repr(contents).encode()).hexdigest()
        self.bundles[digest] = bundle
        return plugin.source.replace(str(file), f"{MARK}{digest}/{file.relative_to(top).as_posix()}", 1)


def receive(bundles: dict[str, Bundle], dask_worker: Any) -> None:
    """On a worker: put the bundles where its cells look for them, in the folder that Dask clears when it ends."""
    folder = Path(dask_worker.local_directory) / "pushforward"
    _folder[:] = [folder]
    for digest, bundle in bundles.items():
        if (folder / digest).is_dir():
            continue
        beside = folder / f"{digest}.{os.getpid()}"
        for name, content in bundle.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_bytes(content)
        beside.rename(folder / digest)


def unpacked(cell: Cell) -> Cell:
    """On a worker: the cell with its plug-ins where they lie here. Nothing changes for one that did not travel."""
    return replace(cell, model=_found(cell.model), target=_found(cell.target))


def _found(plugin: Plugin) -> Plugin:
    if not plugin.source.startswith(MARK):
        return plugin
    return replace(plugin, source=str(_folder[0] / plugin.source.removeprefix(MARK)))


def travels(where: str) -> bool:
    """Whether a plug-in's source is a file of its own, and not a module of an installed package."""
    path, _, attribute = where.rpartition(":")
    return path.endswith(".py") or not attribute.isidentifier()
