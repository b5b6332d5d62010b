"""A Dask cluster for a run: the one that is there, or one of processes on this machine."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from benchmarks.suite import Limits


@contextmanager
def address_of(workers: int, scheduler: str | None, limits: Limits) -> Iterator[str]:
    """The address of a scheduler: the one given, or that of a cluster of single-threaded processes started here."""
    import dask
    from distributed import LocalCluster

    if scheduler is not None:
        yield scheduler
        return
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        # Told by the clock on the wall: if that jumps, every worker would be taken for dead. A cell has its own limit.
        "distributed.scheduler.worker-ttl": None,
        # Else a worker that dies twice within so many seconds, or takes longer to come back, is given up for good.
        "distributed.deploy.lost-worker-timeout": 10**8,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.admin.system-monitor.gil.enabled": False,
        "distributed.worker.preload": ["benchmarks.worker"],
        "distributed.nanny.pre-spawn-environ": {
            "OMP_NUM_THREADS": 1,
            "MKL_NUM_THREADS": 1,
            "OPENBLAS_NUM_THREADS": 1,
            # Dask's own setting gives freed memory back at once, and with either of these alone glibc maps every large
            # tensor anew: a third of a run's time is then page faults.
            "MALLOC_TRIM_THRESHOLD_": 2**30,
            "MALLOC_MMAP_THRESHOLD_": 2**30,
        },
    }
    with dask.config.set(settings):
        with _sigint_blocked():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=f"{limits.memory_gb}GB",
                dashboard_address=":0",  # any free port: two runs may share a machine
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster.scheduler_address


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Ctrl-C waits until this is over; threads and processes that begin meanwhile, and theirs, never see it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
