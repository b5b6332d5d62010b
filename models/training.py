"""The one training loop: replicates in lockstep, one batched step for all of them.

A model that is trained by gradients inherits `GradientTrained` and gives `build` and `loss`, written for one
replicate in plain PyTorch; `models.lockstep` makes one step of all replicates of it. Adam acts elementwise, so stacked
replicates train exactly as they would alone. A model that cannot be mapped trains one replicate at a time through the
same code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from models.base import Budget, BudgetExceededError, DivergedError, History, Model
from models.lockstep import Lockstep, Loss, Step

CHECKPOINTS = 40
SMALLER = 0.2  # of the learning rate, for the one retry of a replicate that diverged
WORTH_RECORDING = 500  # steps: recording one costs as much as a few hundred of them


@dataclass(frozen=True)
class Recipe:
    """How a model is optimised: AdamW, linear warm-up, cosine to zero, the best of a few dozen checkpoints kept.

    holdout is the share of the training set that chooses between checkpoints; clip bounds each replicate's gradient.
    """

    steps: int = 4000
    batch_size: int = 128
    learning_rate: float = 1e-2
    warmup: int = 200
    weight_decay: float = 0.0
    holdout: float = 0.05
    clip: float = 10.0


@dataclass(frozen=True)
class Stage:
    """One optimisation of a model: which loss falls, how, and what moves.

    loss: a method of the model's class, `loss(self, x, generator)`. trains: the names of the submodules and parameters
    that move, none for all of them.
    """

    loss: Loss
    recipe: Recipe
    trains: tuple[str, ...] = ()


class GradientTrained(Model):
    """A model with a loss. `fit` builds it, trains it stage by stage and calls `finish`."""

    recipe: Recipe = Recipe()

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The scalar loss of a minibatch x (batch, ·) of prepared rows, averaged over them, so that any size compares.

        A function of the parameters, x and the generator alone: it is recorded once and then replayed. (One that
        changes from call to call, by a counter in Python say, is noticed and called plainly, which is slower.)
        """
        raise TypeError(f"{type(self).__name__} is gradient-trained and needs a method loss(x, generator)")

    def prepare(self, x: Tensor, generator: Generator) -> Tensor:
        """The rows that `loss` is given minibatches of, from training samples x (n, d), float64, in the target's units.

        Called after `build`, once for the rows that are fitted to and once for those held out. What is the same in
        every step belongs here, whitening above all. Default: x itself.
        """
        return x

    def stages(self) -> Sequence[Stage]:
        """The optimisations, in their order. Default: one, of all parameters by `loss` and `recipe`."""
        return [Stage(type(self).loss, self.recipe)]

    def finish(self, x: Tensor, generator: Generator) -> None:
        """What is estimated after training, on the whole training set x (n, d), float64. Default: nothing."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Train on x (n, d) alone: a lockstep of one."""
        return fit_replicates([self], [x], [generator], budget)[0]


def fit_replicates(
    models: Sequence[Model], data: Sequence[Tensor], generators: Sequence[Generator], budget: Budget = Budget()
) -> list[History]:
    """Fit one model per replicate, each to its own data (n, d): in lockstep if they can be, else one by one.

    Raises DivergedError, BudgetExceededError, and whatever a model's own `fit` raises.
    """
    trained = [model for model in models if isinstance(model, GradientTrained)]
    if len(trained) < len(models) or any(type(model).fit is not GradientTrained.fit for model in trained):
        return [model.fit(x, generator, budget) for model, x, generator in zip(models, data, generators, strict=True)]

    clock = _Clock(budget, len(models))
    for model, x, generator in zip(trained, data, generators, strict=True):
        model.build(x, generator)
        _check_parameters(model, budget)
    replicates: list[_Replicate] = []
    for model, x, generator in zip(trained, data, generators, strict=True):
        fitting, held_out = (model.prepare(rows, generator) for rows in _hold_out(x, model.recipe.holdout, generator))
        replicates.append(_Replicate(model, fitting, held_out, generator))

    for stage in range(len(trained[0].stages())):
        for group in _groups(replicates, stage):
            _train(group, stage, budget, clock)
    for model, x, generator in zip(trained, data, generators, strict=True):
        model.double()
        model.requires_grad_(False)
        model.finish(x, generator)
    return [replicate.history for replicate in replicates]


@dataclass(frozen=True)
class _Replicate:
    """A model and what it is trained by: prepared rows to fit to (n, ·), others held out (m, ·); and its curve."""

    model: GradientTrained
    fitting: Tensor
    held_out: Tensor
    generator: Generator
    history: History = field(default_factory=History)


def _groups(replicates: list[_Replicate], number: int) -> list[list[_Replicate]]:
    """Which replicates train together in this stage: all of them, or each alone."""
    apart = [[replicate] for replicate in replicates]
    if len(replicates) == 1 or len({(each.fitting.shape, each.held_out.shape) for each in replicates}) > 1:
        return apart
    first = replicates[0]
    stage = first.model.stages()[number]
    lockstep = Lockstep([each.model for each in replicates], stage.loss, stage.trains, first.generator)
    together = lockstep.can_be_mapped(torch.stack([each.fitting[:4] for each in replicates]))
    return [replicates] if together else apart


