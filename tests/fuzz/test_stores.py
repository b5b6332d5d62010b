"""What a run keeps, when it is damaged or made to do harm: it is read, passed over or refused, and nothing else."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from benchmarks import compare, merge, scoring
from benchmarks.content import content_of
from benchmarks.store import Store
from tests.fuzz import runs
from tests.fuzz.campaign import ATTACKS, fuzz, json_values, limited, mutations, numbers, refusal, texts, tree

HEAD = runs.header("rings", "gaussian")
CELL = runs.cell(HEAD, runs.arrays(2))
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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a whole run, a second one, and a file that nobody may touch."""
    folder = tmp_path_factory.mktemp("world")
    runs.make(folder / "run")
    runs.make(folder / "other")
    (folder / "outside.safetensors").write_bytes(CELL)
    (folder / "kl.csv").write_text("precious")
    return folder


def read_all(run: Path) -> None:
    """All that a report reads of a run."""
    content = content_of(Store(run))
    for target in content.targets:
        for model in content.models:
            content.pictures(target.name, model)
            content.curves(target.name, model)


def check_cell(run: Path, content: bytes) -> None:
    store = Store(run)
    path = store.path("rings", "gaussian")
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        result = store.read("rings", "gaussian")
        store.identity("rings", "gaussian")
        store.stamp("rings", "gaussian")
        if result is not None:
            assert all((row["target"], row["model"]) == ("rings", "gaussian") for row in result.scores)
            refusal(lambda: read_all(run))
    finally:
        path.write_bytes(before)


@fuzz("stored cells", 800, content=st.one_of(mutations(CELL), st.binary(max_size=200)))
def test_a_damaged_cell_is_not_believed(world: Path, content: bytes) -> None:
    check_cell(world / "run", content)
    if content != CELL:
        (world / "run" / "cells" / "x").mkdir(exist_ok=True)
        path = world / "run" / "cells" / "x" / "y.safetensors"
        path.write_bytes(content)
        assert Store(world / "run").read("x", "y") is None


ROWS = st.one_of(
    json_values,
    st.lists(
        st.fixed_dictionaries(
            {"target": st.just("rings"), "model": st.just("gaussian")},
            optional={
                "replicate": st.integers(0, 3) | json_values,
                "metric": st.sampled_from(["kl", "w2_squared"]) | texts,
                "value": numbers | json_values,
                "error": st.none() | json_values,
                "status": st.sampled_from(["ok", "failed"]) | texts,
                "reason": texts,
                "extra": texts,
            },
        ),
        max_size=3,
    ),
)


@fuzz(
    "stored cells",
    500,
    head=st.fixed_dictionaries(
        {},
        optional={
            "status": texts,
            "reason": texts,
            "scores": ROWS,
            "costs": ROWS,
            "machine": json_values,
            "key": texts,
        },
    ),
    raw=st.booleans(),
)
def test_a_cell_that_says_anything(world: Path, head: dict[str, Any], raw: bool) -> None:
    """The checksum is right: whoever makes a cell can also make that."""
    said = {
        name: value
        if isinstance(value, str) and (raw or name not in ("scores", "costs", "machine"))
        else json.dumps(value)
        for name, value in head.items()
        if not isinstance(value, int) or abs(value) < 10**4000
    }
    said = {name: value.encode("utf-8", "replace").decode() for name, value in said.items()}
    check_cell(world / "run", runs.cell(HEAD | said, runs.arrays(2)))


SHAPES = st.lists(st.integers(0, 4), max_size=3)
KINDS = st.sampled_from(
    (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
        *(torch.int64, torch.uint8, torch.bool, torch.complex64),
    )
)


