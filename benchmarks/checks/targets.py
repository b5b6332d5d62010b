"""What a target is: a name, a shape, one law that sampler, density, entropy, nodes and map all belong to."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from benchmarks.arguments import WORD
from benchmarks.checks.check import Make, check, fail
from benchmarks.checks.fits import normal, seeded
from benchmarks.checks.randomness import touched
from benchmarks.checks.waves import characteristic_function, stein, two_samples
from benchmarks.targets.base import ExactTarget, Target, TransportTarget

SAMPLES = 20_000
SINGLE = 2_000
Z_LIMIT = 4.0  # standard errors
LEVEL = 1e-4
ROUNDING = 1e-9


@cache
def _target(make: Make) -> Any:
    return make()


@cache
def _samples(make: Make) -> Tensor:
    samples: Tensor = _target(make).sample(SAMPLES, seeded(1))
    return samples


@check()
def described(make: Make) -> None:
    """It has a name that can be part of a file's, a summary of one line, and a dimension."""
    target = make()
    name, summary, dimension = (getattr(target, field, None) for field in ("name", "summary", "dimension"))
    if not isinstance(name, str) or not WORD.fullmatch(name.split("[")[0]):
        fail(make, "name", "a name of letters, digits, _, - and .", repr(name))
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        fail(make, "summary", "one line that says what makes the target hard", repr(summary))
    if not isinstance(dimension, int) or dimension < 1:
        fail(make, "dimension", "a positive whole number", repr(dimension))


@check()
def shapes(make: Make) -> None:
    """Both halves of a split are (n, d); so are samples, for none, one and many, and log-densities are (n,)."""
    target: Target = _target(make)
    for half, size in zip(target.split(100, 70, seeded()), (100, 70), strict=True):
        _shape(make, "split", half, (min(size, len(half)), target.dimension))
    if isinstance(target, ExactTarget):
        for n in (0, 1, 7):
            x = target.sample(n, seeded())
            _shape(make, "sample", x, (n, target.dimension))
            _shape(make, "log_prob", target.log_prob(x), (n,))


def _shape(make: Make, method: str, value: Tensor, shape: tuple[int, ...]) -> None:
    got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if got != shape:
        fail(make, method, f"a tensor of shape {shape}", str(got))


@check(after=("shapes",))
def types(make: Make) -> None:
    """Samples and log-densities are float64."""
    target: Target = _target(make)
    found = {"split": target.split(10, 10, seeded())[0]}
    if isinstance(target, ExactTarget):
        found |= {"sample": target.sample(10, seeded()), "log_prob": target.log_prob(found["split"].double())}
    for method, value in found.items():
        if value.dtype != torch.float64:
            fail(make, method, "torch.float64", str(value.dtype))


@check(after=("shapes",))
def window(make: Make) -> None:
    """The box that figures show is finite, has a size, and holds at least nine tenths of the points."""
    target: Target = _target(make)
    low, high = target.window()
    _shape(make, "window", low, (target.dimension,))
    _shape(make, "window", high, (target.dimension,))
    if not bool((torch.isfinite(low) & torch.isfinite(high) & (low < high)).all()):
        fail(make, "window", "finite corners, the first below the second", f"{low.tolist()}, {high.tolist()}")
    train, _ = target.split(2000, 1, seeded())
    inside = ((train >= low) & (train <= high)).double().mean(0).min()
    if inside < 0.9:
        fail(make, "window", "at least 90 % of every coordinate inside", f"{100 * float(inside):.0f} %")


@check(after=("shapes",))
def sampling_randomness(make: Make) -> None:
    """The same generator gives the same split, another one another, and training and test rows are different draws."""
    target: Target = _target(make)
    train, test = target.split(50, 50, seeded(3))
    if not torch.equal(train, target.split(50, 50, seeded(3))[0]):
        fail(make, "split", "the same rows from a generator with the same seed", "others")
    if torch.equal(train, target.split(50, 50, seeded(4))[0]):
        fail(make, "split", "other rows from a generator with another seed", "the same ones")
    if torch.equal(train, test):
        fail(make, "split", "a test set that is drawn apart from the training set", "the same rows")


@check()
def same_law_again(make: Make) -> None:
    """The name is a promise: made twice, it is the same target."""
    one, other = (made.split(20, 1, seeded(3))[0] for made in (make(), make()))
    if not torch.equal(one, other):
        fail(make, "__init__", "the same target whenever it is made: fix the seeds of its parameters", "another one")


@check()
def global_randomness(make: Make) -> None:
    """The global random states of torch, NumPy and Python are left as they were."""

    def use() -> None:
        target = make()
        train, _ = target.split(50, 50, seeded(3))
        if isinstance(target, ExactTarget):
            target.log_prob(train)
            target.entropy()

    for library in touched(use):
        expected = f"the global random state of {library} left alone: draw from the generator that is passed in"
        fail(make, "sample", expected, "it has changed")


@check(ExactTarget, after=("shapes",))
def untouched_input(make: Make) -> None:
    """Points that are asked about are not changed in place."""
    x = _samples(make)[:50].clone()
    asked = x.clone()
    _target(make).log_prob(asked)
    if not torch.equal(x, asked):
        fail(make, "log_prob", "points that are as they were", "they have changed")


@check(ExactTarget, after=("shapes",))
def batches(make: Make) -> None:
    """What is said of a point does not depend on the batch it comes in."""
    target: ExactTarget = _target(make)
    x = _samples(make)[:500]
    whole = target.log_prob(x)
    parts = torch.cat([target.log_prob(rows) for rows in x.split(7)])
    if not torch.allclose(parts, whole, rtol=1e-10, atol=ROUNDING):
        apart = float((parts - whole).abs().max())
        fail(make, "log_prob", "the same for 500 points at once and 7 at a time", f"values up to {apart:.2g} apart")


