"""What is kept of a run: one directory, one file per finished cell, written whole or not at all.

A cell's file is a safetensors file: its arrays as tensors, everything else as JSON in the header. No pickle is ever
loaded. A file is believed only if its key is the cell's and its checksum is right; anything else is computed again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from benchmarks.cell import Cell, CellResult
from benchmarks.errors import UserError
from benchmarks.files import is_abandoned, is_beside, write_bytes
from benchmarks.stamps import in_words

MANIFEST = "run.json"
CHECKSUM = "checksum"
WRITTEN = (".lock", "cells", "scores.csv", "costs.csv", "metrics", "tables", "figures", "index.html", "README.md")
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
        """Raise UserError unless this directory is new, empty, or holds a run of this suite, and can be written to.

        One with cells and without a readable run.json is what a run left that was killed early, or damaged since.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file; --out needs a directory")
        found = self.manifest() if self.folder.is_dir() else None
        if found is not None and "suite" not in found:
            found = None  # not a run's
        if found is not None and found["suite"] != suite:
            raise UserError(
                f"{self.folder} holds a run of the suite {found['suite']!r}, not of {suite!r}; choose another --out"
            )
        if found is None and self.folder.is_dir() and not self._is_ours():
            raise UserError(f"{self.folder} is not empty and holds no run; choose another --out")
        nearest = next(path for path in [self.folder, *self.folder.absolute().parents] if path.exists())
        if not os.access(nearest, os.W_OK):
            raise UserError(f"{nearest} cannot be written to; choose another --out")

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
        try:
            content = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(content, dict):
            return None
        checksum = content.pop(CHECKSUM, None)  # older versions wrote none
        return content if checksum in (None, digest_of(content)) else None

    def description(self) -> dict[str, Any]:
        """The manifest, with all in it that a report needs. Raises UserError where there is none, or an older one."""
        manifest = self.manifest()
        if manifest is None:
            raise UserError(f"{self.folder} holds no run; `pushforward run` makes one")
        try:
            for key in ("suite", "replicates", "models", "command", "versions", "machine", "device"):
                manifest[key]
            for key in ("description", "train", "sizes", "budget"):
                manifest["description"][key]
            for target in manifest["targets"]:
                for key in ("name", "summary", "dimension"):
                    target[key]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self.folder / MANIFEST} is of another version: it lacks {error}; `pushforward run` writes it anew"
            ) from error
        return manifest

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Keep what the run says of itself: suite, command, versions, machine."""
        whole = {**content, CHECKSUM: digest_of(content)}
        write_bytes(self.folder / MANIFEST, json.dumps(whole, indent=2, sort_keys=True).encode())

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
            key = header["key"]
            result = CellResult(
                status=header["status"],  # type: ignore[arg-type]
                reason=header["reason"],
                scores=json.loads(header["scores"]),
                costs=json.loads(header["costs"]),
                arrays=tensors,
                machine=json.loads(header["machine"]),
            )
        except (OSError, safetensors.SafetensorError, KeyError, ValueError):
            return None
        return key, result

    def stamp(self, target: str, model: str) -> str:
        """The machine that a cell says it was computed on, in words; nothing where there is no readable cell."""
        try:
            with safetensors.safe_open(self.path(target, model), framework="pt") as file:
                return in_words(json.loads((file.metadata() or {})["machine"]))
        except (OSError, safetensors.SafetensorError, KeyError, ValueError):
            return ""

    def write_tables(self, results: list[CellResult]) -> None:
        """scores.csv and costs.csv, from which everything else is made. Times are apart: scores are reproducible.

        Costs name their machine where there are several: times are never compared across them.
        """
        scores = pd.DataFrame([row for result in results for row in result.scores], columns=SCORE_COLUMNS)
        rows = [row | {"machine": in_words(result.machine)} for result in results for row in result.costs]
        several = len({row["machine"] for row in rows}) > 1
        costs = pd.DataFrame(rows, columns=[*COST_COLUMNS, *(["machine"] if several else [])])
        write_bytes(self.folder / "scores.csv", scores.to_csv(index=False, lineterminator="\n").encode())
        write_bytes(self.folder / "costs.csv", costs.to_csv(index=False, lineterminator="\n").encode())

    def renew_tables(self) -> None:
        """scores.csv and costs.csv from the cells that are there: after a run that was killed before it wrote them."""
        if self.manifest() is None or not (self.folder / "cells").is_dir():
            return
        manifest = self.description()
        cells = [(target["name"], model) for target in manifest["targets"] for model in manifest["models"]]
        found = [self.read(target, model) for target, model in cells]
        self.write_tables([result for result in found if result is not None])

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
            table = pd.read_csv(path, keep_default_na=False, na_values=empty, converters=converters)
            for column in empty.keys() & set(table.columns):
                table[column] = pd.to_numeric(table[column])
            if lacking := [column for column in COST_COLUMNS if column not in table]:
                raise ValueError(f"it lacks {', '.join(lacking)}")
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path} cannot be read: {reason}; `pushforward run` makes it") from error
        return table


def _exact(text: str) -> float:
    """The number that this text is, to the last bit; pandas' own reader is faster and may be off by one."""
    return float(text) if text else math.nan


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a JSON file says."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checksum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())  # numpy does not know every type
    return digest.hexdigest()
