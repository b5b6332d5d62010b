"""The boundary with the harness: a fitted model and held-out samples in, every score out, whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from metrics import likelihood
from metrics.catalogue import METRICS
from metrics.distances import DISTANCES, Reference, sample
from metrics.held_out import HeldOut, Sizes
from metrics.integral import Integral, Rule, completed, exact, integrated_kl
from metrics.maps import map_scores
from metrics.modes import Bank
from metrics.outcome import Failure, attempt, known
from metrics.score import Score
from models.base import DensityModel, LatentModel, Model, TransportModel

_MAP = ("map_l2_uvp", "map_cosine")
_KEPT_SAMPLES = 2_000


@dataclass
class Scores:
    """values: every name of `METRICS`. arrays: what the store keeps, by name, one row per point."""

    values: dict[str, Score]
    arrays: dict[str, Tensor]


def score(model: Model, held_out: HeldOut, reference: Reference, sizes: Sizes, generator: Generator) -> Scores:
    """Every score of one fitted model. A metric that raises is "failed", with the reason, and costs no other."""
    streams = [_spawn(generator) for _ in range(4)]
    result = Scores({}, {})

    def run(names: tuple[str, ...], metric: Callable[[], dict[str, Score]]) -> None:
        outcome = attempt(metric)
        if isinstance(outcome, Failure):
            outcome = dict.fromkeys(names, Score.absent("failed", outcome.reason))
        result.values |= outcome

    with torch.no_grad():
        samples = attempt(lambda: sample(model, held_out, sizes, streams[0]))
        if not isinstance(samples, Failure):
            result.arrays["samples"] = samples[0][:_KEPT_SAMPLES].clone()
        for names, distances in DISTANCES.items():
            run(names, partial(distances, samples, held_out, reference, sizes))
        run(_MAP, lambda: _map(model, held_out))
        bank = attempt(lambda: Bank.of(model, streams[3])) if isinstance(model, LatentModel) else None
        run(likelihood.NAMES, lambda: _likelihood(model, held_out, sizes, bank, streams[1], result.arrays))
        run(likelihood.SANDWICH, lambda: _sandwich(model, sizes, bank, streams[2], result.arrays))
    return Scores({name: result.values[name] for name in METRICS}, result.arrays)


def _map(model: Model, held_out: HeldOut) -> dict[str, Score]:
    if held_out.optimal_map is None:
        return dict.fromkeys(_MAP, Score.absent("n/a", "the optimal map to the target is not known"))
    if not isinstance(model, TransportModel):
        return dict.fromkeys(_MAP, Score.absent("n/a", "the model is not a map of N(0, I)"))
    z, exact = held_out.optimal_map
    return dict(zip(_MAP, map_scores(model.transport(z).double(), exact, z), strict=True))


def _likelihood(
    model: Model,
    held_out: HeldOut,
    sizes: Sizes,
    bank: Bank | Failure | None,
    generator: Generator,
    arrays: dict[str, Tensor],
) -> dict[str, Score]:
    match model:
        case DensityModel():
            x = held_out.test[: sizes.likelihood]
            points = likelihood.of_density(model, x)
        case LatentModel():
            x = held_out.test[: sizes.latent]
            points = likelihood.of_latent(model, x, sizes.importance_samples, sizes.gaps, known(bank), generator)
        case _:
            return dict.fromkeys(likelihood.NAMES, Score.absent("n/a", "the model has neither a density nor a latent"))
    arrays |= {"log_prob": points.log_prob, "elbo": points.elbo}
    if points.estimate is not None:
        arrays |= {"effective_samples": points.estimate.effective, "pareto_k": points.estimate.k}
    if points.best is not None:
        arrays |= {"best_elbo": points.best.elbo}
    log_target = None if held_out.log_prob is None else held_out.log_prob[: len(x)]
    found = likelihood.scores(points, log_target)
    if not held_out.rules or (isinstance(model, LatentModel) and not known(bank).quadrature.applies):
        return found

    def integrate(rule: Rule) -> Integral:
        if isinstance(model, DensityModel):
            return exact(rule, likelihood.of_density(model, rule.x).log_prob)
        # Nodes are many: a quarter of the draws at each will do.
        draws = sizes.importance_samples // 4
        values, _ = known(bank).quadrature.log_prob(rule.x)
        return completed(
            rule, values, lambda x: likelihood.beyond_grids(model, x, draws, known(bank), generator), generator
        )

    kl = attempt(lambda: integrated_kl(held_out.rules, integrate, found["kl"]))
    # A model that cannot be evaluated at the nodes, far out as some are, keeps the mean over the points.
    return found if isinstance(kl, Failure) else likelihood.with_integral(found, kl)


def _sandwich(
    model: Model, sizes: Sizes, bank: Bank | Failure | None, generator: Generator, arrays: dict[str, Tensor]
) -> dict[str, Score]:
    match model:
        case DensityModel():
            exact = Score.absent("n/a", "the density is exact: there is nothing to bound")
            return dict.fromkeys(likelihood.SANDWICH, exact) | {"sandwich_width": Score.of(0.0, 0.0)}
        case LatentModel():
            bounds, values = likelihood.sandwich(model, sizes.importance_samples, known(bank), generator)
            arrays |= values
            return bounds
        case _:
            return dict.fromkeys(
                likelihood.SANDWICH, Score.absent("n/a", "the model has neither a density nor a latent")
            )


def _spawn(generator: Generator) -> Generator:
    """A generator of its own for each metric, so that one that fails leaves the numbers of the others alone."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator().manual_seed(seed)
