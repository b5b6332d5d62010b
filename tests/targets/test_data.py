"""Targets that are data: the two that come along, and the user's own files, good and bad."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.targets.base import DataTarget
from benchmarks.targets.real import Digits, PhotoPatches
from benchmarks.targets.user_data import DataFileError, load_data


def table(rows: int = 100, columns: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns))


def write(path, frame) -> None:
    """Write an array or a frame in the format of the path's suffix, columns a, b, c …."""
    frame = pd.DataFrame(frame) if not isinstance(frame, pd.DataFrame) else frame
    frame.columns = [column if isinstance(column, str) else f"c{column}" for column in frame.columns]
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".npy":
        np.save(path, frame.to_numpy())
    else:
        frame.to_parquet(path)


def everything(target: DataTarget) -> torch.Tensor:
    return torch.cat([target.train, target.test])


def same_rows(x: torch.Tensor, y: np.ndarray) -> bool:
    """Equal as sets of rows."""
    return np.array_equal(x.numpy()[np.lexsort(x.numpy().T)], y[np.lexsort(y.T)])


def test_digits():
    digits = Digits()
    assert digits.train.shape == (1500, 64)
    assert digits.test.shape == (297, 64)
    x = everything(digits)
    assert 0 <= x.min() < 1e-3
    assert 1 - 1e-3 < x.max() < 1
    from sklearn.datasets import load_digits

    assert same_rows((17 * x).floor(), load_digits().data)
    noise = 17 * x - (17 * x).floor()
    assert abs(noise.mean() - 0.5) < 0.005
    assert abs(noise.var() - 1 / 12) < 0.002
    assert torch.equal(x, everything(Digits()))


def test_photo_patches():
    patches = PhotoPatches()
    assert patches.train.shape[1] == patches.test.shape[1] == 36
    assert len(patches.train) >= 25_000
    assert len(patches.test) >= 10_000
    x = everything(patches)
    assert x.min() >= 0
    assert x.max() < 1
    # Neighbouring pixels are alike, as in photographs, and nothing else arranges 36 numbers so.
    grey = patches.train.unflatten(1, (6, 6))
    pixels = torch.stack([grey[:, :, 0].flatten(), grey[:, :, 1].flatten(), grey[:, :, 5].flatten()])
    near, far = torch.corrcoef(pixels)[0, 1:]
    assert near > 0.9
    assert far < near


