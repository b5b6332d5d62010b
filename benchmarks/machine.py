"""What a computation cost and on which machine: times are never compared across stamps."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """Wall-clock and CPU seconds, and the process's peak resident memory in megabytes."""

    seconds: float
    cpu_seconds: float
    peak_memory_mb: float


class Meter:
    """Measures from its creation to `read`."""

    def __init__(self) -> None:
        _reset_peak()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def read(self) -> Cost:
        """The cost so far."""
        return Cost(time.perf_counter() - self._wall, time.process_time() - self._cpu, _peak_mb())


def release_memory() -> None:
    """Give freed memory back to the system, so that a cell's peak holds nothing of the cells before it (glibc only)."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def stamp() -> dict[str, str]:
    """The machine, as far as times depend on it."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory_gb": f"{psutil.virtual_memory().total / 1e9:.0f}",
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _reset_peak() -> None:
    """Linux can forget the peak so far; elsewhere the peak is that of the process's whole life."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def _peak_mb() -> float:
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return psutil.Process().memory_info().rss / 2**20
