"""A user's own table as a target: CSV, NPY or Parquet in, a fixed split out, and one clear line when it cannot be.

Everything that would make a model fail later, in a cell and with a traceback, is refused here by column and row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import stat
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import torch
from pyarrow import parquet

from benchmarks.errors import plain, short
from benchmarks.targets.base import DataTarget

MINIMUM_ROWS = 50
MAXIMUM_COLUMNS = 256
MOST_NUMBERS = 10**9  # 8 GB: a file of a kilobyte may say that it holds more
LARGEST = 1e100  # whose square, summed over any table, is still a number


class DataFileError(ValueError):
    """A data file that cannot be a target; the message is one line: what is wrong, where, and what would be right."""


def load_data(path: str | Path) -> DataTarget:
    """The rows of a CSV, NPY or Parquet file as a target, split 80 to 20 by a hash of the file's content.

    The same content gives the same split under every name; the target is called like the file, without its suffix.
    Raises `DataFileError` for whatever is not a table of finite numbers that vary.
    """
    path = _expanded(Path(path))
    _check_file(path)
    parse = {".csv": _parse_csv, ".npy": _parse_npy, ".parquet": _parse_parquet}.get(path.suffix.lower())
    if parse is None:
        _refuse(path, f"unknown suffix '{short(path.suffix)}'; save the table as .csv, .npy or .parquet")
    content = _read(path)
    if not content:
        _refuse(path, "the file is empty; it should hold one row per sample and one column per dimension")
    table = parse(path, content)
    _check_size(path, table)
    values = _numbers(path, table)
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(content).digest()[:8], "big"))
    rows = torch.from_numpy(values)[torch.randperm(len(values), generator=generator)]
    train, test = rows.tensor_split([len(rows) * 4 // 5])
    _check_variation(path, table, train.numpy())
    return DataTarget(path.stem, f"the user's data: {len(rows):,} rows of {path.name}", train, test)


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataFileError(plain(f"{short(str(path), 400)}: {short(problem, 400)}")) from None


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        _refuse(path, f"is in nobody's home: {error}")


def _check_file(path: Path) -> None:
    """A folder, a device, which may have no end, and a pipe, which may never begin, are not read."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        _refuse(path, "there is no such file")
    except (OSError, ValueError) as error:
        _refuse(path, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if stat.S_ISDIR(mode):
        _refuse(path, "is a folder; give one .csv, .npy or .parquet file")
    if not stat.S_ISREG(mode):
        _refuse(path, "is no file; give one .csv, .npy or .parquet file")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")


def _parse_csv(path: Path, content: bytes) -> pd.DataFrame:
    """A table whose columns are named by the first line, if that is a line of names."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(path, f"line {line} is not UTF-8 text (byte 0x{content[error.start]:02x}); save it as CSV in UTF-8")
    if "\0" in text:
        _refuse(path, "holds NUL characters, so it is no CSV text; save it as CSV in UTF-8")
    if not text.strip():
        _refuse(path, "holds only blank lines; it should hold one row per sample and one column per dimension")
    first_line, second_line = ([line for line in text.split("\n") if line.strip()] + [""])[:2]
    delimiter = max(",;\t", key=first_line.count)
    widest = max(line.count(delimiter) for line in text.split("\n"))
    if widest >= 10 * MAXIMUM_COLUMNS:
        _refuse(
            path, f"has {widest + 1:,} columns, and at most {MAXIMUM_COLUMNS} are supported; choose or project some"
        )
    try:
        first = [cell.strip() for cell in next(csv.reader([first_line], delimiter=delimiter))]
        has_names = _are_names(first, second_line)
        table = pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            skiprows=text[: text.index(first_line)].count("\n") + has_names,
            skipinitialspace=True,
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        _refuse(path, "holds column names but no rows")
    except (ValueError, csv.Error) as error:
        _refuse(path, f"is not a well-formed CSV: {error}; every line should hold as many numbers")
    if table.shape[1] != len(first):
        _refuse(path, f"the first line holds {len(first)} cells, the rows below it {table.shape[1]}")
    if has_names:
        table.columns = pd.Index(first)
        if first[0] == "" and np.array_equal(table.iloc[:, 0], np.arange(len(table))):
            _refuse(path, "column 1 has no name and counts the rows: a saved index; write without it (index=False)")
    return table


def _are_names(first: list[str], second_line: str) -> bool:
    """Whether the cells of a first line name columns: some cell is text, or they count 0, 1, 2, … above fractions."""
    counted = [cell for cell in first if cell] == [str(number) for number in range(sum(map(bool, first)))]
    return any(cell and not _is_number(cell) for cell in first) or (counted and "." in second_line)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.lower() in {"na", "n/a", "null", "none"}
    return True


def _parse_npy(path: Path, content: bytes) -> pd.DataFrame:
    """A table of unnamed columns from an array of two axes, or of one: a single column. Nothing is unpickled."""
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # whatever a garbled header makes numpy's parser raise
        if "Object arrays" in str(error):
            _refuse(path, "holds an array of Python objects; save numbers: numpy.save(path, array.astype(float))")
        _refuse(path, f"is not a readable NPY file ({error}); write it with numpy.save")
    if array.dtype.kind not in "iuf":
        _refuse(path, f"holds an array of type {array.dtype}; it should hold real numbers (float or int)")
    if array.ndim not in (1, 2):
        _refuse(path, f"holds an array of shape {array.shape}; it should be (rows, columns), or (rows,) for one column")
    return pd.DataFrame(array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0))


def _parse_parquet(path: Path, content: bytes) -> pd.DataFrame:
    try:
        about = parquet.read_metadata(io.BytesIO(content))
        if about.num_columns > 10 * MAXIMUM_COLUMNS or about.num_rows * about.num_columns > MOST_NUMBERS:
            raise ValueError(f"it says that it holds {about.num_rows:,} rows and {about.num_columns:,} columns")
        return pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except Exception as error:  # whatever a garbled footer makes pyarrow raise
        _refuse(path, f"is not a readable Parquet file ({error}); write it with pandas' DataFrame.to_parquet")


def _check_size(path: Path, table: pd.DataFrame) -> None:
    rows, columns = table.shape
    if columns == 0 or rows == 0:
        _refuse(path, f"holds {rows} rows and {columns} columns; it should hold one row per sample")
    if columns > MAXIMUM_COLUMNS:
        _refuse(path, f"has {columns:,} columns, and at most {MAXIMUM_COLUMNS} are supported; choose or project some")
    if rows < MINIMUM_ROWS:
        _refuse(path, f"has {rows} row{'s' * (rows != 1)}, and at least {MINIMUM_ROWS} are needed to split and score")


def _numbers(path: Path, table: pd.DataFrame) -> np.ndarray:
    """The table as (rows, columns) float64, every one of them finite."""
    columns = []
    for index in range(table.shape[1]):
        column = table.iloc[:, index]
        if column.isna().any():
            where = _where(table, index, int(column.isna().to_numpy().argmax()))
            _refuse(path, f"{where} is missing, one of {int(column.isna().sum())} in that column; fill or drop them")
        if not pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "bc":
            bad = pd.to_numeric(column.astype(str), errors="coerce").isna().to_numpy()
            row = int(bad.argmax())
            cell = str(column.iloc[row])[:40]
            what = f"'{cell}', which is not a number" if bad.any() else f"of type {column.dtype}"
            _refuse(path, f"{_where(table, index, row)} is {what}; every column should hold real numbers")
        numbers = column.to_numpy(dtype=np.float64)
        bad = ~(np.abs(numbers) <= LARGEST)
        if bad.any():
            row = int(bad.argmax())
            where = _where(table, index, row)
            _refuse(path, f"{where} is {numbers[row]}; every number should be finite and below {LARGEST:g}")
        columns.append(numbers)
    return np.stack(columns, axis=1)


def _check_variation(path: Path, table: pd.DataFrame, train: np.ndarray) -> None:
    """Refuse columns that do not vary, or vary together: on them no model has a density. train: (rows, columns)."""
    deviations = train.std(axis=0)
    constant = deviations <= 1e-12 * np.abs(train).max(axis=0)
    if constant.any():
        index = int(constant.argmax())
        scope = "" if table.iloc[:, index].nunique() == 1 else " but for a few rows"
        _refuse(path, f"{_where(table, index)} is constant{scope} ({train[0, index]:g}); drop it")
    standardised = (train - train.mean(axis=0)) / deviations
    correlation = np.abs(np.triu(standardised.T @ standardised / len(train), k=1))
    if (correlation > 1 - 1e-12).any():
        first, second = np.unravel_index(int(correlation.argmax()), correlation.shape)
        copy, original = _where(table, int(second)), _where(table, int(first))
        _refuse(path, f"{copy} duplicates {original}, up to scale and shift; drop one of them")


def _where(table: pd.DataFrame, column: int, row: int | None = None) -> str:
    """A cell or a column in words; rows and columns count from 1, without the line of names."""
    name = table.columns[column]
    words = f"column {column + 1}" + (f" ('{short(name, 40)}')" if isinstance(name, str) and name else "")
    return words if row is None else f"row {row + 1} of {words}"
