"""The exact targets that are installed: sampler, density and entropy belong to one law. No name is a special case."""

from __future__ import annotations

import math

import torch
from torch import Generator

from benchmarks import lookup
from benchmarks.checks.waves import characteristic_function, stein, two_samples
from benchmarks.targets.base import ExactTarget
from benchmarks.verify.check import Check
from benchmarks.verify.draws import mean_and_error

GROUP = "targets"
SAMPLES = 20_000
#: The least p-value of a test that passes: of 50 true laws one in two hundred ledgers has one below.
LEAST = 1e-4


def entropies(generator: Generator) -> list[Check]:
    """−E log p* over samples against `entropy()`."""
    checks = []
    for name, target in _targets().items():
        minus = -target.log_prob(target.sample(SAMPLES, generator))
        checks.append(
            # Where the density is uniform, all values are equal up to rounding.
            Check(
                GROUP,
                f"{name}: −E log p*",
                target.entropy(),
                *mean_and_error(minus.numpy()),
                "entropy()",
                tolerance=1e-9,
            )
        )
    return checks


def known_entropies(_: Generator) -> list[Check]:
    """`entropy()` where it is a closed form."""
    square = 1 + math.log(2)
    known = {"laplace": (square, "1 + ln 2"), "uniform": (math.log(2), "ln 2"), "checkerboard": (math.log(8), "ln 8")}
    return [
        Check(GROUP, f"{name}: entropy", truth, _targets()[name].entropy(), 0.0, source, tolerance=1e-9)
        for name, (truth, source) in known.items()
        if name in _targets()
    ]


def densities(generator: Generator) -> list[Check]:
    """On the line and in the plane: the density has mass 1, and its means are those of the samples."""
    checks = []
    for name, target in _targets().items():
        if target.dimension > 2:
            continue
        weight, p_value = characteristic_function(target, target.sample(SAMPLES, generator), generator)
        source = "∫ p* by importance sampling"
        checks.append(Check(GROUP, f"{name}: mass", 1.0, *mean_and_error(weight.numpy()), source, tolerance=1e-9))
        checks.append(_test(f"{name}: characteristic function of density and samples", p_value, "χ² test, 12 waves"))
    return checks


def scores(generator: Generator) -> list[Check]:
    """Above two dimensions: Stein's identity ties the samples to the density."""
    return [
        _test(
            f"{name}: Stein's identity",
            stein(target, target.sample(SAMPLES // 4, generator), generator),
            "χ² test, 12 waves",
        )
        for name, target in _targets().items()
        if target.dimension > 2
    ]


def single_draws(generator: Generator) -> list[Check]:
    """Nothing random is shared within a call: 4,000 points of one call against 4,000 calls for one."""
    checks = []
    for name, target in _targets().items():
        single = torch.cat([target.sample(1, generator) for _ in range(4_000)])
        p_value = two_samples(single, target.sample(4_000, generator), generator)
        checks.append(_test(f"{name}: one by one", p_value, "Kolmogorov–Smirnov, Bonferroni over 4 projections"))
    return checks


def _targets() -> dict[str, ExactTarget]:
    found = {name: plugin.load()() for name, plugin in sorted(lookup.available("target").items())}
    return {name: target for name, target in found.items() if isinstance(target, ExactTarget)}


def _test(name: str, p_value: float, source: str) -> Check:
    return Check(GROUP, f"{name}, p-value", LEAST, p_value, 0.0, source, "at least")


CHECKS = (entropies, known_entropies, densities, scores, single_draws)
