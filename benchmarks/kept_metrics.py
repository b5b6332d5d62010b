"""The custom metrics of a run, metrics/NAME.csv and NAME.json in its directory: written whole, read by the report.

What a table says of a metric is kept beside its numbers, so a report does not need the metric's own file. A number
counts only for the cell that it was made from: one that has been computed anew since has to be scored again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, StrictStr, TypeAdapter, ValidationError

from benchmarks import names, spreadsheet
from benchmarks.csv_tables import SCORE_COLUMNS
from benchmarks.errors import UserError
from benchmarks.files import encoded, write_bytes
from benchmarks.store import CHECKSUM, Store, digest_of
from metrics.catalogue import METRICS, Metric

FOLDER = "metrics"
NOT_SCORED = "not scored"
Cells = Mapping[str, Mapping[str, str]]


def save(store: Store, name: str, about: Metric, origin: Mapping[str, Any], cells: Cells, rows: pd.DataFrame) -> None:
    """Keep a metric: its rows as in scores.csv, what it is, where it comes from, and of which cells it is.

    cells: by target and model, `Store.identity` of what was scored.
    """
    content = {
        "name": name,
        "description": about.description,
        "unit": about.unit,
        "better": about.better,
        **origin,
        "cells": cells,
    }
    table = encoded(spreadsheet.to_csv(rows))
    whole = {**content, CHECKSUM: _checksum(content, table)}
    write_bytes(_path(store, name, "csv"), table)
    write_bytes(_path(store, name, "json"), json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False).encode())


def load(store: Store, scores: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Metric]]:
    """The scores with those of the run's custom metrics after them, and what each of these is.

    A cell that the metric has not seen as it is now has the word "not scored".
    Raises UserError for a file that cannot be read.
    """
    kept = read(store)
    frames = [scores, *(_current(store, scores, about.name, rows, about.cells) for about, rows in kept)]
    abouts = {about.name: Metric(about.description, about.unit, about.better) for about, _ in kept}
    return (pd.concat(frames, ignore_index=True) if abouts else scores), abouts


class About(BaseModel):
    """What NAME.json says of a metric, as far as a report reads it."""

    name: StrictStr
    description: StrictStr
    unit: StrictStr
    better: Literal["lower", "higher", "neither"]
    cells: dict[StrictStr, dict[StrictStr, StrictStr]]


def read(store: Store) -> list[tuple[About, pd.DataFrame]]:
    """Every metric that a run keeps, with its rows. Raises UserError for a file that cannot be read, or is not its."""
    found = []
    for path in sorted((store.folder / FOLDER).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            checksum = content.pop(CHECKSUM, None) if isinstance(content, dict) else None  # older versions wrote none
            about = TypeAdapter(About).validate_python(content)
            if checksum not in (None, _checksum(content, path.with_suffix(".csv").read_bytes())):
                raise ValueError(f"it or {path.stem}.csv is damaged")
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path} cannot be read: {where}: {first['msg']}; `pushforward score` makes it") from error
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read: {error}; `pushforward score` makes it") from error
        if about.name != path.stem or about.name in METRICS or names.problem(about.name):
            raise UserError(f"{path} is of a metric {about.name!r}, which cannot be in a file of this name")
        found.append((about, store.table(f"{FOLDER}/{about.name}.csv", SCORE_COLUMNS)))
    return found


def _current(store: Store, scores: pd.DataFrame, name: str, rows: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """The rows of the run's cells, in the run's order; a cell that is not the one that was scored has none."""
    run = scores[["target", "model", "replicate"]].drop_duplicates()
    stale = [
        (target, model)
        for target, model in run[["target", "model"]].drop_duplicates().itertuples(index=False)
        # A published run has no cells to compare with.
        if (now := store.identity(target, model)) is not None and now != cells.get(target, {}).get(model)
    ]
    rows = rows[[pair not in stale for pair in zip(rows["target"], rows["model"], strict=True)]]
    merged = run.merge(rows, how="left", on=["target", "model", "replicate"]).assign(metric=name)
    unseen = merged["status"].isna()
    merged.loc[unseen, ["status", "reason"]] = [NOT_SCORED, "the cell is not the one that `pushforward score` saw"]
    return merged[SCORE_COLUMNS]


def _checksum(content: Mapping[str, Any], table: bytes) -> str:
    return digest_of({**content, "table": hashlib.sha256(table).hexdigest()})


def _path(store: Store, name: str, suffix: str) -> Path:
    return store.folder / FOLDER / f"{names.checked('metric', name)}.{suffix}"
