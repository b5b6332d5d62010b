"""What computed a cell: a digest of the source that its code reaches, and the versions of the libraries it uses.

A cell's key holds both, so that a change in a model's file, in a helper that it imports, or in a library recomputes
the cells that depend on it and no others. What is found by import statements counts, wherever in a file they are.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

PACKAGES = ("models", "metrics", "benchmarks")
LIBRARIES = ("torch", "numpy", "scipy", "POT", "nflows", "scikit-learn")
MODULES = {"torch", "numpy", "scipy", "ot", "nflows", "sklearn"}  # what LIBRARIES are imported as
RACY = 2_000_000_000  # nanoseconds in which a file may change again under the same time stamp


T = TypeVar("T")
Stamps = dict[Path, tuple[int, int, int]]
_known: dict[Any, tuple[Stamps, Any]] = {}  # by function and files


@dataclass(frozen=True)
class Import:
    """One import statement: `from ..a.b import c` has the level 2, the module ("a", "b") and the names ("c",)."""

    level: int
    module: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A file's SHA-256 and its import statements."""

    digest: str
    imports: tuple[Import, ...]


def source_digest(files: Iterable[Path]) -> str:
    """SHA-256 of these files and of every project or plug-in file that they import, directly or not.

    The same wherever the files lie: each counts by its content and by its place in its package.
    """
    return _while_unchanged(_digest, tuple(files))


def reached(files: Iterable[Path]) -> set[Path]:
    """These files and all of the project's, and of a plug-in's neighbours, that they import, directly or not."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += imported(file)
    return found


@cache
def versions() -> dict[str, str]:
    """The versions that every score may depend on: Python and the numerical libraries."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in LIBRARIES}


def libraries(files: Iterable[Path]) -> dict[str, str]:
    """The versions of the other installed libraries that these files import, directly or through the project's."""
    return _while_unchanged(_libraries, tuple(files))


def _digest(found: set[Path]) -> str:
    digests = sorted((file.relative_to(root(file)).as_posix(), read(file).digest) for file in found)
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def _libraries(found: set[Path]) -> dict[str, str]:
    used: set[str] = set()
    for file in found:
        beside = {path.relative_to(root(path)).parts[0].removesuffix(".py") for path in imported(file)}
        used |= {each.module[0] for each in read(file).imports if each.level == 0} - beside
    used -= {*PACKAGES, *MODULES, *sys.stdlib_module_names}
    names = {name for module in used for name in _distributions().get(module, ())} if used else set()
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def root(file: Path) -> Path:
    """The folder that a file is imported from: its own, or, of a package, that which the package lies in."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def is_relative(file: Path) -> bool:
    """Whether a file can only be imported as part of its package."""
    return any(each.level for each in read(file).imports)


def read(file: Path) -> Source:
    """A file as it is now. It is not read again while its size and times stay, unless they are so recent as to lie."""
    stamp = _stamp(file)
    if time.time_ns() - stamp[0] < RACY:
        return _read(file)
    return _remembered(file, stamp)


def is_project(file: Path) -> bool:
    """Whether a file is Pushforward's own."""
    return file in _project_files()


def imported(file: Path) -> set[Path]:
    """The project's files that this file imports, anywhere in it; a plug-in's neighbours count as the project's."""
    return {path for each in read(file).imports for path in _resolved(file, each)}


def _while_unchanged(function: Callable[[set[Path]], T], files: tuple[Path, ...]) -> T:
    """A function of all that these files reach; the same again while none has changed. Plug-ins: always anew."""
    known = _known.get((function, files))
    if known is not None and all(_stamp(file) == stamp for file, stamp in known[0].items()):
        return known[1]
    found = reached(files)
    stamps = {file: _stamp(file) for file in found}
    value = function(found)
    if all(is_project(file) and time.time_ns() - stamp[0] >= RACY for file, stamp in stamps.items()):
        _known[function, files] = (stamps, value)
    return value


def _stamp(file: Path) -> tuple[int, int, int]:
    status = os.stat(file)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


@cache
def _remembered(file: Path, _stamp: tuple[int, int, int]) -> Source:
    return _read(file)


def _read(file: Path) -> Source:
    content = file.read_bytes()
    found = _statements(ast.parse(content)) if file.suffix == ".py" else ()
    return Source(hashlib.sha256(content).hexdigest(), tuple(found))


def _statements(tree: ast.Module) -> Iterable[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(0, tuple(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            yield Import(node.level, module, tuple(alias.name for alias in node.names))


def _resolved(file: Path, statement: Import) -> set[Path]:
    """The files that one import statement executes, as far as they are the project's or lie beside the file."""
    if statement.level:
        top, base = root(file), file.parents[statement.level - 1]
        if top not in base.parents:
            return set()
        package = base.relative_to(top).parts
        found = [_beside(top, (*package, *statement.module, name)) for name in ("", *statement.names)]
        return set().union(*found)
    if statement.module[0] in PACKAGES:
        module = ".".join(statement.module)
        # A module of a package, or else an object that the module named before it defines.
        paths = [_project_file(f"{module}.{name}") or _project_file(module) for name in statement.names]
        return {path for path in (paths or [_project_file(module)]) if path is not None}
    if is_project(file):
        return set()
    top = root(file)
    places = {top, file.parent}
    if top.resolve() in _library_folders():  # an installed plug-in: what lies beside its package is not its own
        places = {top} if statement.module[0] == file.relative_to(top).parts[0].removesuffix(".py") else set()
    names = [(*statement.module, name) for name in ("", *statement.names)]
    return set().union(*(_beside(place, name) for place in places for name in names))


def _beside(folder: Path, names: Sequence[str]) -> set[Path]:
    """The files that importing a.b.c executes where this folder holds a: the packages on the way, and the module."""
    found = set()
    for name in filter(None, names):
        if (folder / name / "__init__.py").is_file():
            found.add(folder / name / "__init__.py")
        elif (folder / f"{name}.py").is_file():
            return found | {folder / f"{name}.py"}
        elif not (folder / name).is_dir():
            return found
        folder /= name
    return found


@cache
def _project_file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # an object in a module, not a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


@cache
def _project_files() -> frozenset[Path]:
    folders = [path.parent for name in PACKAGES if (path := _project_file(name)) is not None]
    return frozenset(file for folder in folders for file in folder.rglob("*.py"))


@cache
def _library_folders() -> frozenset[Path]:
    return frozenset(
        Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    return importlib.metadata.packages_distributions()
