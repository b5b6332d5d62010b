"""Disks that are small or cannot be written to: real ones where the system lets us, which is where we are root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _call(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def small(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of this size at `folder`; skips the test where none can be mounted."""
    folder.mkdir(parents=True)
    if sys.platform != "linux" or not _call("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)):
        pytest.skip("no file system can be mounted here: that takes Linux, and root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, kilobytes: int) -> None:
    """Give a small file system more room."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A directory in which nothing can be made, not even by root; skips the test where that is not possible."""
    if os.geteuid() != 0:
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    if not _call("chattr", "+i", str(folder)):
        pytest.skip("root can write everywhere, and this file system knows no immutable directories")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)
