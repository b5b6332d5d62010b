"""A directory with a suite, in which a run is started as its user starts it: a process, with a group of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import execution
from benchmarks.cell import Cell
from tests.tiny import TINY

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FAULTY = HERE / "faulty.py"
PATIENCE = 180  # seconds that nothing here needs, unless it hangs
OF_TIMES = ("cost", "fit_cpu_seconds", "summary")  # tables and figures with times in them, which differ


def suite(seconds: float = 120) -> str:
    """The suite of all these runs, with this limit for a cell."""
    return TINY.format(seconds=seconds, memory_gb=1.5)


@dataclass
class Ended:
    """How a process ended, and what it said."""

    code: int
    output: str

    def expect(self, code: int) -> Ended:
        assert self.code == code, f"exit code {self.code}, not {code}: {self.output[-3000:]}"
        assert "Traceback" not in self.output, self.output[-3000:]
        return self


class Place:
    """models, targets: instead of the suite's. seconds: the limit of a cell."""

    def __init__(
        self,
        folder: Path,
        models: Sequence[str] = (),
        targets: Sequence[str] = (),
        workers: int = 0,
        seconds: float = 120,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "suite.toml").write_text(suite(seconds))
        self.folder, self.models, self.targets, self.workers = folder, models, targets, workers
        self.run = folder / "run"
        (folder / "output").touch()  # here and now: the directory may become read-only

    def start(self, *options: str, command: str = "run", **environment: str) -> subprocess.Popen:
        """Start the run; what it says goes into the file `output`."""
        wanted = ["suite.toml", "--out", "run", f"--workers={self.workers}", *options]
        wanted += [f"--model={name}" for name in self.models] + [f"--target={name}" for name in self.targets]
        arguments = [sys.executable, "-m", "benchmarks", command, *(["run"] if command == "report" else wanted)]
        paths = [str(HERE / "inject"), str(ROOT)]
        with (self.folder / "output").open("wb") as output:
            return subprocess.Popen(
                arguments,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "300", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, process: subprocess.Popen, patience: float = PATIENCE) -> Ended:
        """Wait for a process, and for all that it started."""
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"hangs: {self.output()[-3000:]}") from None
        finally:
            kill(process)
        return Ended(code, self.output())

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def finish(self, *options: str, **environment: str) -> Ended:
        """Run to the end."""
        return self.ended(self.start(*options, **environment))

    def settle(self) -> list[str]:
        """Resume in this process, without a report, which takes longest; the cells that were computed."""
        computed: list[str] = []

        class Watch(execution.Silent):
            def started(self, cell: Cell) -> None:
                computed.append(cell.name)

        with chdir(self.folder):
            planned = execution.plan("suite.toml", models=self.models, targets=self.targets, out="run")
            results = execution.carry_out(planned, workers=0, observer=Watch())
        broken = [result.reason for result in results if result.status != "ok"]
        assert not broken, broken
        return computed

    def wait_until(self, process: subprocess.Popen, pattern: str) -> None:
        """Wait until there is a file of this pattern, while the process lives."""
        deadline = time.monotonic() + PATIENCE
        while not list(self.folder.glob(pattern)):
            assert process.poll() is None, self.output()[-3000:]
            assert time.monotonic() < deadline, f"no {pattern}"
            time.sleep(0.01)

    def cells(self) -> dict[str, tuple[int, bytes]]:
        """Finished cells: computed again, one has other times in it, and another time of its file."""
        found = sorted(self.run.glob("cells/*/*.safetensors"))
        return {str(path.relative_to(self.run)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    def scores(self) -> dict[str, bytes]:
        """scores.csv alone."""
        return {"scores.csv": (self.run / "scores.csv").read_bytes()}

    def tables(self) -> dict[str, bytes]:
        """scores.csv, and all tables and figures that are made from it and from the cells."""
        paths = [self.run / "scores.csv", *(self.run / "tables").iterdir(), *(self.run / "figures").iterdir()]
        return {
            str(path.relative_to(self.run)): path.read_bytes()
            for path in sorted(paths)
            if not path.name.startswith(OF_TIMES)
        }

    def litter(self) -> list[str]:
        """What should not be there after a run."""
        return [str(path) for path in self.folder.rglob("*.tmp")]

    def forget(self) -> None:
        """Start anew."""
        shutil.rmtree(self.run, ignore_errors=True)
        (self.folder / "started").unlink(missing_ok=True)


def group(process: subprocess.Popen) -> list[psutil.Process]:
    """All living processes of a session, also those whose parent is gone."""
    found = []
    for each in psutil.process_iter(["pid", "status"]):
        try:
            if os.getsid(each.pid) == process.pid and each.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(each)
        except OSError:
            continue
    return found


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to a process and to all that it started: those that share its session, and no others."""
    for each in group(process):
        try:
            os.kill(each.pid, signal.SIGKILL)
        except OSError:
            continue
    process.wait()
