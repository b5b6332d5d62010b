"""What every exact target must be: a sampler, a density and an entropy of one and the same law."""

from __future__ import annotations

import importlib
import math
import tomllib
from functools import cache
from pathlib import Path

import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor

from benchmarks.targets.base import DataTarget, ExactTarget, Target
from benchmarks.targets.quadrature import grid

ENTRY_POINTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
BUILT_IN = ENTRY_POINTS["pushforward.targets"]
REAL = {"digits", "photo_patches"}
EXACT = sorted(BUILT_IN.keys() - REAL)
SAMPLES = 20_000


@cache
def target(name: str) -> Target:
    module, _, attribute = BUILT_IN[name].partition(":")
    return getattr(importlib.import_module(module), attribute)()


def exact(name: str) -> ExactTarget:
    found = target(name)
    assert isinstance(found, ExactTarget)
    return found


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def samples(name: str) -> Tensor:
    return exact(name).sample(SAMPLES, generator(1))


@cache
def log_density(name: str) -> Tensor:
    return exact(name).log_prob(samples(name))


LOW = [name for name in EXACT if exact(name).dimension <= 2]


def standard_errors(values: Tensor, mean: float) -> float:
    """How many standard errors the mean of independent values (n,) lies from the true mean; rounding is forgiven."""
    return float((values.mean() - mean).abs() / (values.std() / math.sqrt(len(values)) + 1e-9))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_the_name_is_that_of_the_entry_point(name):
    assert target(name).name == name
    assert isinstance(target(name), DataTarget) == (name in REAL)


@pytest.mark.parametrize("name", LOW)
def test_density_integrates_to_one(name):
    assert total_mass(exact(name)) == pytest.approx(1, abs=1e-8)


def total_mass(found: ExactTarget) -> float:
    """The integral of the density over the line or the plane."""
    if found.name in {"uniform", "checkerboard"}:  # midpoints of a grid that the edges are lines of: exact
        points, volume = grid((-4.0,) * found.dimension, (4.0,) * found.dimension, step=0.1)
    elif found.name in {"laplace", "student_t", "student_t2"}:
        # x = sinh(u), on each side of the kink: tails of any power become exponential.
        parts = [
            scipy.integrate.quad(
                lambda u: math.cosh(u) * math.exp(found.log_prob(torch.tensor([[math.sinh(u)]]).double())),
                *ends,
                limit=200,
            )[0]
            for ends in ((-25, 0), (0, 25))
        ]
        return sum(parts)
    elif found.name == "funnel":
        # x = exp(v/2)·t turns the funnel into a plain box.
        points, volume = grid((-12.0, -8.0), (12.0, 8.0), step=0.05)
        width = (points[:, :1] / 2).exp()
        x = torch.cat([points[:, :1], width * points[:, 1:]], dim=1)
        return volume * float((found.log_prob(x).exp() * width[:, 0]).sum())
    elif found.name == "pinwheel":
        # In polar coordinates the twist is a shift of the angle.
        return polar_mass(found, 8.5)
    elif found.name == "banana":
        points, volume = grid((-13.0, -4.0), (13.0, 46.0), step=0.05)
    else:
        x = found.sample(SAMPLES, generator(2))
        low, high = x.amin(dim=0), x.amax(dim=0)
        margin = 0.3 * (high - low)
        step = 0.01 if found.dimension == 1 else 0.02
        points, volume = grid(tuple((low - margin).tolist()), tuple((high + margin).tolist()), step)
    return volume * float(found.log_prob(points).exp().sum())


def polar_mass(found: ExactTarget, edge: float) -> float:
    points, volume = grid((0.0, 0.0), (edge, 2 * math.pi), step=0.02)
    radius, angle = points.T
    density = found.log_prob(torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)).exp()
    # The midpoint rule misses the edge at r = 0 by h²/24·∂(r p)/∂r, the density at the centre being small.
    centre = found.log_prob(torch.zeros(1, 2, dtype=torch.float64)).exp()
    step = edge / round(edge / 0.02)
    return volume * float((density * radius).sum()) - float(centre) * 2 * math.pi * step**2 / 24


@pytest.mark.parametrize("name", EXACT)
def test_samples_follow_the_density(name):
    """Stein's identity, E[f'(x) + f(x)·∂ log p(x)] = 0, for bounded f: it ties the samples to the density's shape."""
    if name in {"uniform", "checkerboard"}:
        pytest.skip("edges: no score; held by test_uniform_pieces")
    x = samples(name).clone().requires_grad_(True)
    (score,) = torch.autograd.grad(exact(name).log_prob(x).sum(), x)
    x = x.detach()
    scale = x.quantile(0.84, dim=0) - x.quantile(0.16, dim=0)
    direction = torch.randn(3, x.shape[1], generator=generator(5), dtype=torch.float64)
    direction /= direction.norm(dim=1, keepdim=True) * scale
    for w in direction:
        for frequency in (1.0, 3.0):
            for phase in (0.0, math.pi / 2):
                wave = frequency * (x @ w) + phase
                terms = frequency * wave.cos() * w.square().sum() + wave.sin() * (score @ w)
                assert standard_errors(terms, 0) < 4.5


