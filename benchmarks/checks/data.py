"""Which data a model survives: constant columns, few rows, any scale, any offset."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.checks.check import Make, check, fail
from benchmarks.checks.fits import fit, fitted, seeded, skewed
from models.base import DensityModel, LatentModel, Model

FEW = 12


@check()
def constant_column(make: Make) -> None:
    """A column that never changes is survived, with finite samples and densities."""
    x = skewed(400, 3)
    x[:, 1] = 2.0
    _survives(make, x, "data with a constant column")


@check()
def few_rows(make: Make) -> None:
    """A dozen rows are survived."""
    _survives(make, skewed(FEW, 3), f"{FEW} rows in 3 dimensions")


def _survives(make: Make, x: Tensor, data: str) -> None:
    try:
        model = fit(make, x)
        samples = model.sample(100, seeded())
    except Exception as error:
        fail(make, "fit", f"a model of {data}", f"{type(error).__name__}: {str(error).splitlines()[0]}")
    if not bool(torch.isfinite(samples).all()):
        fail(make, "sample", f"finite samples after a fit to {data}", "some that are not")
    if isinstance(model, DensityModel) and bool(model.log_prob(x).isnan().any()):
        fail(make, "log_prob", f"a log-density after a fit to {data}", "NaN")


@check(after=("shapes",))
def scale(make: Make) -> None:
    """Units do not matter: data a million times as large, or as small, give the same model in other units."""
    for factor in (1e-6, 1e6):
        _same_model(make, factor, 0.0, f"data times {factor:g}")


@check(after=("shapes",))
def offset(make: Make) -> None:
    """Nor does the origin: ten thousand deviations away the model is the same."""
    _same_model(make, 1.0, 1e4, "data ten thousand deviations from 0")


def _same_model(make: Make, factor: float, shift: float, data: str) -> None:
    """Compare with the model of the data as they are, in its units: moments of samples, and log-densities."""
    d, x, points = 2, skewed(400, 2), skewed(50, 2, seed=2)
    model, moved = fitted(make, d), fit(make, factor * x + shift)
    expected, got = model.sample(2000, seeded()), (moved.sample(2000, seeded()) - shift) / factor
    spread = expected.std(0)
    off = float(((got.mean(0) - expected.mean(0)) / spread).abs().max())
    ratio = float((got.std(0) / spread).log().abs().max())
    if not (off < 0.2 and ratio < 0.2):
        says = f"means {off:.2g} deviations off, deviations {math.exp(min(ratio, 700)):.2g} times as large or small"
        fail(make, "fit", f"from {data}: the samples of the original data, moved", says)
    before, after = _log_density(model, points), _log_density(moved, factor * points + shift)
    if before is None or after is None:
        return
    apart = (after + d * math.log(factor) - before).abs()
    if not float((apart / (1 + before.abs())).mean()) < 0.05:
        method = "log_prob" if isinstance(model, DensityModel) else "likelihood"
        expectation = f"from {data}: log-densities lower by d log {factor:g} and else the same"
        fail(make, method, expectation, f"{float(apart.mean()):.2g} nats apart in the mean")


def _log_density(model: Model, points: Tensor) -> Tensor | None:
    """log p_θ (n,), or log p(x|z) at the posterior's means: the same for models that differ by their units."""
    if isinstance(model, DensityModel):
        return model.log_prob(points)
    if isinstance(model, LatentModel):
        return model.likelihood(model.posterior(points).mean).log_prob(points)
    return None


CHECKS = (constant_column, few_rows, scale, offset)