def _train(replicates: list[_Replicate], number: int, budget: Budget, clock: _Clock) -> None:
    """One stage of a group, and once more with a smaller step for the replicates that diverged.

    Leaves each model at its best checkpoint. Raises DivergedError.
    """
    stage = replicates[0].model.stages()[number]
    diverged = _optimise(replicates, stage, budget, clock)
    if not diverged:
        return
    smaller = replace(stage, recipe=replace(stage.recipe, learning_rate=SMALLER * stage.recipe.learning_rate))
    still = _optimise(diverged, smaller, budget, clock)
    if still:
        raise DivergedError(
            f"the training loss of {len(still)} of {len(replicates)} replicates is not finite, at a learning rate of "
            f"{stage.recipe.learning_rate:g} and again at {smaller.recipe.learning_rate:g}"
        )


def _optimise(
    replicates: list[_Replicate], stage: Stage, budget: Budget, clock: _Clock, recording: bool = True
) -> list[_Replicate]:
    """The loop. Leaves each model at its best checkpoint, and returns those that diverged, which it leaves alone."""
    recipe = stage.recipe
    steps = budget.steps(recipe.steps)
    fitting = torch.stack([each.fitting for each in replicates])  # (R, n, ·)
    held_out = torch.stack([each.held_out for each in replicates])
    generators = [each.generator for each in replicates]
    count, n = fitting.shape[:2]
    rows = torch.arange(count, device=fitting.device)[:, None]
    lockstep = Lockstep([each.model for each in replicates], stage.loss, stage.trains, generators[0])
    parameters = lockstep.parameters.clone().requires_grad_()
    optimiser = torch.optim.AdamW([parameters], lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    rate = _schedule(recipe, steps)

    def batch() -> Tensor:
        shape = (recipe.batch_size,)
        index = torch.stack([torch.randint(n, shape, generator=g, device=g.device) for g in generators])
        return fitting[rows, index]

    recorded = lockstep.recorded(batch()) if recording and steps >= WORTH_RECORDING else None
    gradient = recorded or lockstep.gradient
    curves = [History() for _ in replicates]
    best, best_loss = parameters.detach().clone(), torch.full((count,), math.inf, device=fitting.device)
    running, since = torch.zeros(count, device=fitting.device), 0
    every = max(1, steps // CHECKPOINTS)

    with torch.no_grad():
        for step in range(1, steps + 1):
            x = batch()
            checkpoint = step % every == 0 or step == steps
            if checkpoint and recorded is not None and not _agrees(lockstep, recorded, parameters, x, generators[0]):
                return _optimise(replicates, stage, budget, clock, recording=False)
            parameters.grad, losses = gradient(parameters.detach(), x)
            parameters.grad *= (recipe.clip / parameters.grad.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1.0)
            optimiser.param_groups[0]["lr"] = rate(step)
            optimiser.step()
            running += losses
            since += 1
            if not checkpoint:
                continue

            validation = lockstep.losses(parameters, held_out) if held_out.shape[1] else running / since
            improved = validation < best_loss
            best_loss = torch.where(improved, validation, best_loss)
            best[improved] = parameters[improved]
            for curve, train, valid in zip(curves, (running / since).tolist(), validation.tolist(), strict=True):
                curve.step.append(step)
                curve.training.append(train)
                curve.validation.append(valid)
            finite = torch.isfinite(running)
            if not finite.any():
                break
            clock.check(f"step {step} of {steps}")
            running, since = torch.where(finite, 0.0, running), 0  # what is not finite once stays a mark

    finite &= torch.isfinite(best_loss)
    lockstep.write_back(torch.where(finite[:, None], best, lockstep.parameters))
    good = finite.tolist()
    for replicate, curve, kept in zip(replicates, curves, good, strict=True):
        if kept:
            replicate.history.extend(curve)
    return [replicate for replicate, kept in zip(replicates, good, strict=True) if not kept]


def _agrees(lockstep: Lockstep, recorded: Step, parameters: Tensor, x: Tensor, generator: Generator) -> bool:
    """Whether the recorded loss is still the loss; the generator is left as it was."""
    state = generator.get_state()
    _, replayed = recorded(parameters.detach(), x)
    generator.set_state(state)
    called = lockstep.losses(parameters.detach(), x)
    generator.set_state(state)
    return torch.allclose(replayed, called, rtol=1e-3, atol=1e-5, equal_nan=True)


def _schedule(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The learning rate of step 1, 2, …: linear warm-up, cosine to zero (Loshchilov & Hutter 2017)."""
    warmup = min(recipe.warmup, max(1, steps // 10))

    def rate(step: int) -> float:
        return recipe.learning_rate * min(1.0, step / warmup) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))

    return rate


class _Clock:
    """The CPU time of a fit, held against the suite's limit."""

    def __init__(self, budget: Budget, replicates: int) -> None:
        self._limit = None if budget.cpu_seconds is None else budget.cpu_seconds * replicates
        self._per_replicate = budget.cpu_seconds
        self._started = time.process_time()

    def check(self, where: str) -> None:
        """Raises BudgetExceededError when the time is up."""
        if self._limit is not None and time.process_time() - self._started > self._limit:
            raise BudgetExceededError(
                f"training used more than {self._per_replicate:g} CPU seconds a replicate by {where}"
            )


def _hold_out(x: Tensor, share: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """A random split of x into what is fitted to and what chooses the checkpoint."""
    order = torch.randperm(len(x), generator=generator, device=generator.device)
    held = int(share * len(x)) if share > 0 else 0
    return x[order[held:]], x[order[:held]]


def _check_parameters(model: Model, budget: Budget) -> None:
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if budget.parameters is not None and count > budget.parameters:
        raise ValueError(f"{count:,} parameters, and the suite allows {budget.parameters:,}")
