"""The one training loop: replicates in lockstep, one batched step for all of them.

A model that is trained by gradients inherits `GradientTrained` and gives `build` and `loss`, written for one
replicate in plain PyTorch. The loop stacks the parameters of all replicates (`torch.func.stack_module_state`) and
maps the loss over them (`torch.vmap`), because small networks on small batches are bound by the cost of calling
operations, not by arithmetic. Adam acts elementwise, so stacked replicates train exactly as they would alone.
A model that cannot be mapped (nflows' splines index by masks) trains one replicate at a time through the same code.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from models.base import Budget, BudgetExceededError, DivergedError, History, Model

CHECKPOINTS = 40


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


class GradientTrained(Model):
    """A model with a loss. `fit` builds it, trains it and calls `finish`."""

    recipe: Recipe = Recipe()

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The scalar loss of a minibatch x (batch, d), averaged over points, so that batches of any size compare.

        x comes in the target's units and in float64, like all data: whiten it first, then go to float32.
        """
        raise TypeError(f"{type(self).__name__} is gradient-trained and needs a method loss(x, generator)")

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

    for model, x, generator in zip(trained, data, generators, strict=True):
        model.build(x, generator)
        _check_parameters(model, budget)
    splits = [_hold_out(x, trained[0].recipe.holdout, generator) for x, generator in zip(data, generators, strict=True)]
    alike = len({(len(fitting), len(held_out)) for fitting, held_out in splits}) == 1
    together = len(trained) > 1 and alike and _can_be_mapped(trained, splits[0][0])
    groups = [list(range(len(trained)))] if together else [[index] for index in range(len(trained))]

    histories: list[History] = []
    for group in groups:
        histories += _optimise(
            [trained[index] for index in group],
            torch.stack([splits[index][0] for index in group]),
            torch.stack([splits[index][1] for index in group]),
            [generators[index] for index in group],
            budget,
        )
    for model, x, generator in zip(trained, data, generators, strict=True):
        model.double()
        model.requires_grad_(False)
        model.finish(x, generator)
    return histories


def _optimise(
    models: Sequence[GradientTrained],
    fitting: Tensor,
    held_out: Tensor,
    generators: Sequence[Generator],
    budget: Budget,
) -> list[History]:
    """The loop. fitting (R, n, d) and held_out (R, m, d); leaves each model at its best checkpoint."""
    recipe = models[0].recipe
    steps = budget.steps(recipe.steps)
    replicates, n, _ = fitting.shape
    rows = torch.arange(replicates, device=fitting.device)[:, None]
    parameters, loss = _stack(models, generators[0])
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    warmup = min(recipe.warmup, max(1, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )

    histories = [History() for _ in models]
    best = {name: value.detach().clone() for name, value in parameters.items()}
    best_loss = torch.full((replicates,), math.inf, device=fitting.device)
    running = torch.zeros(replicates, device=fitting.device)
    every = max(1, steps // CHECKPOINTS)
    since = 0
    started = time.process_time()

    for step in range(1, steps + 1):
        index = torch.stack([torch.randint(n, (recipe.batch_size,), generator=g, device=g.device) for g in generators])
        optimiser.zero_grad()
        losses = loss(fitting[rows, index])
        losses.sum().backward()
        _clip(parameters, recipe.clip)
        optimiser.step()
        schedule.step()
        running += losses.detach()
        since += 1
        if step % every and step < steps:
            continue

        with torch.no_grad():
            validation = loss(held_out) if held_out.shape[1] else running / since
        improved = validation < best_loss
        best_loss = torch.where(improved, validation, best_loss)
        for name, value in parameters.items():
            best[name][improved] = value.detach()[improved]
        for history, train, valid in zip(histories, (running / since).tolist(), validation.tolist(), strict=True):
            history.step.append(step)
            history.training.append(train)
            history.validation.append(valid)
        if not torch.isfinite(running).all():
            raise DivergedError(f"the training loss is not finite by step {step} of {steps}")
        if budget.cpu_seconds is not None and time.process_time() - started > budget.cpu_seconds * replicates:
            raise BudgetExceededError(
                f"training used more than {budget.cpu_seconds:g} CPU seconds a replicate by step {step} of {steps}"
            )
        running.zero_()
        since = 0

    for position, model in enumerate(models):
        own = dict(model.named_parameters())
        with torch.no_grad():
            for name, value in best.items():
                own[name].copy_(value[position])
    return histories


class _Loss(nn.Module):
    """`loss` as a forward pass, which is what `functional_call` calls."""

    def __init__(self, model: GradientTrained) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, generator: Generator) -> Tensor:
        return self.model.loss(x, generator)


def _stack(
    models: Sequence[GradientTrained], generator: Generator
) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """The stacked parameters (R, ...) and the loss of a stacked batch (R, batch, d) as a function of it, (R,)."""
    stacked, buffers = torch.func.stack_module_state([_Loss(model) for model in models])
    skeleton = copy.deepcopy(_Loss(models[0]))
    if len(models) == 1:

        def alone(x: Tensor) -> Tensor:
            state = {name: value[0] for name, value in (stacked | buffers).items()}
            return torch.func.functional_call(skeleton, state, (x[0], generator))[None]

        loss = alone
    else:

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return torch.func.functional_call(skeleton, (parameters, buffers), (x, generator))

        mapped = torch.vmap(one, randomness="different")

        def together(x: Tensor) -> Tensor:
            return mapped(stacked, buffers, x)

        loss = together
    return {name.removeprefix("model."): value for name, value in stacked.items()}, loss


def _can_be_mapped(models: Sequence[GradientTrained], x: Tensor) -> bool:
    """Whether `vmap` can trace the loss: tried once on a few points, with a generator of its own."""
    generator = torch.Generator(device=x.device).manual_seed(0)
    few = x[:4].expand(len(models), -1, -1)
    try:
        _, loss = _stack([copy.deepcopy(model) for model in models], generator)
        loss(few).sum().backward()
    except (RuntimeError, ValueError):
        return False
    return True


def _clip(parameters: dict[str, Tensor], bound: float) -> None:
    """Scale each replicate's gradient to at most `bound`, on its own: replicates do not know of each other."""
    gradients = [value.grad for value in parameters.values() if value.grad is not None]
    squared = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (bound / squared.sqrt().clamp_min(1e-12)).clamp_max(1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *([1] * (gradient.dim() - 1))))


def _hold_out(x: Tensor, share: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """A random split of x into what is fitted to and what chooses the checkpoint."""
    order = torch.randperm(len(x), generator=generator, device=generator.device)
    held = int(share * len(x)) if share > 0 else 0
    return x[order[held:]], x[order[:held]]


def _check_parameters(model: Model, budget: Budget) -> None:
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if budget.parameters is not None and count > budget.parameters:
        raise ValueError(f"{count:,} parameters, and the suite allows {budget.parameters:,}")
