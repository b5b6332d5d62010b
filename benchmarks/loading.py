"""A plug-in's file, executed afresh together with the modules beside it that it imports.

Exactly those modules are found beside it that its cells' keys know of (source.py), wherever the process was started,
and as they are now: a helper that was changed since an earlier run in the same process is not the old one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from benchmarks import source
from benchmarks.errors import UserError


def module_from_file(path: Path) -> ModuleType:
    """Execute a Python file; one with relative imports as the part of its package that it is. Raises UserError."""
    relative = source.is_relative(path)
    parts = path.relative_to(source.root(path)).with_suffix("").parts if relative else (path.stem,)
    with _beside(path):
        if len(parts) > 1:
            importlib.import_module(".".join(parts[:-1]))
        spec = importlib.util.spec_from_file_location(".".join(parts), path)
        if spec is None or spec.loader is None:
            raise UserError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def files_of(path: Path) -> set[Path]:
    """A plug-in's file and all files beside it that it needs."""
    return {path} | {file for file in source.reached([path]) if not source.is_project(file)}


class _Finder(MetaPathFinder):
    """Finds the modules beside plug-ins that were loaded, those of the last one first: also for later imports."""

    def __init__(self) -> None:
        self.known: dict[Path, set[Path]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:  # a module of a package, which knows its own folder
            return None
        for plugin, files in reversed(self.known.items()):
            spec = PathFinder.find_spec(fullname, [str(plugin.parent), str(source.root(plugin))])
            if spec is None:
                continue
            if spec.origin is None:
                folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
                if any(folder in file.parents for folder in folders for file in files):
                    return spec
            elif Path(spec.origin) in files:
                return spec
        return None


_FINDER = _Finder()


@contextmanager
def _beside(plugin: Path) -> Iterator[None]:
    """Inside, what the plug-in imports from beside it is executed anew; modules of these names from elsewhere stay."""
    files = files_of(plugin) if source.is_relative(plugin) else files_of(plugin) - {plugin}
    _FINDER.known.pop(plugin, None)
    _FINDER.known[plugin] = files
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    places = {plugin.parent, source.root(plugin)}
    inside = [file.relative_to(place) for file in files for place in places if place in file.parents]
    tops = {path.parts[0].removesuffix(".py") for path in inside} - {*source.PACKAGES}
    displaced = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}
    keep = {name: module for name, module in displaced.items() if _origin(module) not in files}
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # and so none is read, which may be out of date
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.modules.update(keep)


def _origin(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file)
