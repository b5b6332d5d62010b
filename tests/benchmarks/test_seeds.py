from __future__ import annotations

import subprocess
import sys

import torch

from benchmarks.seeds import generator, seed


def test_a_seed_depends_on_its_axes_and_on_nothing_else():
    assert seed("data", target="rings", replicate=1) == seed("data", replicate=1, target="rings")
    seeds = {seed(p, target=t, replicate=r) for p in ("data", "model") for t in ("rings", "moons") for r in range(3)}
    assert len(seeds) == 12
    assert all(0 <= value < 2**63 for value in seeds)


def test_a_seed_is_the_same_in_another_process():
    code = "from benchmarks.seeds import seed; print(seed('data', target='rings', replicate=1))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == seed("data", target="rings", replicate=1)


def test_generators_are_apart():
    first, second = (torch.randn(4, generator=generator("data", target="rings", replicate=r)) for r in (0, 1))
    assert not torch.equal(first, second)