@fuzz(
    "stored cells",
    300,
    found=st.dictionaries(
        st.sampled_from(["0/samples", "0/window", "0/density", "0/history/step", "0/history/training", "9/x", ""])
        | texts,
        st.tuples(SHAPES, KINDS, st.sampled_from([0.0, 1.0, float("nan"), float("inf")])),
        max_size=5,
    ),
)
def test_a_cell_that_keeps_anything(world: Path, found: dict[str, tuple[list[int], torch.dtype, float]]) -> None:
    """Arrays of any name, shape and type: what is no picture is not drawn."""
    made = {
        name.encode("utf-8", "replace").decode(): torch.full(shape, value).nan_to_num(2.0).to(kind)
        if not kind.is_floating_point
        else torch.full(shape, value).to(kind)
        for name, (shape, kind, value) in found.items()
        if name != "__metadata__"
    }
    try:
        content = runs.cell(HEAD, made)
    except (TypeError, RuntimeError):  # of a type that no cell can have
        return
    check_cell(world / "run", content)


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


@fuzz("run.json", 250, use=uses, place=st.sampled_from(places(runs.MANIFEST)), value=st.none() | json_values)
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


@fuzz(
    "run.json", 150, use=uses, content=mutations(json.dumps(runs.MANIFEST).encode(), TOKENS) | st.binary(max_size=100)
)
def test_a_run_json_with_something_changed(world: Path, content: bytes, use: str) -> None:
    check_run(world, "run.json", content, use)


@fuzz(
    "scores.csv",
    250,
    use=uses,
    content=mutations(SCORES.encode(), TOKENS) | st.binary(max_size=100),
    name=st.sampled_from(["scores", "costs"]),
)
def test_scores_with_something_changed(world: Path, content: bytes, name: str, use: str) -> None:
    check_run(world, f"{name}.csv", content, use)


@fuzz("kept metrics", 150, use=uses, place=st.sampled_from(places(ABOUT)), value=st.none() | json_values)
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


def safetensors_file(length: int, text: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + text.encode() + data


TENSOR = '{"a":{"dtype":"F64","shape":%s,"data_offsets":[0,%s]}}'
LIES = {
    "a header of 2**60 bytes": safetensors_file(2**60, "{}"),
    "a header of 2**64 - 1 bytes": safetensors_file(2**64 - 1, "{}"),
    "a header longer than the file": safetensors_file(100, "{}"),
    "an empty header": safetensors_file(0, ""),
    "a shape of 2**60": safetensors_file(70, (TENSOR % (f"[{2**60}]", 8)).ljust(70), b"x" * 8),
    "a shape that overflows": safetensors_file(90, (TENSOR % (f"[{2**63},{2**63},0]", 0)).ljust(90)),
    "an offset beyond the end": safetensors_file(70, (TENSOR % ("[1]", 2**40)).ljust(70), b"x" * 8),
    "a deep header": safetensors_file(100_000, "[" * 100_000),
    "a pickle": b"\x80\x04cos\nsystem\n(S'touch unpickled'\ntR.",
    "a zip of PyTorch": b"PK\x03\x04archive/data.pkl",
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES.keys())
def test_a_cell_whose_header_lies_is_no_cell(world: Path, content: bytes) -> None:
    store = Store(world / "run")
    path = store.path("rings", "lie")
    path.write_bytes(content)
    with limited(5):
        assert store.read("rings", "lie") is None
        assert store.identity("rings", "lie") is None
        assert store.stamp("rings", "lie") == ""
    path.unlink()


def test_a_cell_that_is_no_file_is_no_cell(world: Path) -> None:
    """A folder; a link to a device without an end."""
    store = Store(world / "run")
    store.path("rings", "folder").mkdir()
    store.path("rings", "zero").symlink_to("/dev/zero")
    for name in ("folder", "zero"):
        with limited(5):
            assert store.read("rings", name) is None
    store.path("rings", "folder").rmdir()
    store.path("rings", "zero").unlink()


def test_a_table_of_names_like_numbers_is_read_as_names(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(SCORES.replace("rings", "007"))
    assert set(Store(tmp_path).scores()["target"]) == {"007"}
