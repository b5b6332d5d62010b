"""The boundary with the harness: a fitted model and held-out samples in, every score out, whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Generator, Tensor

from metrics import likelihood
from metrics.averages import doubted
from metrics.catalogue import METRICS
from metrics.score import Score
from metrics.sliced import Slices, draw_directions, sliced_scores, slices
from metrics.wasserstein import Array, Transport, debiased, doubt_of_samples, plain, solve, solve_sorted
from models.base import DensityModel, LatentModel, Model

_SAMPLE_CHUNK = 10_000
T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """How many points each metric uses: what a suite sets. A metric uses fewer where there are fewer.

    wasserstein: points of the exact W2; sliced: of the sliced W2, and of W1 and W2 in one dimension;
    projections: directions of the sliced W2; likelihood: held-out points for exact log-densities; latent: for those
    of a latent-variable model; importance_samples: draws per such point.
    """

    wasserstein: int = 2_000
    sliced: int = 50_000
    projections: int = 256
    likelihood: int = 10_000
    latent: int = 2_000
    importance_samples: int = 1_000


@dataclass(frozen=True)
class HeldOut:
    """What models of one target and replicate are scored on, the same for all of them.

    test: (m, d) held-out samples, float64; its halves are the Q and Q′ of the Wasserstein distances.
    log_prob: log p*(test) (m,), None for real data. moments: E|x|^r is finite for every r below this.
    """

    test: Tensor
    log_prob: Tensor | None
    moments: float


@dataclass(frozen=True)
class Failure:
    """In place of a result: why there is none."""

    reason: str


@dataclass(frozen=True)
class Reference:
    """What is computed once per target and replicate: transports between Q and Q′. Compact, and can be pickled.

    None is for what does not apply: all of it in one dimension, where sorting again is cheaper than keeping.
    """

    exact: Transport | Failure | None
    slices: Slices | Failure | None


@dataclass
class Scores:
    """values: every name of `METRICS`. arrays: what the store keeps, by name, one row per point."""

    values: dict[str, Score]
    arrays: dict[str, Tensor]


def reference(held_out: HeldOut, sizes: Sizes, generator: Generator) -> Reference:
    """The part of the scores that no model changes. It never raises for a failing metric: `score` reports it."""
    d = held_out.test.shape[1]
    if d == 1 or _missing_moment(held_out, 2) is not None:
        return Reference(None, None)
    directions = draw_directions(d, sizes.projections, generator)

    def exact() -> Transport:
        q, q2 = (half[: sizes.wasserstein] for half in _halves(held_out, sizes))
        return solve(q, q2)

    def sliced() -> Slices:
        q, q2 = (half[: sizes.sliced] for half in _halves(held_out, sizes))
        return slices(q, q2, directions)

    return Reference(_attempt(exact), _attempt(sliced))


def score(model: Model, held_out: HeldOut, reference: Reference, sizes: Sizes, generator: Generator) -> Scores:
    """Every score of one fitted model. A metric that raises is "failed", with the reason, and costs no other."""
    streams = [_spawn(generator) for _ in range(3)]
    result = Scores({}, {})

    def run(names: tuple[str, ...], metric: Callable[[], dict[str, Score]]) -> None:
        outcome = _attempt(metric)
        if isinstance(outcome, Failure):
            outcome = dict.fromkeys(names, Score.absent("failed", outcome.reason))
        result.values |= outcome

    with torch.no_grad():
        samples = _attempt(lambda: _sample(model, held_out, sizes, streams[0]))
        if not isinstance(samples, Failure):
            result.arrays["samples"] = samples[0][: sizes.wasserstein].clone()
        for names, transport in _TRANSPORT.items():
            run(names, partial(transport, samples, held_out, reference, sizes))
        run(likelihood.NAMES, lambda: _likelihood(model, held_out, sizes, streams[1], result.arrays))
        run(("sandwich_width",), lambda: _sandwich(model, sizes, streams[2], result.arrays))
    return Scores({name: result.values[name] for name in METRICS}, result.arrays)


Samples = tuple[Tensor, Tensor]
_EXACT = ("w2_squared", "w2_squared_plain", "w2_squared_floor")
_SLICED = ("sliced_w2_squared", "sliced_w2_squared_plain")
_W1 = ("w1", "w1_floor")


def _exact(samples: Samples | Failure, held_out: HeldOut, reference: Reference, sizes: Sizes) -> dict[str, Score]:
    missing = _missing_moment(held_out, 2)
    if missing is not None:
        return dict.fromkeys(_EXACT, missing)
    q, q2 = _halves(held_out, sizes)
    p, p2 = (part.numpy() for part in _known(samples))
    if q.shape[1] == 1:
        a, a2, b, b2 = (np.sort(part[:, 0]) for part in (p, p2, q, q2))
        pq, pp, qq = solve_sorted(a, b, 2), solve_sorted(a, a2, 2), solve_sorted(b, b2, 2)
    else:
        n = sizes.wasserstein
        qq = _known(reference.exact)
        pq, pp = solve(p[:n], q[:n]), solve(p[:n], p2[:n])
    values = (debiased(pq, pp, qq), plain(pq), plain(qq))
    return _checked(dict(zip(_EXACT, values, strict=True)), p, held_out, 2)


def _sliced(samples: Samples | Failure, held_out: HeldOut, reference: Reference, sizes: Sizes) -> dict[str, Score]:
    missing = _missing_moment(held_out, 2)
    if held_out.test.shape[1] == 1:
        missing = Score.absent("n/a", "in one dimension there is nothing to slice: w2_squared is exact at this size")
    if missing is not None:
        return dict.fromkeys(_SLICED, missing)
    q = _halves(held_out, sizes)[0][: sizes.sliced]
    p, p2 = (part[: sizes.sliced].numpy() for part in _known(samples))
    values = sliced_scores(p, p2, q, _known(reference.slices))
    return _checked(dict(zip(_SLICED, values, strict=True)), p, held_out, 2)


def _w1(samples: Samples | Failure, held_out: HeldOut, _: Reference, sizes: Sizes) -> dict[str, Score]:
    missing = _missing_moment(held_out, 1)
    if held_out.test.shape[1] > 1:
        missing = Score.absent("n/a", "W1 is computed in one dimension only")
    if missing is not None:
        return dict.fromkeys(_W1, missing)
    q, q2 = (np.sort(half[:, 0]) for half in _halves(held_out, sizes))
    p = _known(samples)[0].numpy()
    values = (plain(solve_sorted(np.sort(p[:, 0]), q, 1)), plain(solve_sorted(q, q2, 1)))
    return _checked(dict(zip(_W1, values, strict=True)), p, held_out, 1)


_TRANSPORT = {_EXACT: _exact, _SLICED: _sliced, _W1: _w1}


def _likelihood(
    model: Model, held_out: HeldOut, sizes: Sizes, generator: Generator, arrays: dict[str, Tensor]
) -> dict[str, Score]:
    match model:
        case DensityModel():
            x = held_out.test[: sizes.likelihood]
            points = likelihood.of_density(model, x)
        case LatentModel():
            x = held_out.test[: sizes.latent]
            points = likelihood.of_latent(model, x, sizes.importance_samples, generator)
        case _:
            return dict.fromkeys(likelihood.NAMES, Score.absent("n/a", "the model has neither a density nor a latent"))
    arrays |= {"log_prob": points.log_prob, "elbo": points.elbo}
    if points.estimate is not None:
        arrays |= {"effective_samples": points.estimate.effective, "pareto_k": points.estimate.k}
    log_target = None if held_out.log_prob is None else held_out.log_prob[: len(x)]
    return likelihood.scores(points, log_target)


def _sandwich(model: Model, sizes: Sizes, generator: Generator, arrays: dict[str, Tensor]) -> dict[str, Score]:
    match model:
        case DensityModel():
            return {"sandwich_width": Score.of(0.0, 0.0)}
        case LatentModel():
            width, bounds = likelihood.sandwich(model, sizes.importance_samples, generator)
            arrays |= bounds
            return {"sandwich_width": width}
        case _:
            return {"sandwich_width": Score.absent("n/a", "the model has neither a density nor a latent")}


def _halves(held_out: HeldOut, sizes: Sizes) -> tuple[Array, Array]:
    """Q and Q′ (n, d): two disjoint samples of the target, as large as asked for or as there is data."""
    n = _half(held_out, sizes)
    return held_out.test[:n].double().numpy(), held_out.test[n : 2 * n].double().numpy()


def _half(held_out: HeldOut, sizes: Sizes) -> int:
    n = min(max(sizes.sliced, sizes.wasserstein), len(held_out.test) // 2)
    if n < 2:
        raise ValueError(f"{len(held_out.test)} held-out points are too few for two halves")
    return n


def _sample(model: Model, held_out: HeldOut, sizes: Sizes, generator: Generator) -> Samples:
    """P and P′, each as large as Q (n, d), float64.

    Raises ValueError for samples of the wrong shape, or any that are not finite: a distance to them does not exist.
    """
    n, d = _half(held_out, sizes), held_out.test.shape[1]
    counts = [_SAMPLE_CHUNK] * (2 * n // _SAMPLE_CHUNK) + [2 * n % _SAMPLE_CHUNK]
    samples = torch.cat([model.sample(count, generator).double() for count in counts if count])
    if samples.shape != (2 * n, d):
        raise ValueError(f"{2 * n:,} samples in {d} dimensions were asked for, and the shape is {tuple(samples.shape)}")
    infinite = int((~torch.isfinite(samples)).any(1).sum())
    if infinite:
        raise ValueError(f"{infinite:,} of {2 * n:,} samples of the model are not finite")
    return samples[:n], samples[n:]


def _missing_moment(held_out: HeldOut, power: int) -> Score | None:
    if held_out.moments > power:
        return None
    return Score.absent("n/a", f"the target has no finite moment of order {power}")


def _checked(scores: dict[str, Score], p: Array, held_out: HeldOut, power: int) -> dict[str, Score]:
    """Untrusted if the distances exist and their standard errors do not, by the tails of the target or of the model.

    p (n, d): the samples of the model. A floor is a matter of the target alone.
    """
    target = f"the target has no finite moment of order {2 * power}, which the error needs"
    of_target = "" if held_out.moments > 2 * power else target
    of_model = doubt_of_samples(p, power)
    return {
        name: doubted(score, of_target or ("" if name.endswith("floor") else of_model))
        for name, score in scores.items()
    }


def _spawn(generator: Generator) -> Generator:
    """A generator of its own for each metric, so that one that fails leaves the numbers of the others alone."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator().manual_seed(seed)


def _attempt(compute: Callable[[], T]) -> T | Failure:
    try:
        return compute()
    except _EarlierError as error:
        return Failure(str(error))
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")


class _EarlierError(RuntimeError):
    """A step that this one builds on has failed, with this reason."""


def _known(value: T | Failure | None) -> T:
    """The result of a step that this one builds on; raises if that step failed."""
    if value is None:
        raise _EarlierError("the reference was made for another target")
    if isinstance(value, Failure):
        raise _EarlierError(value.reason)
    return value
