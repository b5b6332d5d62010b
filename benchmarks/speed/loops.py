"""The training step, ours and the plain one: what one step of one replicate costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Generator, Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.seeds import generator
from benchmarks.speed.measurement import Clock
from models.training import GradientTrained, Recipe, fit_replicates

Loss = Callable[[Tensor, Generator], Tensor]


@dataclass
class Ticks:
    """When each optimiser step ended, and how many replicates it moved."""

    times: list[float] = field(default_factory=list)
    together: int = 1

    def typical(self) -> float:
        """The median interval: a step between checkpoints, which is as good as all of them."""
        return median(later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False))


class _Enough(Exception):  # noqa: N818 - no error
    """As many steps have been timed as were asked for."""


@contextmanager
def watched(steps: int, clock: Clock) -> Iterator[Ticks]:
    """Reads the clock at each step of any optimiser inside, and leaves after `steps` intervals.

    So every loop is timed at the same place without being changed, and without being run to its end: an interval is
    all of a step, from the drawing of its batch on.
    """
    ticks = Ticks()

    def read(optimiser: torch.optim.Optimizer, *_: object) -> None:
        ticks.times.append(clock())
        ticks.together = len(optimiser.param_groups[0]["params"][0])
        if len(ticks.times) > steps:
            raise _Enough

    handle = register_optimizer_step_post_hook(read)
    try:
        yield ticks
    except _Enough:
        pass
    finally:
        handle.remove()


def prepared_once(model: type[GradientTrained]) -> type[GradientTrained]:
    """The model with rows that are prepared once for all replicates and repetitions.

    A step costs the same whichever rows it draws, and preparing them (flow matching pairs them with noise by optimal
    transport) may take longer than the steps that are timed.
    """
    rows: dict[int, Tensor] = {}

    class Prepared(model):  # type: ignore[valid-type, misc]
        """As the model."""

        def prepare(self, x: Tensor, generator: Generator) -> Tensor:
            if len(x) not in rows:
                rows[len(x)] = super().prepare(x, generator)
            return rows[len(x)]

    return Prepared


def lockstep_seconds(
    model: type[GradientTrained], x: Tensor, replicates: int, steps: int, clock: Clock, device: str
) -> float:
    """What a step costs each of so many replicates in `fit_replicates` on x (n, d), in seconds: of the first stage."""
    noise = [generator("speed", device, replicate=replicate) for replicate in range(replicates)]
    with torch.enable_grad(), watched(steps, clock) as ticks:
        fit_replicates([model() for _ in noise], [x.to(device)] * replicates, noise)
    return ticks.typical() / ticks.together  # our parameters are (R, P), and R = 1 for a loss that cannot be mapped


@dataclass(frozen=True)
class Task:
    """What a loop needs: whose parameters fall along which loss, on rows x (n, ·), by which recipe."""

    parameters: Sequence[nn.Parameter]
    loss: Loss
    x: Tensor
    recipe: Recipe


def plain_seconds(task: Task, steps: int, clock: Clock, device: str) -> float:
    """What a step costs in the loop that a careful student writes, in seconds.

    A DataLoader over a TensorDataset, AdamW and LambdaLR with their defaults, the loss logged at each step. It does
    less than ours, which also clips gradients.
    """
    recipe, noise = task.recipe, generator("speed", device, replicate=0)
    loader = DataLoader(
        TensorDataset(task.x), recipe.batch_size, shuffle=True, drop_last=True, generator=generator("loader")
    )
    optimiser = torch.optim.AdamW(task.parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / 1e4)))
    log: list[float] = []
    with torch.enable_grad(), watched(steps, clock) as ticks:
        while True:
            for (batch,) in loader:
                optimiser.zero_grad()
                loss = task.loss(batch.to(device), noise)
                loss.backward()
                log.append(loss.item())
                optimiser.step()
                schedule.step()
    return ticks.typical()


def tasks_of(model: type[GradientTrained], x: Tensor, device: str) -> list[Task]:
    """The stages of one model for data x (n, d), with the parameters that training starts from."""
    one, noise = model(), generator("speed", device, replicate=0)
    one.build(x.to(device), noise)
    rows = one.prepare(x.to(device), noise).to("cpu")
    found = []
    for stage in one.stages():
        moving = [value for name, value in one.named_parameters() if not stage.trains or name.startswith(stage.trains)]
        found.append(Task(moving, _bound(stage.loss, one), rows, stage.recipe))
    return found


def _bound(loss: Callable[..., Tensor], model: GradientTrained) -> Loss:
    return lambda x, noise: loss(model, x, noise)


def flops(task: Task, device: str) -> int:
    """Floating-point operations of the matrix products in one step of one replicate, forward and backward."""
    noise = generator("speed", device, replicate=0)
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        task.loss(task.x[: task.recipe.batch_size].to(device), noise).backward()
    return counter.get_total_flops()


def peak_flops_per_second(clock: Clock, device: str, size: int = 1024, repetitions: int = 10) -> float:
    """The best of a few products of two fp32 matrices of this size: what the machine can do, on one thread."""
    a = torch.randn(size, size, device=device, generator=generator("peak", device))
    return 2 * size**3 / min(clock.of(lambda: torch.mm(a, a)) for _ in range(repetitions))
