"""Data files: a table of finite numbers that vary, or one line that says where it is not."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import strategies as st
from pyarrow import parquet

from benchmarks import lookup
from benchmarks.targets.user_data import LARGEST, load_data
from tests.fuzz.campaign import ATTACKS, fuzz, limited, mutations, refusal, texts, tree

VALUES = np.random.default_rng(0).normal(size=(60, 3)).round(4)
ROWS = [",".join(map(str, row)) for row in VALUES]
CSV = "\n".join(["a,b,c", *ROWS]).encode()


def as_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


NPY = as_npy(VALUES)
PARQUET = as_parquet(pa.table({name: VALUES[:, i] for i, name in enumerate("abc")}))
CELLS = tuple(
    token.encode("utf-8", "surrogatepass")
    for token in (
        *(",", ";", "\t", '"', "\n", "\r", "\r\n", "\n\n", ",,", "1e999", "-1e308", "1e400", "NaN", "nan", "NA", "inf"),
        *(
            "9" * 5000,
            "1_000",
            "0x10",
            "1,5",
            "True",
            "1+2j",
            "1970-01-01",
            "\x1c",
            "\x0b",
            "\ufeff",
            "'",
            "=1+1",
            *ATTACKS,
        ),
    )
)
HEADERS = tuple(
    token.encode()
    for token in (
        "|O",
        "<f2",
        ">f8",
        "<U9",
        "|V8",
        "<c16",
        "|b1",
        "(10000000000,)",
        "(-1,)",
        "()",
        "(0,9)",
        "True",
        "[" * 200,
        "x",
    )
)


def check(path: Path, content: bytes) -> None:
    """Loaded or refused; and what is loaded is what it should be."""
    path.write_bytes(content)
    before = tree(path.parent)
    found: list[lookup.Plugin] = []
    line = refusal(lambda: found.append(lookup.data(str(path))))
    assert tree(path.parent) == before
    if line:
        return
    target = found[0].load()()
    rows = torch.cat([target.train, target.test])
    assert rows.dtype == torch.float64
    assert len(rows) >= 50
    assert (rows.abs() <= LARGEST).all()
    assert (target.train.std(0) > 0).all()


@fuzz("data files", 100, content=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".npy", ".parquet"]))
def test_bytes(tmp_path: Path, content: bytes, suffix: str) -> None:
    check(tmp_path / f"data{suffix}", content)


@fuzz("data files", 450, content=mutations(CSV, CELLS))
def test_a_csv_with_something_changed(tmp_path: Path, content: bytes) -> None:
    check(tmp_path / "data.csv", content)


@fuzz(
    "data files",
    150,
    rows=st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=4),
    at=st.integers(0, 60),
)
def test_a_csv_with_rows_of_text(tmp_path: Path, rows: list[list[str]], at: int) -> None:
    lines = [*ROWS[:at], *(",".join(row) for row in rows), *ROWS[at:]]
    check(tmp_path / "data.csv", "\n".join(lines).encode("utf-8", "surrogatepass"))


@fuzz("data files", 400, content=mutations(NPY, HEADERS))
def test_an_npy_with_something_changed(tmp_path: Path, content: bytes) -> None:
    check(tmp_path / "data.npy", content)


@fuzz("data files", 150, header=mutations(NPY[10:128], HEADERS))
def test_an_npy_whose_header_lies(tmp_path: Path, header: bytes) -> None:
    """The length of the header is right, so that the header itself is read."""
    check(tmp_path / "data.npy", NPY[:8] + struct.pack("<H", len(header)) + header + NPY[128:])


@fuzz("data files", 300, content=mutations(PARQUET))
def test_a_parquet_with_something_changed(tmp_path: Path, content: bytes) -> None:
    check(tmp_path / "data.parquet", content)


def arrow(values: st.SearchStrategy, kind: pa.DataType | None = None) -> st.SearchStrategy:
    return st.lists(values | st.none(), min_size=60, max_size=60).map(
        lambda cells: pa.array(cells, kind, from_pandas=False)
    )


COLUMNS = st.one_of(
    arrow(st.floats()),
    arrow(st.integers(-(2**63), 2**63 - 1), pa.int64()),
    arrow(st.integers(0, 2**64 - 1), pa.uint64()),
    arrow(st.booleans()),
    arrow(st.text(max_size=3)),
    arrow(st.binary(max_size=3)),
    arrow(st.integers(0, 10**9), pa.timestamp("ns", tz="UTC")),
    arrow(st.integers(0, 10**4), pa.duration("s")),
    arrow(st.integers(0, 10**4), pa.date32()),
    arrow(st.sampled_from([Decimal("1.5"), Decimal("-3")]), pa.decimal128(5, 2)),
    arrow(st.lists(st.integers(0, 3), max_size=2), pa.list_(pa.int64())),
    arrow(st.fixed_dictionaries({"x": st.integers(0, 3)})),
    arrow(st.sampled_from("ab")).map(lambda column: column.dictionary_encode()),
    st.just(pa.nulls(60)),
    st.just(pa.array(VALUES[:, 0])),
)


@fuzz("data files", 75, columns=st.lists(COLUMNS, max_size=3), names=st.lists(texts, min_size=3, max_size=3))
def test_a_parquet_of_every_type(tmp_path: Path, columns: list[pa.Array], names: list[str]) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    check(tmp_path / "data.parquet", as_parquet(pa.Table.from_arrays(columns, names=names[: len(columns)])))


@fuzz("data files", 150, name=texts)
def test_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    """It is not found, or its name is one that the files of a run can have."""
    encoded = name.encode("utf-8", "replace")
    if b"/" in encoded or b"\0" in encoded or len(encoded) > 250:
        assert refusal(lambda: lookup.data(f"{tmp_path}/{name}.csv"))
        return
    path = tmp_path / f"{encoded.decode()}.csv"
    path.write_bytes(CSV)
    found: list[lookup.Plugin] = []
    if not refusal(lambda: found.append(lookup.data(str(path)))):
        stored = tmp_path / "cells" / found[0].name / "model.safetensors"
        assert os.path.normpath(stored) == str(stored)
        assert found[0].name[0] not in "=+-@."
        assert found[0].name.isprintable()
    path.unlink()


class Bomb:
    """Unpickling it makes a file."""

    def __reduce__(self) -> tuple:
        return (open, ("unpickled", "w"))


def odd_npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def pickled_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb()] * 60, dtype=object), allow_pickle=True)
    return file.getvalue()


BAD = {
    "formula.csv": b"\n".join([b"a,b", *(b"=cmd|' /C calc'!A0,%d" % i for i in range(60))]),
    "plus.csv": b"\n".join([b"a,b", *(b"+1+1,%d" % i for i in range(60))]),
    "at.csv": b"\n".join([b"a,b", *(b"@SUM(A1),%d" % i for i in range(60))]),
    "utf16.csv": CSV.decode().encode("utf-16"),
    "latin.csv": "größe,b,c\n".encode("latin-1") + CSV,
    "nul.csv": CSV.replace(b"a,b", b"a\0,b"),
    "quote.csv": b'"' + CSV,
    "late quote.csv": CSV + b'\n"1,2,3\n4,5,6',
    "huge.csv": CSV + b"\n1e400,1,1",
    "nan.csv": CSV + b"\nnan,1,1",
    "digits.csv": CSV + b"\n" + b"9" * 5000 + b",1,1",
    "wide.csv": b"\n".join([b",".join(b"%d" % (i * j) for i in range(100_000)) for j in range(3)]),
    "wider below.csv": b"a\n" + b",".join([b"1"] * 100_000),
    "gzip.csv": gzip.compress(CSV),
    "pickle.npy": pickled_npy(),
    "bare pickle.npy": pickle.dumps(Bomb()),
    "bare pickle.parquet": pickle.dumps(Bomb()),
    "lie.npy": odd_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000,), }", b"x" * 64),
    "larger lie.npy": odd_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 8), }"),
    "negative lie.npy": odd_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-60, -1), }", b"x" * 480),
    "empty lie.npy": odd_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 100000000000), }"),
    "code.npy": odd_npy("{'descr': __import__('os').system('touch unpickled'), 'fortran_order': 0, 'shape': ()}"),
    "cut.npy": NPY[:-100],
    "cut.parquet": PARQUET[: len(PARQUET) // 2],
    "footer only.parquet": PARQUET[-200:],
    "wide.parquet": as_parquet(pa.table({f"c{i}": [0.0] for i in range(3_000)})),
    "..csv": CSV,
    "...csv": CSV,
    "=1+1.csv": CSV,
    "-x.csv": CSV,
    "new\nline.csv": CSV,
    "\x1b[31m.csv": CSV,
    "right\u202eleft.csv": CSV,
    "a" * 240 + ".csv": CSV,
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_known_to_break_readers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing is unpickled, nothing runs out of memory, and nothing takes long."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(BAD[name])
    before = tree(tmp_path)
    with limited(10):
        assert refusal(lambda: lookup.data(str(tmp_path / name)))
    assert tree(tmp_path) == before


def test_a_file_that_says_it_holds_a_billion_rows_is_not_unpacked(tmp_path: Path) -> None:
    """A constant column takes no room in a Parquet file, and all of it in memory."""
    column = pa.array(np.zeros(1000))
    with parquet.ParquetWriter(
        tmp_path / "bomb.parquet", pa.schema({f"c{i}": pa.float64() for i in range(200)})
    ) as writer:
        writer.write_table(pa.table({f"c{i}": column for i in range(200)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.targets.user_data.MOST_NUMBERS", 100_000)
        assert "1,000 rows and 200 columns" in refusal(lambda: load_data(tmp_path / "bomb.parquet"))


@pytest.mark.parametrize(
    "path",
    ["/dev/zero", "x\0.csv", "a" * 10_000 + ".csv", "~nobody-at-all/x.csv", "", ".", "..", "/", "/proc/self/mem"],
)
def test_a_path_that_is_no_data(path: str) -> None:
    with limited(5):
        assert refusal(lambda: lookup.data(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("zero", "pipe"):
        with limited(5):
            assert "no file" in refusal(lambda name=name: load_data(tmp_path / f"{name}.csv"))  # type: ignore[misc]


def test_a_table_called_like_a_number_keeps_its_name(tmp_path: Path) -> None:
    """Read back from scores.csv, 007 is a name and no 7."""
    pd.DataFrame(VALUES).to_csv(tmp_path / "007.csv", index=False)
    assert lookup.data(str(tmp_path / "007.csv")).name == "007"
