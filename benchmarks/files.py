"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

SUFFIX = ".tmp"


def write_bytes(path: Path, data: bytes) -> Path:
    """Write beside the file, then put it in its place: nobody sees half of it, even if the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)
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
    return write_bytes(path, text.encode("utf-8"))
