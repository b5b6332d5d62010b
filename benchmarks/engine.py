"""Where cells run: in this process, on a Dask cluster on this machine, or on a Dask cluster that already exists.

All three give the same results. On a cluster a cell that kills its process, eats its memory or hangs costs itself and
nothing else: it is not tried again, and Dask's nanny brings a dead worker back. The one exception is a cell that lost
its worker at once: it may not have been its own doing.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import psutil

from benchmarks.baggage import Baggage, unpacked
from benchmarks.cell import Cell, CellResult, failed, run_cell
from benchmarks.cluster import address_of
from benchmarks.errors import UserError
from benchmarks.suite import Limits

if TYPE_CHECKING:
    from benchmarks.fleet import Fleet

SOON = 3.0  # seconds: a cell whose worker is gone by then may not have reached it
GRACE = 10.0  # seconds past its limit after which a worker, which should have ended itself, is ended from outside
STDERR = 2  # a signal handler may come in the middle of anything that prints


class Observer(Protocol):
    """Whoever watches a run: the live view, a test."""

    def started(self, cell: Cell) -> None:
        """A cell has been handed to a worker."""

    def finished(self, cell: Cell, result: CellResult) -> None:
        """A cell has its result, and it is kept."""


class Interrupt:
    """The first Ctrl-C is a wish that is looked at between cells; the second one stops now.

    A KeyboardInterrupt could come at any line, also while a finished cell is being written.
    """

    def __init__(self) -> None:
        self.wished = False

    def __enter__(self) -> Interrupt:
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, *_: object) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
        os.write(STDERR, b"\nfinishing the cells that are running; Ctrl-C again stops now\n")


def execute(
    cells: Sequence[Cell], workers: int, scheduler: str | None, limits: Limits, observer: Observer
) -> Generator[tuple[Cell, CellResult]]:
    """Run cells and yield each with its result as it is finished.

    workers: processes on this machine; 0 runs in this process, where a debugger reaches (and no time limit does).
    scheduler: the address of a Dask scheduler to use instead.

    Raises KeyboardInterrupt after Ctrl-C, once the cells that were running have been finished and yielded, and
    ConnectionError where the scheduler goes, or the last worker that can be used.
    """
    if not cells:
        return
    with Interrupt() as interrupt:
        if scheduler is None and workers == 0:
            for cell in cells:
                if not interrupt.wished:
                    observer.started(cell)
                    yield cell, run_contained(cell)
        else:
            yield from _execute_on_dask(cells, workers, scheduler, limits, observer, interrupt)
        if interrupt.wished:
            raise KeyboardInterrupt


def check_scheduler(address: str, cells: Sequence[Cell]) -> None:
    """Raise UserError unless a Dask scheduler answers at this address, and its workers are as this process is."""
    from distributed import Client

    from benchmarks.fleet import check_workers

    try:
        with Client(address, timeout="10s") as client:
            check_workers(client, cells)
    except UserError:
        raise
    except Exception as error:  # an address may be of a kind that is not installed, or needs what is not given
        raise UserError(
            f"no Dask scheduler answers at {address!r} ({error}); "
            "start one with `dask scheduler`, or leave out --scheduler"
        ) from error


def run_contained(cell: Cell) -> CellResult:
    """`run_cell`, also for a model that wants to end the process: sys.exit is no Exception."""
    try:
        return run_cell(cell)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return failed(cell, "failed", f"{type(error).__name__}: {error}")


def run_guarded(cell: Cell, seconds: float) -> CellResult:
    """`run_contained` in a worker: past the limit the process ends, even if it hangs in compiled code."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            return run_contained(unpacked(cell))
        finally:
            faulthandler.cancel_dump_traceback_later()