def test_photo_halves_share_no_pixels(monkeypatch):
    """On pictures whose grey level names the column, no column is seen by both halves."""
    from types import SimpleNamespace

    columns = np.broadcast_to((np.arange(640) // 4)[None, :, None], (427, 640, 3)).astype(np.uint8)
    monkeypatch.setattr("benchmarks.targets.real.load_sample_images", lambda: SimpleNamespace(images=[columns] * 2))
    patches = PhotoPatches()
    train, test = (set((256 * half).floor().unique().tolist()) for half in (patches.train, patches.test))
    assert train.isdisjoint(test)
    assert len(train | test) == 160


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet", ".CSV"])
def test_a_good_file(tmp_path, suffix):
    values = table()
    path = tmp_path / f"heights{suffix}"
    write(tmp_path / f"heights{suffix.lower()}", values)
    (tmp_path / f"heights{suffix.lower()}").rename(path)
    target = load_data(path)
    assert target.name == "heights"
    assert target.train.shape == (80, 3)
    assert target.test.shape == (20, 3)
    assert target.train.dtype == torch.float64
    assert same_rows(everything(target), values)


def test_the_split_follows_the_content(tmp_path):
    for name, values in (("one", table()), ("two", table()), ("other", table() + 1)):
        np.save(tmp_path / f"{name}.npy", values)
    one, two, other = (load_data(str(tmp_path / f"{name}.npy")) for name in ("one", "two", "other"))
    assert torch.equal(one.train, two.train)
    assert not torch.allclose(one.train + 1, other.train)
    assert not torch.equal(everything(one), torch.from_numpy(table()))


def good_csv(rows: list[str]) -> bytes:
    return "\n".join(rows).encode()


NUMBERS = [f"{a:.6f},{b:.6f},{c:.6f}" for a, b, c in table()]
GOOD_CSV = {
    "no header": good_csv(NUMBERS),
    "header": good_csv(["a,b,c", *NUMBERS]),
    "header and a byte order mark": b"\xef\xbb\xbf" + good_csv(["a,b,c", *NUMBERS]),
    "windows line ends": "\r\n".join(["a,b,c", *NUMBERS]).encode(),
    "old Macintosh line ends": "\r".join(["", "a,b,c", *NUMBERS]).encode(),
    "semicolons": good_csv(["a;b;c", *(line.replace(",", ";") for line in NUMBERS)]),
    "tabs": good_csv(["a\tb\tc", *(line.replace(",", "\t") for line in NUMBERS)]),
    "blank lines": good_csv(["", "a,b,c", "", *NUMBERS, "", ""]),
    "spaces": good_csv(["a, b, c", *(line.replace(",", ", ") for line in NUMBERS)]),
    "quoted names": good_csv(['"height, m","b","c"', *NUMBERS]),
    "accented names": good_csv(["größe,b,c", *NUMBERS]),
    "counted names": good_csv(["0,1,2", *NUMBERS]),
    "a numeric name": good_csv(["a,1,2", *NUMBERS]),
}


@pytest.mark.parametrize("content", GOOD_CSV.values(), ids=GOOD_CSV.keys())
def test_a_good_csv(tmp_path, content):
    (tmp_path / "data.csv").write_bytes(content)
    assert same_rows(everything(load_data(tmp_path / "data.csv")).round(decimals=9), table().round(6).round(9))


def test_integers_and_single_columns(tmp_path):
    np.save(tmp_path / "integers.npy", np.arange(200).reshape(100, 2) ** 2)
    np.save(tmp_path / "flat.npy", table()[:, 0])
    np.save(tmp_path / "half.npy", table().astype(np.float16))
    (tmp_path / "one.csv").write_text("\n".join(["x", *map(str, range(60))]))
    pd.DataFrame({"a": pd.array(range(60), dtype="Int64")}).to_parquet(tmp_path / "nullable.parquet")
    assert load_data(tmp_path / "integers.npy").dimension == 2
    assert load_data(tmp_path / "flat.npy").train.shape == (80, 1)
    assert load_data(tmp_path / "half.npy").train.dtype == torch.float64
    assert load_data(tmp_path / "one.csv").train.shape == (48, 1)
    assert load_data(tmp_path / "nullable.parquet").train.shape == (48, 1)


def with_cell(value, dtype=object) -> pd.DataFrame:
    frame = pd.DataFrame(table(), columns=["a", "b", "c"]).astype({"b": dtype})
    frame.loc[16, "b"] = value
    return frame


COPY = pd.DataFrame(table(), columns=["a", "b", "c"]).assign(d=lambda frame: frame["a"])
BAD_TABLES = {
    "one row": (table(1), ["1 row,", "50"]),
    "few rows": (table(49), ["49 rows", "50"]),
    "no rows": (table(0), ["row"]),
    "constant": (pd.DataFrame(table(), columns=["a", "b", "c"]).assign(b=3.0), ["column 2", "constant"]),
    "nearly constant": (np.c_[table(), 1e9 + 1e-6 * np.arange(100)], ["column 4", "constant"]),
    "copy": (COPY, ["column 4", "column 1", "duplicates"]),
    "rescaled copy": (np.c_[table(), 32 + 1.8 * table()[:, 1]], ["column 4", "column 2", "duplicates"]),
    "wide": (table(60, 1000), ["1,000 columns", "256"]),
    "missing": (with_cell(np.nan, float), ["row 17", "column 2", "missing"]),
    "infinite": (with_cell(-np.inf, float), ["row 17", "column 2", "-inf", "finite"]),
    "enormous": (with_cell(1e200, float), ["row 17", "column 2", "1e+200"]),
}


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
@pytest.mark.parametrize(("content", "words"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_bad_table(tmp_path, suffix, content, words):
    path = tmp_path / f"bad{suffix}"
    write(path, content)
    refused(path, *words)


def refused(path, *words: str) -> str:
    """The one line that load_data refuses a path with, after checking what it says."""
    with pytest.raises(DataFileError) as caught:
        load_data(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < len(str(path)) + 250
    for word in words:
        assert word in message.removeprefix(str(path))
    return message


BAD_CSV = {
    "empty": (b"", ["empty"]),
    "blank": (b"\n \n\n", ["blank"]),
    "only names": (b"a,b,c\n", ["no rows"]),
    "latin 1": ("größe,b\n1,2\n".encode("latin-1"), ["line 1", "UTF-8", "0xf6"]),
    "utf 16": ("a,b\n1,2\n".encode("utf-16"), ["UTF-8"]),
    "binary": (bytes(range(256)) * 20, ["UTF-8"]),
    "text": (good_csv(["a,b,c", *NUMBERS[:16], "1,red,3", *NUMBERS]), ["row 17", "column 2 ('b')", "'red'", "number"]),
    "decimal commas": (good_csv(["a;b", *("1,5;2,5" for _ in NUMBERS)]), ["row 1", "'1,5'"]),
    "booleans": (good_csv(["a,b", *("1.5,True" for _ in NUMBERS)]), ["row 1", "column 2 ('b')", "'True'"]),
    "long line": (good_csv(["a,b,c", *NUMBERS[:5], "1,2,3,4", *NUMBERS]), ["line 7"]),
    "short line": (good_csv(["a,b,c", *NUMBERS[:16], "1,2", *NUMBERS]), ["row 17", "column 3", "missing"]),
    "too few names": (good_csv(["a,b", *NUMBERS]), ["2 cells", "3"]),
    "saved index": (pd.DataFrame(table()).to_csv().encode(), ["column 1", "index"]),
    "saved index of a named table": (COPY.drop(columns="d").to_csv().encode(), ["column 1", "index"]),
    "missing marker": (good_csv(["a,b,c", *NUMBERS[:16], "1,NA,3", *NUMBERS]), ["row 17", "column 2", "missing"]),
    "one endless cell": (b"x" * 200_000, ["CSV"]),
    "open quote": (good_csv(["a,b,c", '"1,2,3', *NUMBERS]), ["CSV"]),
}


@pytest.mark.parametrize(("content", "words"), BAD_CSV.values(), ids=BAD_CSV.keys())
def test_a_bad_csv(tmp_path, content, words):
    (tmp_path / "bad.csv").write_bytes(content)
    refused(tmp_path / "bad.csv", *words)


BAD_ARRAYS = {
    "three axes": (np.zeros((60, 2, 2)), ["(60, 2, 2)", "rows, columns"]),
    "no axes": (np.array(3.0), ["shape ()"]),
    "complex": (table() + 1j, ["complex128", "real"]),
    "objects": (table().astype(object), ["objects"]),
    "strings": (table().astype(str), ["<U", "real numbers"]),
    "booleans": (table() > 0, ["bool"]),
    "dates": (np.arange(100).astype("datetime64[D]"), ["datetime64"]),
    "records": (np.zeros(60, dtype=[("a", float), ("b", int)]), ["real numbers"]),
    "no columns": (np.zeros((60, 0)), ["0 columns"]),
}


@pytest.mark.parametrize(("content", "words"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_a_bad_array(tmp_path, content, words):
    np.save(tmp_path / "bad.npy", content, allow_pickle=True)
    refused(tmp_path / "bad.npy", *words)


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_garbled_or_cut_file(tmp_path, suffix):
    path = tmp_path / f"good{suffix}"
    write(path, table())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "readable")
    path.write_bytes(b"this is a text, whatever it is called")
    refused(path, "readable")
    path.write_bytes(b"")
    refused(path, "empty")


def test_a_bad_parquet(tmp_path):
    path = tmp_path / "bad.parquet"
    with_cell(1.0, float).assign(b="red").to_parquet(path)
    refused(path, "column 2 ('b')", "'red'", "number")
    with_cell(1.0, float).assign(b=pd.Timestamp("2020-01-01")).to_parquet(path)
    refused(path, "column 2 ('b')", "number")
    with_cell(1.0, float).assign(b=[[1, 2]] * 100).to_parquet(path)
    refused(path, "column 2 ('b')")
    with_cell(1.0, float).assign(b=[True, False] * 50).to_parquet(path)
    refused(path, "column 2 ('b')", "'True'")


def test_a_bad_path(tmp_path):
    refused(tmp_path / "none.csv", "no such file")
    refused(tmp_path, "folder")
    for name in ("data.xlsx", "data", "data.csv.gz"):
        (tmp_path / name).write_bytes(b"x")
        refused(tmp_path / name, "suffix", ".csv, .npy or .parquet")


def test_a_column_that_varies_in_the_test_half_only(tmp_path):
    values = table()
    np.save(tmp_path / "good.npy", values)
    constant = np.zeros(100)
    for row in range(100):  # the split depends on the content, so look for a row that falls into the test half
        constant[:] = 0
        constant[row] = 1
        np.save(tmp_path / "bad.npy", np.c_[values, constant])
        try:
            load_data(tmp_path / "bad.npy")
        except DataFileError as error:
            assert "constant but for a few rows" in str(error)  # noqa: PT017
            return
    pytest.fail("no single one fell into the test half")
