"""Cells as the store keeps them, damaged or made to do harm: they are believed as what they are, or passed over."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from benchmarks.store import Store
from tests.fuzz import runs
from tests.fuzz.campaign import fuzz, json_values, limited, mutations, numbers, refusal, texts
from tests.fuzz.runs import read_all

HEAD = runs.header("rings", "gaussian")
CELL = runs.cell(HEAD, runs.arrays(2))


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


@fuzz("stored cells", 400, content=st.one_of(mutations(CELL), st.binary(max_size=200)))
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
    250,
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
    150,
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
