"""What a model says of itself, and the shapes and types of what it returns (models/base.py)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import get_type_hints

import torch
from torch import Tensor

from benchmarks.checks.check import Make, check, fail
from benchmarks.checks.fits import QUICK, fitted, normal, refit, seeded, skewed
from benchmarks.checks.outputs import outputs
from models.base import DensityModel, History, LatentModel, Model, TransportModel, draw
from models.training import fit_replicates

DIMENSIONS = (1, 2, 5, 64)


@check()
def described(make: Make) -> None:
    """The class has a docstring, whose first line tables and `pushforward models` show."""
    made = type(make())
    first = (vars(made).get("__doc__") or "").strip().split("\n")[0]
    if not first:
        fail(make, "__doc__", "a docstring whose first line says what the model is", "none")


@check()
def arguments(make: Make) -> None:
    """Every argument of the constructor has a default and a type, so that a suite can set it."""
    constructor = type(make()).__init__
    hints = get_type_hints(constructor)
    for name, parameter in list(inspect.signature(constructor).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is inspect.Parameter.empty:
            fail(make, "__init__", f"a default for the argument {name}", "none")
        if name not in hints:
            fail(make, "__init__", f"a type for the argument {name}, as in `{name}: int = …`", "none")


@check()
def shapes(make: Make) -> None:
    """Samples are (n, d), log-densities (n,), for one point and for many, in 1 to 64 dimensions."""
    for d in DIMENSIONS:
        model = fitted(make, d)
        for n in (1, 7):
            for method, value, shape in outputs(model, skewed(n, d, seed=2)):
                got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                if got != shape:
                    fail(make, method, f"a tensor of shape {shape} for {n} points in {d} dimensions", str(got))


@check(after=("shapes",))
def types(make: Make) -> None:
    """Everything that is returned is float64, as the data are."""
    for method, value, _ in outputs(fitted(make, 2), skewed(7, 2, seed=2)):
        if value.dtype != torch.float64:
            fail(make, method, "torch.float64", str(value.dtype))


@check(after=("shapes",))
def finite(make: Make) -> None:
    """Nothing is infinite or NaN at points like the training data, in 1 to 64 dimensions."""
    for d in DIMENSIONS:
        for method, value, _ in outputs(fitted(make, d), skewed(200, d, seed=2)):
            bad = int((~torch.isfinite(value)).sum())
            if bad:
                fail(make, method, f"finite numbers in {d} dimensions", f"{bad} of {value.numel()} are not")


@check()
def history(make: Make) -> None:
    """`fit` returns a History: as many losses as steps, the steps in order."""
    got = refit(make(), skewed(400, 2))
    if not isinstance(got, History):
        fail(make, "fit", "a models.base.History; an empty one will do", type(got).__name__)
    steps = got.step
    if len(got.training) != len(steps) or len(got.validation) not in (0, len(steps)) or steps != sorted(set(steps)):
        counts = f"{len(steps)} steps, {len(got.training)} training and {len(got.validation)} validation losses"
        fail(make, "fit", "a loss for every step of the history, and steps that increase", counts)


@check(after=("shapes",))
def batches(make: Make) -> None:
    """What is said of a point does not depend on the batch it comes in."""
    for d in (1, 2, 5):
        for method, function, rows in _pointwise(fitted(make, d), d):
            whole = function(*rows)
            for size in (1, 7):
                batches = zip(*(row.split(size) for row in rows), strict=True)
                apart = float((torch.cat([function(*batch) for batch in batches]) - whole).abs().max())
                if not apart < 1e-8 * (1 + float(whole.abs().max())):
                    expected = f"the same for {len(whole)} points at once and {size} at a time"
                    fail(make, method, expected, f"values up to {apart:.2g} apart")


def _pointwise(model: Model, d: int) -> Iterator[tuple[str, Callable[..., Tensor], tuple[Tensor, ...]]]:
    """Functions of points that a model offers, with points for each: (method, function, its arguments)."""
    x, z = skewed(60, d, seed=3), normal(60, d, seed=4)
    if isinstance(model, DensityModel):
        yield "log_prob", model.log_prob, (x,)
    if isinstance(model, TransportModel):
        yield "transport", model.transport, (z,)
    if isinstance(model, LatentModel):
        codes = draw(model.posterior(x), (), seeded(5))
        yield "prior", model.prior().log_prob, (codes,)
        yield "likelihood", lambda z, x: model.likelihood(z).log_prob(x), (codes, x)
        yield "posterior", lambda z, x: model.posterior(x).log_prob(z), (codes, x)


@check()
def replicates(make: Make) -> None:
    """Two models fitted together, each to its own data, know nothing of each other."""
    xs = [skewed(400, 2), skewed(400, 2, seed=7) + 10]
    models = [make() for _ in xs]
    with torch.enable_grad():
        fit_replicates(models, [x.clone() for x in xs], [seeded(0), seeded(1)], QUICK)
    for model, x in zip(models, xs, strict=True):
        centre = model.sample(2000, seeded()).mean(0)
        if float((centre - x.mean(0)).abs().max()) > 2 * float(x.std(0).max()):
            data = [round(value, 2) for value in x.mean(0).tolist()]
            fail(make, "fit", f"samples around {data}, as the data of each of two models", f"{centre.tolist()}")


@check()
def fit_again(make: Make) -> None:
    """A second fit of the same object forgets the first."""
    model: Model = make()
    once = copy.deepcopy(model)
    x = skewed(400, 2)
    refit(model, skewed(400, 2, seed=9) * 2 - 5)
    refit(model, x.clone())
    refit(once, x.clone())
    for (method, got, _), (_, expected, _) in zip(outputs(model, x[:20]), outputs(once, x[:20]), strict=True):
        if not torch.equal(got, expected):
            apart = float((got - expected).abs().max())
            fail(make, "fit", f"the same `{method}` as after a first fit to these data", f"values {apart:.2g} apart")


CHECKS = (described, arguments, shapes, types, finite, history, batches, replicates, fit_again)
