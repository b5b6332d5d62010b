"""The workers of a Dask cluster that may be given cells: those that are as this process is, now and later.

A worker of another version would compute other numbers and nobody would know. So each one is asked for what scores
depend on before it is given its first cell, whether it was there from the start or joined late.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from distributed.comm.core import CommClosedError

from benchmarks import cell as cells
from benchmarks.baggage import Baggage, Bundle, receive, travels
from benchmarks.cell import Cell
from benchmarks.errors import UserError
from benchmarks.source import source_digest

EVERY = 0.5  # seconds between two looks at which workers there are
ABSENT = "none"


@dataclass(frozen=True)
class Question:
    """What a worker is asked: the versions of these libraries, the source of these modules, a device."""

    libraries: tuple[str, ...]
    modules: tuple[str, ...]
    device: str

    def answer(self) -> dict[str, str]:
        """Of this process: a name and what it is here."""
        found = {"python": platform.python_version()}
        found |= {name: _version(name) for name in self.libraries}
        found["the source of Pushforward"] = source_digest([Path(cells.__file__)])
        found |= {f"the source of {name}": _digest(name) for name in self.modules}
        return found | {f"the device {self.device}": _device(self.device)}


def question(planned: Sequence[Cell]) -> Question:
    """What decides the scores of these cells."""
    sources = dict.fromkeys(plugin.source for cell in planned for plugin in (cell.model, cell.target))
    modules = dict.fromkeys(source.rpartition(":")[0] for source in sources if not travels(source))
    files = {tuple(cell.files()): cell for cell in planned}  # one cell stands for all of the same files
    libraries = dict.fromkeys(name for cell in files.values() for name in cell.versions() if name != "python")
    return Question(tuple(libraries), tuple(modules), planned[0].device)


class Fleet:
    """Which workers of a client's cluster are there, which may be given cells, and which have gone for good.

    travelling: cells whose workers are other machines': asked first, and given the plug-in files. Without, any worker
    will do.
    """

    def __init__(self, client: Any, travelling: Sequence[Cell] = ()) -> None:
        self.present: set[str] = set()
        self.admitted: set[str] = set()
        self.gone: set[str] = set()
        self.refused: dict[str, str] = {}
        self._missed: dict[str, float] = {}
        self._client = client
        self._looked = float("-inf")
        self._question = question(travelling) if travelling else None
        self._expected = _expected(self._question) if self._question else {}
        self._bundles: dict[str, Bundle] = Baggage(travelling).bundles

    def look(self) -> list[str]:
        """See which workers there are, not too often; a line for whatever a person should know of it."""
        now = time.monotonic()
        if now - self._looked < EVERY:
            return []
        first, self._looked = self._looked < 0, now
        before, self.present = self.present, set(self._client.nthreads())
        lines = ["the scheduler has no workers yet; waiting for the first one"] if first and not self.present else []
        self._miss(before, now)
        self.admitted &= self.present
        new = sorted(self.present - self.admitted - set(self.refused))
        known = len(self.refused)
        if new and self._question is None:
            self.admitted |= set(new)
        elif new and self._question is not None:
            self._admit(new, self._question)
        return lines + [f"{line}; it is given no cells" for line in list(self.refused.values())[known:]]

    def _miss(self, before: set[str], now: float) -> None:
        """Who was there and is not has gone for good after two more looks: until then Dask may say what happened."""
        self._missed = {worker: since for worker, since in self._missed.items() if worker not in self.present}
        self._missed |= dict.fromkeys(before - self.present, now)
        self.gone = {worker for worker, since in self._missed.items() if now - since >= 2 * EVERY}

    def _admit(self, workers: list[str], asked: Question) -> None:
        answers = self._client.run(asked.answer, workers=workers, on_error="return")
        agreeing = []
        for worker, answer in answers.items():
            reason = _difference(worker, self._expected, answer)
            if reason:
                self.refused[worker] = reason
            elif not isinstance(answer, CommClosedError):  # else it has gone meanwhile
                agreeing.append(worker)
        if agreeing and self._bundles:
            received = self._client.run(receive, self._bundles, workers=agreeing, on_error="return")
            agreeing = [worker for worker, outcome in received.items() if outcome is None]
            for worker, outcome in received.items():
                if isinstance(outcome, Exception) and not isinstance(outcome, CommClosedError):
                    self.refused[worker] = f"worker {worker} cannot keep the plug-in files: {outcome}"
        self.admitted |= set(agreeing)


def check_workers(client: Any, planned: Sequence[Cell]) -> None:
    """Raise UserError if a worker that is there now is not as this process is."""
    if planned:
        fleet = Fleet(client, planned)
        fleet.look()
        for line in fleet.refused.values():
            raise UserError(f"{line}; nothing was submitted")


def _expected(asked: Question) -> Mapping[str, str]:
    """This process's own answer, but for the device: only the workers need it."""
    return asked.answer() | {f"the device {asked.device}": "works"}


def _difference(worker: str, expected: Mapping[str, str], answer: object) -> str:
    """Why this worker is refused, in a line; nothing if it is not."""
    if isinstance(answer, CommClosedError):
        return ""
    if not isinstance(answer, Mapping):
        return (
            f"worker {worker} cannot load Pushforward ({type(answer).__name__}: {str(answer).partition(chr(10))[0]}); "
            "install there what is installed here"
        )
    differ = [name for name, here in expected.items() if answer.get(name, ABSENT) != here]
    if not differ:
        return ""
    name = differ[0]
    there, here = answer.get(name, ABSENT), expected[name]
    more = f" (and {len(differ) - 1} more)" if len(differ) > 1 else ""
    if name.startswith("the device"):
        return f"worker {worker}: {name}: {there}{more}"
    if name.startswith("the source"):
        return f"worker {worker}: {name} is not the same as here{more}; install the same version on both"
    return f"worker {worker} has {name} {there}, and this process has {here}{more}; install the same version on both"


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def _digest(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return ABSENT
    return ABSENT if spec is None or spec.origin is None else source_digest([Path(spec.origin)])


def _device(device: str) -> str:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return "works"
