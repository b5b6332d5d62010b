"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from benchmarks.errors import UserError, short

LONGEST_PART = 255  # bytes between two slashes of a path, on all that is common
SUFFIX = ".tmp"


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write beside this one, and to put in its place at the end: nobody sees half, even if the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> Path:
    """Write these bytes, whole or not at all."""
    with written(path) as file:
        file.write(data)
    return path


def is_beside(path: Path) -> bool:
    """Whether a file is one that is being written, or was when its writer was killed."""
    return path.name.startswith(".") and path.name.endswith(SUFFIX)


def is_abandoned(path: Path) -> bool:
    """Whether a file is one that was being written by a process that is no more."""
    number = path.name.removesuffix(SUFFIX).rpartition(".")[2]
    return is_beside(path) and number.isdecimal() and (int(number) == os.getpid() or not psutil.pid_exists(int(number)))


def _sync(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can (Windows cannot, and needs not)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):  # some file systems of networks refuse
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8 with the line ends it has, on every system."""
    return write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    """Text as UTF-8; half of a surrogate pair, which some names of files hold and UTF-8 cannot, as its escape."""
    return text.encode("utf-8", "backslashreplace")


def is_file(path: str | Path) -> bool:
    """There is such a file, and no device or pipe; False also for a path that no file can have."""
    return os.path.isfile(path)


def check_folder(folder: Path) -> None:
    """Raise UserError unless this is a directory, or nothing yet, and can be written to."""
    if "\0" in str(folder):
        raise UserError(f"{short(str(folder))} cannot be a directory: it holds NUL; choose another --out")
    if any(len(os.fsencode(part)) > LONGEST_PART for part in folder.parts):
        raise UserError(f"{short(str(folder))} cannot be a directory: File name too long; choose another --out")
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; --out needs a directory")
        places = [folder, *folder.absolute().parents]
        for path in places:
            if path.is_symlink() and not path.exists():
                raise UserError(f"{path} is a link to nothing; choose another --out")
        nearest = next(path for path in places if path.exists())
    except OSError as error:
        where = short(str(folder))
        raise UserError(f"{where} cannot be a directory: {error.strerror}; choose another --out") from error
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UserError(f"{nearest} cannot be written to; choose another --out")


def made_folder(folder: Path) -> Path:
    """The directory, which is made where there is none. Raises UserError where that is not possible."""
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{short(str(folder))} cannot be created: {error}; choose another --out") from error
    return folder
