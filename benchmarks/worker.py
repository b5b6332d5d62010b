"""What Dask loads into each worker process that a run starts on this machine."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:  # noqa: ARG001
    """Ctrl-C on a terminal reaches every process of the run; a worker finishes its cell, and the run decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