@check(ExactTarget, after=("shapes",))
def one_by_one(make: Make) -> None:
    """Nothing random is shared within a call: many calls for one point have the law of one call for many."""
    target: ExactTarget = _target(make)
    generator = seeded(5)
    single = torch.cat([target.sample(1, generator) for _ in range(SINGLE)])
    p_value = two_samples(single, target.sample(SINGLE, generator), generator)
    if not p_value > LEVEL:
        fail(make, "sample", f"{SINGLE:,} calls for one point to have the law of one call", f"p = {p_value:.1g}")


@check(ExactTarget, after=("shapes",))
def mass(make: Make) -> None:
    """In one and two dimensions the density integrates to 1."""
    target: ExactTarget = _target(make)
    if target.dimension > 2:
        return
    weight, _ = characteristic_function(target, _samples(make), seeded(6))
    value, error = _mean(weight)
    if not abs(value - 1) < Z_LIMIT * error + ROUNDING:
        fail(make, "log_prob", "∫ p* = 1", f"{value:.5g} ± {error:.1g} by importance sampling")


@check(ExactTarget, after=("shapes", "mass"))
def sampler_and_density(make: Make) -> None:
    """Samples have the density: by characteristic functions up to two dimensions, by Stein's identity above."""
    target: ExactTarget = _target(make)
    x = _samples(make)
    outside = int((~torch.isfinite(target.log_prob(x))).sum())
    if outside:
        fail(make, "log_prob", "a finite log-density at every sample", f"{outside} of {len(x):,} have none")
    if target.dimension <= 2:
        p_value, test = characteristic_function(target, x, seeded(7))[1], "a χ² test of characteristic functions"
    else:
        p_value, test = stein(target, x[: SAMPLES // 4], seeded(7)), "a χ² test of Stein's identity"
    if not p_value > LEVEL:
        fail(make, "log_prob", "samples of this density", f"{test} says no (p = {p_value:.1g})")


@check(ExactTarget, after=("shapes",))
def entropy(make: Make) -> None:
    """`entropy` is the mean of −log p* over samples."""
    target: ExactTarget = _target(make)
    value, error = _mean(-target.log_prob(_samples(make)))
    if not abs(value - target.entropy()) < Z_LIMIT * error + ROUNDING:
        got = f"{target.entropy():.5g}, where −log p* has the mean {value:.5g} ± {error:.1g} over {SAMPLES:,} samples"
        fail(make, "entropy", "−E log p*", got)


@check(ExactTarget, after=("shapes",))
def nodes(make: Make) -> None:
    """The weights of a quadrature sum to 1, and its expectations are those of samples, where there is one."""
    target: ExactTarget = _target(make)
    found = target.nodes()
    if found is None:
        return
    x, weights = found
    _shape(make, "nodes", x, (len(weights), target.dimension))
    if not abs(float(weights.sum()) - 1) < 1e-6:
        fail(make, "nodes", "weights that sum to 1", f"{float(weights.sum()):.8g}")
    samples = _samples(make)
    centre, spread = samples.mean(0), samples.std(0)
    own = ((samples - centre) / spread).tanh()
    by_nodes = weights @ ((x - centre) / spread).tanh()
    if not bool(((by_nodes - own.mean(0)).abs() < Z_LIMIT * own.std(0) / SAMPLES**0.5).all()):
        got = f"{by_nodes.tolist()} where samples have {own.mean(0).tolist()}"
        fail(make, "nodes", "expectations of tanh like those of samples", got)


@check(TransportTarget, after=("shapes",))
def map_and_sampler(make: Make) -> None:
    """∇φ(z), z ~ N(0, I), has the law of the samples."""
    target: TransportTarget = _target(make)
    mapped = target.transport(normal(SAMPLES, target.dimension, seed=8))
    _shape(make, "transport", mapped, (SAMPLES, target.dimension))
    p_value = two_samples(mapped, _samples(make), seeded(9))
    if not p_value > LEVEL:
        fail(make, "transport", "∇φ(z) to have the law of the samples", f"p = {p_value:.1g}")


@check(TransportTarget, after=("shapes",))
def brenier_map(make: Make) -> None:
    """The map is the gradient of a convex function: its Jacobian is symmetric and positive definite (Brenier 1991)."""
    target: TransportTarget = _target(make)
    d = target.dimension
    z = normal(50, d, seed=10)
    step = 1e-6 * torch.eye(d, dtype=torch.float64)
    columns = [(target.transport(z + h) - target.transport(z - h)) / 2e-6 for h in step]
    jacobian = torch.stack(columns, dim=-1)
    size = float(jacobian.abs().max())
    skew = float((jacobian - jacobian.mT).abs().max()) / size
    least = float(torch.linalg.eigvalsh((jacobian + jacobian.mT) / 2).min())
    if not (skew < 1e-6 and least > 0):
        got = f"an asymmetry of {skew:.1g} of its largest entry and a least eigenvalue of {least:.2g}"
        fail(make, "transport", "a symmetric, positive definite Jacobian", got)


def _mean(values: Tensor) -> tuple[float, float]:
    """The mean of independent values (n,), with its standard error."""
    return float(values.mean()), float(stats.sem(values.numpy()))


CHECKS = (
    described,
    shapes,
    types,
    window,
    sampling_randomness,
    same_law_again,
    global_randomness,
    untouched_input,
    batches,
    one_by_one,
    mass,
    sampler_and_density,
    entropy,
    nodes,
    map_and_sampler,
    brenier_map,
)
