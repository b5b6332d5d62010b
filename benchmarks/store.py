"""What is kept of a run: one directory, one file per finished cell, written whole or not at all.

A cell's file is a safetensors file: its arrays as tensors, everything else as JSON in the header. No pickle is ever
loaded. A file is believed only if its key is the cell's and its checksum is right; anything else is computed again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import filelock
import pandas as pd
import safetensors
import safetensors.torch
from torch import Tensor

from benchmarks.cell import Cell, CellResult
from benchmarks.errors import UserError
from benchmarks.files import write_bytes, written
from benchmarks.stamps import in_words

MANIFEST = "run.json"
BATCH = 500  # cells whose rows are in memory at once while tables are written
SCORE_COLUMNS = ["target", "model", "replicate", "metric", "value", "error", "status", "reason"]
COST_COLUMNS = ["target", "model", "replicate", "metric", "value"]


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
        """Raise UserError unless this directory is new, empty, or holds a run of this suite, and can be written to."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file; --out needs a directory")
        found = self.manifest() if self.folder.is_dir() else None
        if found is not None and found.get("suite") != suite:
            raise UserError(
                f"{self.folder} holds a run of the suite {found.get('suite')!r}, not of {suite!r}; choose another --out"
            )
        if found is None and self.folder.is_dir() and any(path.name != ".lock" for path in self.folder.iterdir()):
            raise UserError(f"{self.folder} is not empty and holds no run; choose another --out")
        nearest = next(path for path in [self.folder, *self.folder.absolute().parents] if path.exists())
        if not os.access(nearest, os.W_OK):
            raise UserError(f"{nearest} cannot be written to; choose another --out")

    def create(self) -> None:
        """Make the directory. Raises UserError where that is not possible."""
        try:
            (self.folder / "cells").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder} cannot be created: {error.strerror}; choose another --out") from error

    def clear(self) -> None:
        """Forget every cell: `--fresh`."""
        shutil.rmtree(self.folder / "cells", ignore_errors=True)

    def manifest(self) -> dict[str, Any] | None:
        """What the run says of itself, or None where there is no readable manifest."""
        try:
            content = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Keep what the run says of itself: suite, command, versions, machine."""
        write_bytes(self.folder / MANIFEST, json.dumps(content, indent=2, sort_keys=True).encode())

    def path(self, target: str, model: str) -> Path:
        """The file of a cell."""
        return self.folder / "cells" / target / f"{model}.safetensors"

    def save(self, cell: Cell, result: CellResult) -> None:
        """Keep a finished cell: write, fsync, rename."""
        # cloned, because safetensors refuses tensors that share their memory
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in sorted(result.arrays.items())}
        header = {
            "key": cell.key(),
            "status": result.status,
            "reason": result.reason,
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
        try:
            with safetensors.safe_open(self.path(target, model), framework="pt") as file:
                header = file.metadata() or {}
            return f"{header['key']} {header['status']}"
        except (OSError, safetensors.SafetensorError, KeyError):
            return None

    def _read(self, path: Path) -> tuple[str, CellResult] | None:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = header.pop("checksum", None)
            if checksum != _checksum(header, tensors):
                return None
            result = _result(header, tensors)
        except (OSError, safetensors.SafetensorError, KeyError, ValueError):
            return None
        return header["key"], result

    def stamp(self, target: str, model: str) -> str:
        """The machine that a cell says it was computed on, in words; nothing where there is no readable cell."""
        try:
            with safetensors.safe_open(self.path(target, model), framework="pt") as file:
                return in_words(json.loads((file.metadata() or {})["machine"]))
        except (OSError, safetensors.SafetensorError, KeyError, ValueError):
            return ""

    def rows(self, target: str, model: str) -> CellResult | None:
        """A cell without its arrays, which are not read and so not verified; None where there is no readable one."""
        try:
            with safetensors.safe_open(self.path(target, model), framework="pt") as file:
                return _result(file.metadata() or {}, {})
        except (OSError, safetensors.SafetensorError, KeyError, ValueError):
            return None

    def write_tables(self, results: Iterable[CellResult | None]) -> None:
        """scores.csv and costs.csv, from which everything else is made. Times are apart: scores are reproducible.

        Costs name their machine where there are several: times are never compared across them. Results are taken one
        after the other, so that a run of any size fits into memory; None is none.
        """
        machines: set[str] = set()
        with (
            written(self.folder / "scores.csv") as scores,
            written(self.folder / "costs.csv") as costs,
            TemporaryFile(dir=self.folder) as plain,
            TemporaryFile(dir=self.folder) as named,
        ):
            _append(scores, [], SCORE_COLUMNS, header=True)
            _append(plain, [], COST_COLUMNS, header=True)
            _append(named, [], [*COST_COLUMNS, "machine"], header=True)
            for some in _batches(result for result in results if result is not None):
                rows = [row | {"machine": in_words(result.machine)} for result in some for row in result.costs]
                machines |= {str(row["machine"]) for row in rows}
                _append(scores, [row for result in some for row in result.scores], SCORE_COLUMNS)
                _append(plain, rows, COST_COLUMNS)
                _append(named, rows, [*COST_COLUMNS, "machine"])
            chosen = named if len(machines) > 1 else plain
            chosen.seek(0)
            shutil.copyfileobj(chosen, costs)

    def renew_tables(self) -> None:
        """scores.csv and costs.csv from the cells that are there: after a run that was killed before it wrote them."""
        manifest = self.manifest()
        if manifest is None or not (self.folder / "cells").is_dir():
            return
        cells = ((target["name"], model) for target in manifest["targets"] for model in manifest["models"])
        self.write_tables(self.read(target, model) for target, model in cells)

    def scores(self, *, exact: bool = False) -> pd.DataFrame:
        """scores.csv; exact: to the last bit of every number, which takes longer. Raises UserError without one."""
        return self.table("scores.csv", dict.fromkeys(("value", "error"), _exact) if exact else None)

    def costs(self) -> pd.DataFrame:
        """costs.csv. Raises UserError where there is none."""
        return self.table("costs.csv")

    def table(self, name: str, converters: dict[Hashable, Any] | None = None) -> pd.DataFrame:
        """A CSV file with scores or costs. Raises UserError where it cannot be read."""
        path = self.folder / name
        try:
            # "n/a" is a status word here, not a missing value
            empty = {"value": [""], "error": [""]}
            return pd.read_csv(path, keep_default_na=False, na_values=empty, converters=converters)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}; `pushforward run` makes it") from error


def _result(header: Mapping[str, str], tensors: dict[str, Tensor]) -> CellResult:
    return CellResult(
        status=header["status"],  # type: ignore[arg-type]
        reason=header["reason"],
        scores=json.loads(header["scores"]),
        costs=json.loads(header["costs"]),
        arrays=tensors,
        machine=json.loads(header["machine"]),
    )


def _batches(results: Iterator[CellResult]) -> Iterator[list[CellResult]]:
    """The same ones, some at a time: a table of pandas for each of them alone would take far longer."""
    while some := list(itertools.islice(results, BATCH)):
        yield some


def _append(file: IO[bytes], rows: Sequence[Mapping[str, Any]], columns: list[str], *, header: bool = False) -> None:
    """Lines of a CSV file. Numbers are floats in every batch, so that a batch's lines do not depend on the others'."""
    numbers = {name: float for name in ("value", "error") if name in columns}
    table = pd.DataFrame(rows, columns=columns).astype(numbers)
    file.write(table.to_csv(index=False, header=header, lineterminator="\n").encode())


def _exact(text: str) -> float:
    """The number that this text is, to the last bit; pandas' own reader is faster and may be off by one."""
    return float(text) if text else math.nan


def _checksum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
