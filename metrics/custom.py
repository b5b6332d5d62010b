"""Metrics of one's own: a function of a model's samples, or of the fitted model, that gives a value and its error.

They are scored from what a run keeps, so nothing is trained again (`pushforward score`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, get_args

from torch import Generator, Tensor

from metrics.catalogue import Metric
from metrics.outcome import Failure, attempt
from metrics.score import Score
from models.base import Model

Better = Literal["lower", "higher", "neither"]
Function = Callable[..., "tuple[float, float] | Score"]


class CustomMetric:
    """A function that is a metric; it can still be called as it was written.

    given: what its first argument is, the samples (n, d) that a cell keeps or the fitted model. The second is the
    target's held-out samples (m, d), the third the generator of all its randomness; any others have defaults and can
    be set in brackets, as in `name[bins=20]`. about: its description (the first line of the docstring), unit and
    direction.
    """

    def __init__(self, function: Function, given: Literal["samples", "model"], unit: str, better: Better) -> None:
        functools.update_wrapper(self, function)  # the signature too: arguments in brackets are checked against it
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) < 3 or any(each.default is each.empty for each in parameters[3:]):
            raise TypeError(
                f"a metric takes ({given}, held_out, generator), and defaults for whatever else; "
                f"{function.__name__} takes {inspect.signature(function)}"
            )
        if better not in get_args(Better):
            raise ValueError(f"better is one of {', '.join(get_args(Better))}, not {better!r}")
        lines = inspect.getdoc(function) or function.__name__
        self.function = function
        self.given = given
        self.about = Metric(lines.splitlines()[0], unit, better)

    def __call__(
        self, given: Any, held_out: Tensor, generator: Generator, **arguments: Any
    ) -> tuple[float, float] | Score:
        """What the function says."""
        return self.function(given, held_out, generator, **arguments)


def sample_metric(*, unit: str = "", better: Better = "lower") -> Callable[[Function], CustomMetric]:
    """Make a metric of a function (samples (n, d), held_out (m, d), generator) → (value, standard error)."""
    return lambda function: CustomMetric(function, "samples", unit, better)


def model_metric(*, unit: str = "", better: Better = "lower") -> Callable[[Function], CustomMetric]:
    """Make a metric of a function (fitted model, held_out (m, d), generator) → (value, standard error).

    The model is what the run kept of it, in float64 on the CPU; the oracle is the target itself. What a model can do
    is told by its class: models.base.DensityModel, LatentModel, TransportModel. A metric that does not apply to one
    returns `Score.absent("n/a", reason)`.
    """
    return lambda function: CustomMetric(function, "model", unit, better)


def custom_score(metric: Function, given: Tensor | Model, held_out: Tensor, generator: Generator) -> Score:
    """What a metric says, checked: "failed", with the reason, if it raises or returns anything but a number and error.

    A number that is not finite becomes "untrusted", as for every score.
    """
    outcome = attempt(lambda: _checked(metric(given, held_out, generator)))
    return Score.absent("failed", outcome.reason) if isinstance(outcome, Failure) else outcome


def _checked(found: object) -> Score:
    if isinstance(found, Score) and found.status != "ok":
        return found
    pair = (found.value, found.error) if isinstance(found, Score) else found
    try:
        value, error = (float(number) for number in pair)  # type: ignore[attr-defined]
    except (TypeError, ValueError, RuntimeError) as problem:
        raise TypeError(f"a metric returns (value, error), two numbers; this one returned {pair!r:.60}") from problem
    if error < 0:
        raise ValueError(f"a standard error is not negative; this one is {error:g}")
    return Score.of(value, error)
