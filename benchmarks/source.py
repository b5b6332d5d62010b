"""What computed a cell: a digest of the project's own source that its code reaches, and the versions of the libraries.

A cell's key holds both, so that a change in a model's file, or in a helper that it imports, recomputes that model's
cells and no others.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("models", "metrics", "benchmarks")
LIBRARIES = ("torch", "numpy", "scipy", "POT", "nflows", "scikit-learn")


def source_digest(files: Iterable[Path]) -> str:
    """SHA-256 of these files and of every project file that they import, directly or not."""
    reached: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting += _imports(file)
    digests = sorted((file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in reached)
    return hashlib.sha256(repr(digests).encode()).hexdigest()


@cache
def versions() -> dict[str, str]:
    """The versions that a score may depend on: Python and the numerical libraries."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    """The project's files that this file imports, anywhere in it; a plug-in's neighbours count as the project's."""
    if file.suffix != ".py":
        return ()
    found: set[Path | None] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= {_project_file(alias.name), _neighbour(file, alias.name)}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(_neighbour(file, node.module))
            for alias in node.names:
                # A module of a package, or else an object that the module named before it defines.
                found.add(_project_file(f"{node.module}.{alias.name}") or _project_file(node.module))
    return tuple(sorted(path for path in found if path is not None))


def _project_file(name: str) -> Path | None:
    if name.split(".")[0] not in PACKAGES:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # an object in a module, not a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _neighbour(file: Path, name: str) -> Path | None:
    path = file.with_name(f"{name.split('.')[0]}.py")
    return path if path.is_file() else None
