"""Training: ours in lockstep against the plain loop, and the share of the machine's arithmetic that it reaches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from statistics import median

from torch import Tensor

from benchmarks import lookup
from benchmarks.seeds import generator
from benchmarks.speed import rivals
from benchmarks.speed.loops import (
    Task,
    flops,
    lockstep_seconds,
    peak_flops_per_second,
    plain_seconds,
    prepared_once,
    tasks_of,
)
from benchmarks.speed.measurement import Clock, Extent, Row, compared, interleaved, single
from models.gaussian_vae import GaussianVAE
from models.l2_autoencoder import L2Autoencoder
from models.normalizing_flow import NormalizingFlow
from models.training import GradientTrained
from models.whitening import Standardization

STEP, PEAK = "training step", "arithmetic"
PLAIN = "plain loop"
UNIT = "ms a step and replicate"
ROWS = 20_000
#: Times less CPU than the plain loop that the project set itself, at so many replicates.
GOALS: dict[type[GradientTrained], int] = {GaussianVAE: 4, L2Autoencoder: 4, NormalizingFlow: 2}
AT_GOAL = 8

Ways = dict[str, Callable[[], float]]


def gradient_trained() -> dict[str, type[GradientTrained]]:
    """Every installed model that trains by a loss, by name."""
    found = {name: plugin.load() for name, plugin in sorted(lookup.available("model").items())}
    return {
        name: model for name, model in found.items() if inspect.isclass(model) and issubclass(model, GradientTrained)
    }


def training_rows(extent: Extent, device: str) -> list[Row]:
    """Each model in lockstep of R = 1, 3, 8, 32 against the plain loop over its own loss, and against its rivals."""
    peak = peak_flops_per_second(Clock(device), device)
    return [row for target in extent.steps for row in _on_target(target, extent, peak, device)]


def _on_target(target: str, extent: Extent, peak: float, device: str) -> list[Row]:
    x, _ = lookup.find("target", target).load()().split(ROWS, 1, generator("speed data", target=target))
    counts = extent.steps[target]
    found: list[Row] = []
    for name, model in gradient_trained().items():
        task = tasks_of(model, x, device)[0]
        theirs = _plain_ways(model, task, x, max(counts.values()), device)
        once = prepared_once(model)
        ours: Ways = {
            f"lockstep of {count}": partial(lockstep_seconds, once, x, count, steps, Clock(device), device)
            for count, steps in counts.items()
        }
        seconds = interleaved(theirs | ours, extent.repetitions)
        case, goal = f"{name}, {target}", f"≥ {GOALS[model]}" if model in GOALS else ""
        for plain in theirs:
            for way in ours:
                aim = goal if (plain, way) == (PLAIN, f"lockstep of {AT_GOAL}") else ""
                found.append(compared(STEP, case, (way, seconds[way]), (plain, seconds[plain]), UNIT, 1e3, aim))
        work = flops(task, device)
        for way in (PLAIN, *ours):
            reached = work / median(seconds[way])
            sides = (way, reached / 1e9), ("torch.mm, 1024²", peak / 1e9)
            found.append(single(PEAK, case, *sides, "GFLOP/s", reached / peak))
    return found


def _plain_ways(model: type[GradientTrained], task: Task, x: Tensor, steps: int, device: str) -> Ways:
    """The plain loop over the model's own loss, and over what others would write in its place."""
    clock = Clock(device)
    ways: Ways = {PLAIN: partial(plain_seconds, task, steps, clock, device)}
    standardised = Standardization(x)(x).float()
    rival = rivals.rival_of(model)
    if rival is not None:
        called, make = rival
        module, loss = make(x.shape[1])
        other = Task(list(module.to(device).parameters()), loss, standardised, task.recipe)
        ways[called] = partial(plain_seconds, other, steps, clock, device)
    if model is GaussianVAE and device == "cpu" and rivals.pythae_is_installed():
        ways["pythae's trainer"] = partial(rivals.pythae_seconds, standardised, task.recipe, steps, clock)
    return ways