def _execute_on_dask(
    cells: Sequence[Cell],
    workers: int,
    scheduler: str | None,
    limits: Limits,
    observer: Observer,
    interrupt: Interrupt,
) -> Iterator[tuple[Cell, CellResult]]:
    from distributed import Client

    from benchmarks.fleet import EVERY, Fleet

    with address_of(workers, scheduler, limits) as address, Client(address, timeout="30s") as client:
        travelling = () if scheduler is None else cells  # to machines that have neither their files nor their folders
        fleet, baggage = Fleet(client, travelling), Baggage(travelling)
        waiting = list(reversed(cells))
        running: dict[Any, tuple[Cell, float, str]] = {}
        completed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        own, retried = scheduler is None, set[str]()

        def submit() -> None:
            # A worker is given one cell at a time, whatever its threads: the cell's clock starts with it, a GPU is its
            # own, and if the worker dies it is clear which cell it had.
            busy = {worker for _, _, worker in running.values()}
            for worker in sorted(fleet.admitted - busy):
                if waiting and not interrupt.wished:
                    cell = waiting.pop()
                    arguments = (baggage.labelled(cell), limits.seconds)
                    future = client.submit(run_guarded, *arguments, workers=[worker], pure=False, retries=0)
                    running[future] = (cell, time.monotonic(), worker)
                    future.add_done_callback(completed.put)
                    observer.started(cell)

        def once_more(cell: Cell, seconds: float) -> bool:
            # It was handed to a worker that was about to go, or had just gone: not its own doing, the first time.
            if seconds >= SOON or cell.name in retried:
                return False
            retried.add(cell.name)
            waiting.append(cell)
            return True

        while running or (waiting and not interrupt.wished):
            _look(fleet)
            submit()
            with suppress(queue.Empty):
                future = completed.get(timeout=EVERY)
                if future in running:
                    if client.status != "running":
                        raise _gone("it does not answer any more")
                    cell, started, worker = running.pop(future)
                    seconds = time.monotonic() - started
                    if future.status != "finished":
                        fleet.admitted.discard(worker)  # until it is seen again
                    if _died(future) and once_more(cell, seconds):
                        continue
                    result = _result(cell, future, seconds, limits, own)
                    future.release()
                    submit()  # before the result is kept: meanwhile its worker has something to do
                    yield cell, result
            for future, (cell, started, worker) in list(running.items()):
                seconds = time.monotonic() - started
                overdue = seconds > limits.seconds + GRACE
                if future.done() or not (overdue or worker in fleet.gone):
                    continue
                del running[future]
                future.cancel()
                if overdue:
                    _end(client, fleet, worker)
                if not once_more(cell, seconds):
                    yield cell, _lost(cell, seconds, limits, own)


def _end(client: Any, fleet: Fleet, worker: str) -> None:
    """End a worker that neither comes to its end nor ends itself: a stopped process, or one that is cut off."""
    fleet.admitted.discard(worker)
    killed = client.run(_kill, workers=[worker], nanny=True, on_error="return")
    if killed != {worker: None}:  # it has no nanny, or that does not answer either
        fleet.refused[worker] = f"worker {worker} does not answer"


def _kill(dask_worker: Any) -> None:
    """On a nanny: kill its worker; it then brings another one."""
    psutil.Process(dask_worker.pid).kill()


def _look(fleet: Fleet) -> None:
    """See which workers there are. Raises ConnectionError where the scheduler has gone, or all of them are refused."""
    try:
        lines = fleet.look()
    except (OSError, TimeoutError) as error:
        raise _gone(type(error).__name__) from error
    for line in lines:
        os.write(STDERR, f"{line}\n".encode())
    if fleet.refused and not fleet.present - set(fleet.refused):
        raise ConnectionError(f"no worker is left that can be used: {next(iter(fleet.refused.values()))}")


def _gone(why: str) -> ConnectionError:
    """What is said when the scheduler has ended."""
    return ConnectionError(f"the Dask scheduler has gone ({why}); the same command goes on from there")


def _result(cell: Cell, future: Any, seconds: float, limits: Limits, own: bool) -> CellResult:
    """What became of a cell whose future is done."""
    if future.status == "finished":
        result: CellResult = future.result()
        return result
    if _died(future):
        return _lost(cell, seconds, limits, own)
    error = future.exception()
    return failed(cell, "failed", f"its worker could not run it: {type(error).__name__}: {error}")


def _died(future: Any) -> bool:
    """Whether a future that is done has no result because its worker is no more."""
    from distributed import KilledWorker

    return future.cancelled() or (future.status == "error" and isinstance(future.exception(), KilledWorker))


def _lost(cell: Cell, seconds: float, limits: Limits, own: bool) -> CellResult:
    """The result of a cell whose worker died; own: the worker is one that this run started."""
    if seconds >= limits.seconds:
        return failed(cell, "timeout", f"took longer than {limits.seconds:g} s and was stopped")
    memory = f"more than {limits.memory_gb:g} GB of memory" if own else "more memory than it may"
    return failed(cell, "failed", f"its worker process died: it crashed, was killed, or used {memory}")