@pytest.mark.parametrize("name", ["uniform", "checkerboard"])
def test_uniform_pieces(name):
    """Every piece of the support gets its share, and its inside is uniform."""
    x = samples(name)
    assert torch.isfinite(log_density(name)).all()
    cells = (x.floor() * torch.tensor([5.0, 1.0])[: x.shape[1]]).sum(dim=1)
    counts = cells.unique(return_counts=True)[1].numpy()
    assert len(counts) == {"uniform": 2, "checkerboard": 8}[name]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    for column in (x - x.floor()).T:
        assert scipy.stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    outside = torch.full((1, x.shape[1]), 2.5, dtype=torch.float64)
    assert exact(name).log_prob(outside).item() == -math.inf


@pytest.mark.parametrize("name", LOW)
def test_samples_fill_the_cells_of_a_grid_as_the_density_says(name):
    """A χ² test of counts in boxes against the density's integral over each box: absolute, not up to a factor."""
    found, x = exact(name), samples(name)
    if name in {"uniform", "checkerboard"}:
        pytest.skip("held by test_uniform_pieces")
    low, high = found.window()
    boxes, fine = (60, 160) if found.dimension == 1 else (16, 24)
    step = (high - low) / (boxes * fine)
    axes = [a + h * (torch.arange(boxes * fine, dtype=torch.float64) + 0.5) for a, h in zip(low, step, strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, found.dimension)
    density = found.log_prob(points).exp() * step.prod()
    shape = [boxes, fine] * found.dimension
    expected = density.reshape(shape).sum(dim=tuple(range(1, 2 * found.dimension, 2))).flatten() * SAMPLES
    inside = ((x >= low) & (x < high)).all(dim=1)
    index = ((x[inside] - low) / (step * fine)).long().clamp(max=boxes - 1)
    flat = index[:, 0] if found.dimension == 1 else index[:, 0] * boxes + index[:, 1]
    observed = torch.bincount(flat, minlength=boxes**found.dimension).double()
    common = expected > 8
    # The rare boxes, and all that is outside the window, are one more box.
    observed = torch.cat([observed[common], SAMPLES - observed[common].sum()[None]])
    expected = torch.cat([expected[common], SAMPLES - expected[common].sum()[None]])
    statistic = float(((observed - expected).square() / expected).sum())
    assert scipy.stats.chi2.sf(statistic, len(expected) - 1) > 1e-4


@pytest.mark.parametrize("name", LOW)
def test_means_are_the_integrals_of_the_density(name):
    """E f(x) over the window, for f a coordinate, its square and distances, against the integral on a fine grid."""
    found, x = exact(name), samples(name)
    low, high = found.window()
    if name in {"uniform", "checkerboard"}:
        low, high = -2 * torch.ones(found.dimension).double(), 2 * torch.ones(found.dimension).double()
    step = float((high - low).min()) / (400 if found.dimension == 2 else 4000)
    points, volume = grid(tuple(low.tolist()), tuple(high.tolist()), step)
    mass = volume * found.log_prob(points).exp()
    centre = (low + high) / 2 + 0.1
    inside = ((x >= low) & (x < high)).all(dim=1).double()
    for feature in (
        lambda y: y[:, 0],
        lambda y: y[:, -1],
        lambda y: y[:, 0].square(),
        lambda y: y[:, -1].square(),
        lambda y: (y - centre).norm(dim=1),
        lambda y: y.square().sum(dim=1),
    ):
        assert standard_errors(feature(x) * inside, float((feature(points) * mass).sum())) < 4


@pytest.mark.parametrize("name", EXACT)
def test_rows_of_one_call_are_independent(name):
    """Neighbouring rows of one call are uncorrelated, in their ranks and in their distances from the centre."""
    x = samples(name)
    for values in (x[:, 0], (x - x.median(dim=0).values).norm(dim=1)):
        ranks = values.argsort().argsort().double()
        assert abs(float(torch.corrcoef(torch.stack([ranks[:-1], ranks[1:]]))[0, 1])) < 4 / math.sqrt(SAMPLES)


def test_names_keep_their_density():
    """A change of a density is a new name: the log-density at a fixed point of every exact target."""
    values = {
        name: float(exact(name).log_prob(torch.full((1, exact(name).dimension), 0.3, dtype=torch.float64)))
        for name in EXACT
    }
    assert values == pytest.approx(PINNED, rel=1e-9)


PINNED = {
    "banana": -2.003139566409345,
    "bimodal": -23.345791348057542,
    "brenier_2d": -4.744557566140261,
    "brenier_32d": -62.34014872508726,
    "brenier_8d": -15.114150775008767,
    "checkerboard": -2.0794415416798357,
    "claw": -1.3898337266327605,
    "eight_gaussians": -31.731241724951744,
    "funnel": -2.4466789944481873,
    "funnel_10d": -11.264881819530988,
    "gaussian_mixture_16d": -41.201768315311696,
    "ill_conditioned_gaussian_16d": -28.91786152578478,
    "laplace": -0.9931471805599452,
    "noisy_manifold_8d": -70.43308366038985,
    "pinwheel": -5.107163386881744,
    "rings": -17.694754431113772,
    "spiral": -4.00692225403311,
    "student_t": -1.0600064541065983,
    "student_t2": -1.1057460989650794,
    "student_t_8d": -2.2677539732737575,
    "two_modes": -8.370249561610668,
    "two_moons": -4.0017905878962825,
    "uniform": -0.6931471805599453,
}
