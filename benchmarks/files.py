"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write beside this one, and to put in its place at the end: nobody sees half, even if the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> Path:
    """Write these bytes, whole or not at all."""
    with written(path) as file:
        file.write(data)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8 with the line ends it has, on every system."""
    return write_bytes(path, text.encode("utf-8"))
