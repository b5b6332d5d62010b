"""Every Wasserstein distance of one model: which exist, from which points, and whether their errors can be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from metrics.averages import doubted
from metrics.held_out import HeldOut, Sizes
from metrics.outcome import Failure, attempt, known
from metrics.score import Score
from metrics.sliced import Slices, draw_directions, sliced_scores, slices
from metrics.transport import Array, Transport
from metrics.wasserstein import (
    batches,
    doubt_of_samples,
    self_transports,
    w1_scores,
    w2_scores,
    w2_scores_on_the_line,
)
from models.base import Model

_SAMPLE_CHUNK = 10_000


@dataclass(frozen=True)
class Reference:
    """What is computed once per target and replicate: transports between Q and Q′. Compact, and can be pickled.

    None is for what does not apply: all of it in one dimension, where sorting again is cheaper than keeping.
    """

    exact: list[Transport] | Failure | None
    slices: Slices | Failure | None


def reference(held_out: HeldOut, sizes: Sizes, generator: Generator) -> Reference:
    """The part of the scores that no model changes. It never raises for a failing metric: `score` reports it."""
    d = held_out.test.shape[1]
    if d == 1 or _missing_moment(held_out, 2) is not None:
        return Reference(None, None)
    directions = draw_directions(d, sizes.projections, generator)

    def exact() -> list[Transport]:
        q, q2 = _halves(held_out, sizes)
        return self_transports(q, q2, *batches(len(q), sizes.wasserstein, sizes.batches))

    def sliced() -> Slices:
        q, q2 = (half[: sizes.sliced] for half in _halves(held_out, sizes))
        return slices(q, q2, directions)

    return Reference(attempt(exact), attempt(sliced))


Samples = tuple[Tensor, Tensor]
_EXACT = ("w2_squared", "w2_squared_plain", "w2_squared_floor")
_SLICED = ("sliced_w2_squared", "sliced_w2_squared_plain", "sliced_w2_squared_floor")
_W1 = ("w1", "w1_plain", "w1_floor")


def _exact(samples: Samples | Failure, held_out: HeldOut, reference: Reference, sizes: Sizes) -> dict[str, Score]:
    missing = _missing_moment(held_out, 2)
    if missing is not None:
        return dict.fromkeys(_EXACT, missing)
    q, q2 = _halves(held_out, sizes)
    p, p2 = (part.numpy() for part in known(samples))
    if q.shape[1] == 1:
        values = w2_scores_on_the_line(*(part[:, 0] for part in (p, p2, q, q2)))
    else:
        values = w2_scores(p, p2, q, q2, known(reference.exact))
    return _checked(dict(zip(_EXACT, values, strict=True)), p, held_out, 2)


def _sliced(samples: Samples | Failure, held_out: HeldOut, reference: Reference, sizes: Sizes) -> dict[str, Score]:
    missing = _missing_moment(held_out, 2)
    if held_out.test.shape[1] == 1:
        missing = Score.absent("n/a", "in one dimension there is nothing to slice: w2_squared is exact at this size")
    if missing is not None:
        return dict.fromkeys(_SLICED, missing)
    q, q2 = (half[: sizes.sliced] for half in _halves(held_out, sizes))
    p, p2 = (part[: sizes.sliced].numpy() for part in known(samples))
    values = sliced_scores(p, p2, q, q2, known(reference.slices))
    return _checked(dict(zip(_SLICED, values, strict=True)), p, held_out, 2)


def _w1(samples: Samples | Failure, held_out: HeldOut, _: Reference, sizes: Sizes) -> dict[str, Score]:
    missing = _missing_moment(held_out, 1)
    if held_out.test.shape[1] > 1:
        missing = Score.absent("n/a", "W1 is computed in one dimension only")
    if missing is not None:
        return dict.fromkeys(_W1, missing)
    q, q2 = _halves(held_out, sizes)
    p, p2 = (part.numpy() for part in known(samples))
    values = w1_scores(*(part[:, 0] for part in (p, p2, q, q2)))
    return _checked(dict(zip(_W1, values, strict=True)), p, held_out, 1)


Distances = Callable[[Samples | Failure, HeldOut, Reference, Sizes], dict[str, Score]]

#: By the names of what each gives.
DISTANCES: dict[tuple[str, ...], Distances] = {_EXACT: _exact, _SLICED: _sliced, _W1: _w1}


def _halves(held_out: HeldOut, sizes: Sizes) -> tuple[Array, Array]:
    """Q and Q′ (n, d): two disjoint samples of the target, as large as asked for or as there is data."""
    n = _half(held_out, sizes)
    return held_out.test[:n].double().numpy(), held_out.test[n : 2 * n].double().numpy()


def _half(held_out: HeldOut, sizes: Sizes) -> int:
    n = min(max(sizes.sliced, sizes.wasserstein * sizes.batches), len(held_out.test) // 2)
    if n < 2:
        raise ValueError(f"{len(held_out.test)} held-out points are too few for two halves")
    return n


def sample(model: Model, held_out: HeldOut, sizes: Sizes, generator: Generator) -> Samples:
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
