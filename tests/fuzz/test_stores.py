"""The tables and the descriptions that a run keeps, damaged or made to do harm: they are read or refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from benchmarks import compare, merge, scoring
from benchmarks.content import content_of
from benchmarks.store import Store
from tests.fuzz import runs
from tests.fuzz.campaign import ATTACKS, fuzz, json_values, mutations, refusal, tree
from tests.fuzz.runs import read_all

SCORES = "\n".join(
    ["target,model,replicate,metric,value,error,status,reason"]
    + [f"rings,{model},{r},kl,0.{r}5,0.1,ok," for model in runs.MODELS for r in range(2)]
)
ABOUT = {
    "name": "spread",
    "description": "How far.",
    "unit": "",
    "better": "lower",
    "cells": {"rings": {"oracle": "x"}},
}
TOKENS = tuple(
    token.encode("utf-8", "surrogatepass")
    for token in (
        *(",", '"', "\n", "{}", "[]", "null", "NaN", "1e999", "9" * 5000, "[" * 2000, "\\ud800", ":"),
        *ATTACKS,
    )
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def put(value: Any, path: tuple, new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if new is None:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return changed


USES: dict[str, Callable[[Path, Path], object]] = {
    "report": lambda run, _: read_all(run),
    "compare": lambda run, other: compare.compare(run, other),
    "score": lambda run, _: scoring.plan(run, ["energy_distance"]),
    "run": lambda run, _: Store(run).check("tiny"),
    "merge": lambda run, other: merge._check_alike(merge._parts([run, other])),
}
uses = st.sampled_from(sorted(USES))


def check_run(world: Path, name: str, content: bytes, use: str) -> None:
    """A run with another file in it: what reads it gives an answer or a line, and writes nothing."""
    run = world / "run"
    path = run / name
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    state = tree(world)
    try:
        refusal(lambda: USES[use](run, world / "other"))
        assert tree(world) == state
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


@fuzz("run.json", 125, use=uses, place=st.sampled_from(places(runs.MANIFEST)), value=st.none() | json_values)
def test_a_run_json_with_something_else_in_a_place(world: Path, place: tuple, value: Any, use: str) -> None:
    if place or value is not None:
        text = json.dumps(put(runs.MANIFEST, place, value)) if _short(value) else "1" * 5000
        check_run(world, "run.json", text.encode(), use)


def _short(value: Any) -> bool:
    try:
        json.dumps(value)
    except ValueError:  # an integer of more digits than Python writes
        return False
    return True


@fuzz("run.json", 75, use=uses, content=mutations(json.dumps(runs.MANIFEST).encode(), TOKENS) | st.binary(max_size=100))
def test_a_run_json_with_something_changed(world: Path, content: bytes, use: str) -> None:
    check_run(world, "run.json", content, use)


@fuzz(
    "scores.csv",
    125,
    use=uses,
    content=mutations(SCORES.encode(), TOKENS) | st.binary(max_size=100),
    name=st.sampled_from(["scores", "costs"]),
)
def test_scores_with_something_changed(world: Path, content: bytes, name: str, use: str) -> None:
    check_run(world, f"{name}.csv", content, use)


@fuzz("kept metrics", 75, use=uses, place=st.sampled_from(places(ABOUT)), value=st.none() | json_values)
def test_a_metric_that_says_anything(world: Path, place: tuple, value: Any, use: str) -> None:
    (world / "run" / "metrics").mkdir(exist_ok=True)
    (world / "run" / "metrics" / "spread.csv").write_text(SCORES.replace("kl", "spread"))
    if (place or value is not None) and _short(value):
        check_run(world, "metrics/spread.json", json.dumps(put(ABOUT, place, value)).encode(), use)
    (world / "run" / "metrics" / "spread.csv").unlink()


LEAVING = [
    "../../etc/x",
    "..",
    "../outside",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "",
    ".",
    "x\0",
    "a" * 10_000,
    "\n",
    "\u202ex",
    "=1",
]


@pytest.mark.parametrize("name", LEAVING)
@pytest.mark.parametrize("place", [("targets", 0, "name"), ("models", 0)])
def test_a_name_that_leads_out_of_the_run_is_refused(world: Path, place: tuple, name: str) -> None:
    """By report, compare, score and merge."""
    run = world / "run"
    before = (run / "run.json").read_bytes()
    (run / "run.json").write_text(json.dumps(put(runs.MANIFEST, place, name)))
    state = tree(world)
    for use in (
        lambda: read_all(run),
        lambda: Store(run).renew_tables(),
        lambda: compare.compare(run, world / "other"),
        lambda: scoring.plan(run, ["energy_distance"]),
        lambda: merge.merge([run, world / "other"], world / "merged"),
    ):
        assert "name of a file" in refusal(use)
    assert tree(world) == state
    (run / "run.json").write_bytes(before)
    for reading in (Store(run).read, Store(run).identity, Store(run).stamp):
        assert refusal(lambda reading=reading: reading(name, "gaussian"))  # type: ignore[misc]
        assert refusal(lambda reading=reading: reading("rings", name))  # type: ignore[misc]


@pytest.mark.parametrize("name", ["../kl", "../../kl", "kl", "x/y", "", "=x"])
def test_a_metric_that_calls_itself_something_else_is_refused(world: Path, name: str) -> None:
    """Its name would be that of a table's file."""
    folder = world / "run" / "metrics"
    folder.mkdir(exist_ok=True)
    (folder / "spread.json").write_text(json.dumps(ABOUT | {"name": name}))
    (folder / "spread.csv").write_text(SCORES)
    assert refusal(lambda: content_of(Store(world / "run")))
    (folder / "spread.json").unlink()
    (folder / "spread.csv").unlink()


def test_code_in_a_run_is_not_executed(world: Path) -> None:
    """A run.json that names a file of the run itself as the source of its target."""
    run = world / "run"
    before = (run / "run.json").read_bytes()
    (run / "evil.py").write_text(f"open({str(world / 'executed')!r}, 'w')")
    for place in (("targets", 0, "source"), ("model_sources", "gaussian", "source")):
        (run / "run.json").write_text(json.dumps(put(runs.MANIFEST, place, f"{run / 'evil.py'}:Evil")))
        assert "nothing is executed" in refusal(lambda: scoring.plan(run, ["energy_distance"]))
        read_all(run)
    assert not (world / "executed").exists()
    (run / "run.json").write_bytes(before)
    (run / "evil.py").unlink()


def test_a_table_of_names_like_numbers_is_read_as_names(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(SCORES.replace("rings", "007"))
    assert set(Store(tmp_path).scores()["target"]) == {"007"}
