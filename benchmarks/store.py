"""What is kept of a run: one directory, one file per finished cell, written whole or not at all.

A cell's file is a safetensors file: its arrays as tensors, everything else as JSON in the header. No pickle is ever
loaded. A file is believed only if its key is the cell's and its checksum is right; anything else is computed again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import filelock
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from benchmarks import csv_tables, names
from benchmarks import manifest as manifests
from benchmarks.cell import Cell, CellResult
from benchmarks.csv_tables import COST_COLUMNS, SCORE_COLUMNS
from benchmarks.errors import UserError
from benchmarks.files import check_folder, encoded, is_abandoned, is_beside, is_file, write_bytes
from benchmarks.stamps import in_words
from metrics.score import Status

MANIFEST = "run.json"
CHECKSUM = "checksum"
WRITTEN = (".lock", "cells", "scores.csv", "costs.csv", "metrics", "tables", "figures", "index.html", "README.md")

#: What a file that is garbled, or made to do harm, makes the parsers of safetensors and JSON raise.
DAMAGED = (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError)


class Store:
    """The directory of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one run works in a directory at a time. Raises UserError if another one does."""
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UserError(
                f"{self.folder}: another run is working in this directory; wait for it, or use --out"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check(self, suite: str) -> None:
        """Raise UserError unless this directory is new, empty, or holds a run of this suite, and can be written to.

        One with cells and without a readable run.json is what a run left that was killed early, or damaged since.
        """
        check_folder(self.folder)
        found = self.manifest() if self.folder.is_dir() else None
        if found is not None and "suite" not in found:
            found = None  # not a run's
        if found is not None and found["suite"] != suite:
            raise UserError(
                f"{self.folder} holds a run of the suite {found['suite']!r}, not of {suite!r}; choose another --out"
            )
        if found is None and self.folder.is_dir() and not self._is_ours():
            raise UserError(f"{self.folder} is not empty and holds no run; choose another --out")

    def _is_ours(self) -> bool:
        names = {path.name for path in self.folder.iterdir() if not is_beside(path)}
        return names <= ({*WRITTEN, MANIFEST} if "cells" in names else {".lock", MANIFEST})

    def create(self) -> None:
        """Make the directory. Raises UserError where that is not possible."""
        try:
            (self.folder / "cells").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder} cannot be created: {error.strerror}; choose another --out") from error

    def clear(self) -> None:
        """Forget every cell: `--fresh`."""
        shutil.rmtree(self.folder / "cells", ignore_errors=True)

    def tidy(self) -> None:
        """Remove what writers that were killed left beside their files."""
        for path in self.folder.rglob("*.tmp"):
            if is_abandoned(path):
                path.unlink(missing_ok=True)

    def manifest(self) -> dict[str, Any] | None:
        """What the run says of itself, or None where there is no manifest, or one that is damaged."""
        path = self.folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if is_file(path) else None
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(content, dict):
            return None
        checksum = content.pop(CHECKSUM, None)  # older versions wrote none
        return content if checksum in (None, digest_of(content)) else None

    def described(self, *, whole: bool = True) -> dict[str, Any]:
        """What the run says of itself, checked. Raises UserError where there is no run, or run.json is not a run's."""
        content = self.manifest()
        if content is None:
            raise UserError(f"{self.folder} holds no run; `pushforward run` makes one")
        manifests.check(content, self.folder / MANIFEST, whole=whole)
        return content

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Keep what the run says of itself: suite, command, versions, machine."""
        whole = {**content, CHECKSUM: digest_of(content)}
        write_bytes(self.folder / MANIFEST, json.dumps(whole, indent=2, sort_keys=True).encode())

    def path(self, target: str, model: str) -> Path:
        """The file of a cell. Raises UserError for a name that would lead elsewhere."""
        return self.folder / "cells" / names.checked("target", target) / f"{names.checked('model', model)}.safetensors"

    def save(self, cell: Cell, result: CellResult) -> None:
        """Keep a finished cell: write, fsync, rename."""
        # cloned, because safetensors refuses tensors that share their memory
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in sorted(result.arrays.items())}
        header = {
            "key": cell.key(),
            "status": result.status,
            "reason": encoded(result.reason).decode(),
            "scores": json.dumps(result.scores),
            "costs": json.dumps(result.costs),
            "machine": json.dumps(result.machine),
        }
        header["checksum"] = _checksum(header, tensors)
        write_bytes(self.path(cell.target.name, cell.model.name), safetensors.torch.save(tensors, header))

    def load(self, cell: Cell) -> CellResult | None:
        """A cell's result, or None where there is none, it was made from something else, or it is damaged."""
        found = self._read(self.path(cell.target.name, cell.model.name))
        if found is None or found[0] != cell.key():
            return None
        return found[1]

    def read(self, target: str, model: str) -> CellResult | None:
        """A cell's result whatever it was made from, for the report; None where there is none."""
        found = self._read(self.path(target, model))
        return None if found is None else found[1]

    def identity(self, target: str, model: str) -> str | None:
        """What a cell was made from and whether it came out; None where there is none. Its numbers are not read."""
        path = self.path(target, model)
        try:
            header = _header(path)
            return f"{header['key']} {header['status']}"
        except DAMAGED:
            return None

    def _read(self, path: Path) -> tuple[str, CellResult] | None:
        """The key and the result of a cell's file; None for one whose checksum or whose content is not a cell's."""
        cell = (path.parent.name, path.name.removesuffix(".safetensors"))
        try:
            header = _header(path)
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = header.pop("checksum", None)
            if checksum != _checksum(header, tensors):
                return None
            return header["key"], _result(header, tensors, cell)
        except DAMAGED:
            return None

    def stamp(self, target: str, model: str) -> str:
        """The machine that a cell says it was computed on, in words; nothing where there is no readable cell."""
        path = self.path(target, model)
        try:
            return in_words(_stamp(_header(path)["machine"]))
        except DAMAGED:
            return ""

    def rows(self, target: str, model: str) -> CellResult | None:
        """A cell without its arrays, which are not read and so not verified; None where there is no readable one."""
        try:
            return _result(_header(self.path(target, model)), {}, (target, model))
        except DAMAGED:
            return None

    def write_tables(self, results: Iterable[CellResult | None]) -> None:
        """scores.csv and costs.csv, from which everything else is made; None is no result."""
        csv_tables.write(self.folder, results)

    def renew_tables(self) -> None:
        """scores.csv and costs.csv from the cells that are there: after a run that was killed before it wrote them.

        Raises UserError where there is no run.
        """
        manifest = self.described()
        if not (self.folder / "cells").is_dir():
            return
        cells = ((target["name"], model) for target in manifest["targets"] for model in manifest["models"])
        self.write_tables(self.read(target, model) for target, model in cells)

    def scores(self, *, exact: bool = False) -> pd.DataFrame:
        """scores.csv; exact: to the last bit of every number, which takes longer. Raises UserError without one."""
        return self.table("scores.csv", SCORE_COLUMNS, exact=exact)

    def costs(self) -> pd.DataFrame:
        """costs.csv. Raises UserError where there is none."""
        return self.table("costs.csv", COST_COLUMNS)

    def table(self, name: str, columns: Sequence[str], *, exact: bool = False) -> pd.DataFrame:
        """A CSV file with scores or costs, as `csv_tables.read` gives it. Raises UserError where there is none."""
        path = self.folder / name
        if not is_file(path):
            raise UserError(f"{self.folder} holds no {name}; `pushforward run` makes it")
        return csv_tables.read(path, columns, exact=exact)


def _result(header: Mapping[str, str], tensors: dict[str, Tensor], cell: tuple[str, str]) -> CellResult:
    """What a cell's file says. Raises one of DAMAGED where its content is not that of a cell."""
    if header["status"] not in get_args(Status):
        raise ValueError("no status")
    return CellResult(
        status=header["status"],  # type: ignore[arg-type]
        reason=header["reason"],
        scores=csv_tables.parsed(header["scores"], SCORE_COLUMNS, cell),
        costs=csv_tables.parsed(header["costs"], COST_COLUMNS, cell),
        arrays=tensors,
        machine=_stamp(header["machine"]),
    )


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a JSON file says."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _header(path: Path) -> dict[str, str]:
    if not is_file(path):
        raise FileNotFoundError(path)
    with safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _stamp(text: str) -> dict[str, str]:
    stamp = json.loads(text)
    if not isinstance(stamp, dict) or not all(isinstance(value, str) for value in stamp.values()):
        raise TypeError("a machine's stamp is words")
    return stamp


def _checksum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())  # numpy does not know every type
    return digest.hexdigest()
