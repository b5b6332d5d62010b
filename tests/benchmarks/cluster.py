"""A Dask scheduler and workers as separate processes, each started in a folder of its own, as on other machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from distributed import Client

REPOSITORY = Path(__file__).resolve().parents[2]


class Cluster:
    """Processes that the test started, and that end with it.

    options: of every process. prefix: put before a command line, such as `ip netns exec NAME`.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = (), host: str = "127.0.0.1", protocol: str = "tcp"
    ) -> None:
        self.folder = folder
        self.options = list(options)
        self.processes: dict[str, subprocess.Popen] = {}
        self.port = free_port()
        self.host = host
        self.address = f"{protocol}://{host}:{self.port}"

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def scheduler(self, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Cluster:
        """Start the scheduler."""
        listen = ["--host", self.address.replace(f":{self.port}", ""), "--port", str(self.port)]
        self._start("scheduler", [*prefix, *_dask("scheduler"), *listen, "--no-dashboard", *self.options], env)
        return self

    def worker(
        self, name: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> Cluster:
        """Start a worker, without the nanny that would bring it back."""
        line = [
            *prefix,
            *_dask("worker"),
            self.address,
            "--nthreads",
            "1",
            "--name",
            name,
            "--no-dashboard",
            "--no-nanny",
        ]
        self._start(name, [*line, *self.options, *options], env)
        return self

    def wait_for(self, workers: int) -> Cluster:
        """Until so many workers have joined."""
        with Client(self.address, timeout="60s") as client:
            client.wait_for_workers(workers, timeout=60)
        return self

    def kill(self, name: str) -> None:
        """End a worker and its nanny without a word, as a machine does that loses its power."""
        for pid in _tree(self.processes[name].pid):
            os.kill(pid, 9)

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / name / "log").read_text()

    def _start(self, name: str, line: list[str], env: Mapping[str, str] | None = None) -> None:
        place = self.folder / name
        place.mkdir(parents=True)
        paths = [*(env or {}).get("PYTHONPATH", "").split(os.pathsep), str(REPOSITORY)]
        environment = {**os.environ, **(env or {}), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        environment |= {"OMP_NUM_THREADS": "1", "DASK_TEMPORARY_DIRECTORY": str(place)}
        with (place / "log").open("w") as log:
            process = subprocess.Popen(line, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.processes[name] = process


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(condition, seconds: float = 60) -> None:
    """Wait for it."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come"
        time.sleep(0.05)


def _dask(command: str) -> list[str]:
    return [sys.executable, "-m", "dask", command]


def _tree(pid: int) -> list[int]:
    import psutil

    process = psutil.Process(pid)
    return [process.pid, *(child.pid for child in process.children(recursive=True))]
