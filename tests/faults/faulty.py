"""Models that misbehave while they are fitted or asked, each in its own way, until there is a file `healthy`.

All of them are then the moment-matched Gaussian: what a run gives in the end can be held against an undisturbed one.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from pathlib import Path

import torch

from models.base import Budget, History
from models.gaussian import Gaussian


def is_healthy() -> bool:
    return Path("healthy").exists()


class Slow(Gaussian):
    """Says that it has started, and takes a moment."""

    seconds = 2.0

    def fit(self, x, generator, budget: Budget = Budget()) -> History:
        Path("started").write_text(str(os.getpid()))
        time.sleep(self.seconds)
        return super().fit(x, generator, budget)


class Slower(Slow):
    """Takes longer than a cell may have when its worker dies, to be tried once more."""

    seconds = 10.0


class Endless(Gaussian):
    """Says that it has started, and does not come back, unless it is healthy."""

    def fit(self, x, generator, budget: Budget = Budget()) -> History:
        Path("started").write_text(str(os.getpid()))
        while not is_healthy():
            time.sleep(0.1)
        return super().fit(x, generator, budget)


class Faulty(Gaussian):
    def fit(self, x, generator, budget: Budget = Budget()) -> History:
        if not is_healthy():
            self.go_wrong()
        return super().fit(x, generator, budget)

    def go_wrong(self) -> None:
        raise NotImplementedError


class Segfaults(Faulty):
    def go_wrong(self):
        ctypes.string_at(0)


class Aborts(Faulty):
    def go_wrong(self):
        os.abort()


class Exits(Faulty):
    def go_wrong(self):
        sys.exit(3)


class ExitsAtOnce(Faulty):
    def go_wrong(self):
        os._exit(0)


class KillsItself(Faulty):
    def go_wrong(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Faulty):
    def go_wrong(self):
        while True:
            time.sleep(60)


class HangsInC(Faulty):
    """Never gives the interpreter's lock back: neither a signal handler nor another thread gets a turn."""

    def go_wrong(self):
        re.match(r"(a|a)+$", "a" * 200 + "b")


class Stops(Faulty):
    """Is stopped, as by a debugger or a batch system: not even its own watchdog gets a turn."""

    def go_wrong(self):
        os.kill(os.getpid(), signal.SIGSTOP)


class Eats(Faulty):
    """Allocates without end, bit by bit."""

    def go_wrong(self):
        hoard = []
        while True:
            hoard.append(torch.ones(4_000_000))
            time.sleep(0.005)


class Gulps(Faulty):
    """Allocates eight times the limit at once, and fills it."""

    def go_wrong(self):
        torch.ones(1_500_000_000, dtype=torch.float64)


class AsksForTooMuch(Faulty):
    """Wants more than any machine has."""

    def go_wrong(self):
        torch.empty(1 << 50)


class Prints(Faulty):
    """Prints megabytes, and is fine otherwise."""

    def go_wrong(self):
        for stream in (sys.stdout, sys.stderr):
            print("all work and no play " * 200_000, file=stream, flush=True)
        os.write(1, b"\xff\x00\x1b[31m" * 500_000)


class RaisesMegabytes(Faulty):
    def go_wrong(self):
        raise RuntimeError("no luck\n" * 1_000_000)


class RaisesNoText(Faulty):
    """Raises with what cannot be encoded, and with what a terminal would obey."""

    def go_wrong(self):
        raise RuntimeError("bad \udcff\x00\x1b[31m name")


class CannotBeKept(Faulty):
    """Has a state that safetensors cannot hold."""

    def go_wrong(self):
        self.ballast = True

    def state_dict(self, *arguments, **options):
        ballast = {"ballast": object()} if getattr(self, "ballast", False) else {}
        return super().state_dict(*arguments, **options) | ballast


class HalfPrecision(Gaussian):
    """Has a buffer of a type that numpy does not know: no fault at all."""

    def fit(self, x, generator, budget: Budget = Budget()) -> History:
        self.register_buffer("coarse", torch.ones(3, dtype=torch.bfloat16))
        return super().fit(x, generator, budget)


class SamplesNaN(Gaussian):
    def sample(self, n, generator):
        return super().sample(n, generator) * (1.0 if is_healthy() else float("nan"))


class SamplesWrongShape(Gaussian):
    def sample(self, n, generator):
        samples = super().sample(n, generator)
        return samples if is_healthy() else torch.cat([samples, samples], dim=1)


class DensityNaN(Gaussian):
    """Has a density that is no number: other scores are as good as before, so the cell is no failure."""

    def log_prob(self, x):
        return super().log_prob(x) * float("nan")


class DensityWrongShape(Gaussian):
    def log_prob(self, x):
        return super().log_prob(x) if is_healthy() else super().log_prob(x)[:, None].expand(-1, 3)
