"""Targets with a knob: each against closed forms and scipy's distributions over its range, and what it refuses."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor

from benchmarks import arguments
from benchmarks.targets.base import ExactTarget, TransportTarget
from benchmarks.targets.families import StudentT, TwoModes
from benchmarks.targets.manifolds import NoisyManifold8D
from tests.targets.test_exact import standard_errors

DEGREES = [1.0, 1.5, 2.0, 3.0, 5.0, 30.0, 1e6]
SEPARATIONS = [0.0, 1.0, 4.0, 8.0, 20.0, 60.0]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def mean(target: StudentT | TwoModes, power: int, spacing: float = 1.0) -> float:
    x, weights = target.nodes(spacing)
    return float(weights @ x[:, 0].abs() ** power)


# --- Student's t


@pytest.mark.parametrize("degrees", DEGREES)
def test_students_t_is_scipys(degrees):
    target, reference = StudentT(degrees), scipy.stats.t(degrees)
    x = column(*np.linspace(-8, 8, 101), 1e3, 1e6)
    torch.testing.assert_close(target.log_prob(x), torch.from_numpy(reference.logpdf(x[:, 0])), rtol=1e-9, atol=1e-9)
    assert target.entropy() == pytest.approx(float(reference.entropy()), abs=1e-8)
    assert target.moments == degrees
    low, high = target.window()
    assert reference.cdf(float(high)) - reference.cdf(float(low)) == pytest.approx(0.98)


@pytest.mark.parametrize("degrees", DEGREES)
def test_students_t_is_sampled(degrees):
    x = StudentT(degrees).sample(20_000, generator(3))
    assert scipy.stats.kstest(x[:, 0].numpy(), scipy.stats.t(degrees).cdf).pvalue > 1e-3
    assert (x > 0).double().mean() == pytest.approx(0.5, abs=0.02)


def test_three_standard_definitions_agree():
    """One degree of freedom is Cauchy's distribution, two are `student_t2`, and a million are as good as a Gaussian."""
    x = column(-3, 0, 0.5, 2)
    torch.testing.assert_close(StudentT(1).log_prob(x), torch.from_numpy(scipy.stats.cauchy.logpdf(x[:, 0])))
    torch.testing.assert_close(StudentT(2).log_prob(x), -1.5 * (x[:, 0].square() + 2).log())
    torch.testing.assert_close(
        StudentT(1e6).log_prob(x), torch.from_numpy(scipy.stats.norm.logpdf(x[:, 0])), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("spacing", [1.0, 4.0])
@pytest.mark.parametrize("degrees", DEGREES)
def test_students_t_integrates(degrees, spacing):
    target = StudentT(degrees)
    x, weights = target.nodes(spacing)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-8)
    assert -float(weights @ target.log_prob(x)) == pytest.approx(target.entropy(), abs=1e-8)
    if degrees > 2:
        assert mean(target, 2, spacing) == pytest.approx(degrees / (degrees - 2), rel=1e-8)


def test_the_second_moment_near_where_it_ends():
    """It is as exact as the docstring of the rule says, for tails that are just light enough to have one."""
    assert mean(StudentT(2.5), 2) == pytest.approx(5, rel=1e-8)
    assert mean(StudentT(2.1), 2) == pytest.approx(21, rel=0.03)


# --- Two modes


def distribution(x: Tensor, separation: float) -> np.ndarray:
    normal = scipy.stats.norm
    return (normal.cdf(x.numpy() - separation / 2) + normal.cdf(x.numpy() + separation / 2)) / 2


@pytest.mark.parametrize("separation", SEPARATIONS)
def test_two_modes_are_two_gaussians(separation):
    target, normal = TwoModes(separation), scipy.stats.norm
    x = column(*np.linspace(-6, 6, 101)) + separation / 2
    log_density = np.logaddexp(normal.logpdf(x, separation / 2), normal.logpdf(x, -separation / 2)) - math.log(2)
    torch.testing.assert_close(target.log_prob(x), torch.from_numpy(log_density[:, 0]))
    samples = target.sample(20_000, generator(3))[:, 0]
    assert scipy.stats.kstest(samples.numpy(), lambda y: distribution(torch.from_numpy(y), separation)).pvalue > 1e-3


@pytest.mark.parametrize("separation", SEPARATIONS)
def test_two_modes_integrate(separation):
    target = TwoModes(separation)
    for spacing in (1.0, 4.0):
        x, weights = target.nodes(spacing)
        assert len(x) <= 5_000
        assert float(weights.sum()) == pytest.approx(1, abs=1e-8)
        assert mean(target, 2, spacing) == pytest.approx(1 + separation**2 / 4, rel=1e-8)
    edges = np.linspace(0, separation / 2 + 12, 41)
    log_p = lambda t: float(target.log_prob(column(t)))  # noqa: E731
    half = sum(
        scipy.integrate.quad(lambda t: -math.exp(log_p(t)) * log_p(t), *ends)[0] for ends in itertools.pairwise(edges)
    )
    assert target.entropy() == pytest.approx(2 * half, abs=1e-8)


@pytest.mark.parametrize("separation", SEPARATIONS)
def test_the_map_takes_one_distribution_function_to_the_other(separation):
    """To twelve digits of the smaller tail, as far out as z = 8; and T is odd and increasing."""
    target = TwoModes(separation)
    z = column(*np.linspace(-8, 0, 401))
    x = target.transport(z)
    assert x.shape == z.shape
    ratio = distribution(x, separation) / scipy.stats.norm.cdf(z.numpy())
    np.testing.assert_allclose(ratio, 1, rtol=1e-12)
    torch.testing.assert_close(target.transport(-z), -x, rtol=0, atol=1e-14)
    assert (x.diff(dim=0) >= 0).all()
    assert target.transport(column()).shape == (0, 1)
    assert target.transport(column(math.nan)).isnan().all()


def test_the_map_is_exact_where_it_is_steep():
    """Between the modes F is ½ to all digits that a double has, and T is not lost: T(z) ≈ T'(0) z."""
    for separation in (4.0, 8.0, 12.0):
        target = TwoModes(separation)
        z = 1e-3 * math.exp(-(separation**2) / 8) * column(-1, -0.5, 0.5, 1)
        torch.testing.assert_close(target.transport(z), 1e-3 * column(-1, -0.5, 0.5, 1), rtol=1e-4, atol=0)


def test_one_mode_is_not_moved():
    z = column(*np.linspace(-30, 30, 61))
    torch.testing.assert_close(TwoModes(0).transport(z), z, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("separation", SEPARATIONS)
def test_the_map_pushes_the_gaussian_forward(separation):
    target = TwoModes(separation)
    assert isinstance(target, TransportTarget)
    x = target.transport(torch.randn(20_000, 1, generator=generator(4), dtype=torch.float64))
    assert standard_errors(-target.log_prob(x), target.entropy()) < 4
    assert scipy.stats.kstest(x[:, 0].numpy(), lambda y: distribution(torch.from_numpy(y), separation)).pvalue > 1e-3


@pytest.mark.parametrize("separation", SEPARATIONS)
def test_the_map_is_as_steep_as_its_formula_says(separation):
    """T'(0) = exp(s²/8), and elsewhere T' is the quotient of differences."""
    target = TwoModes(separation)
    assert float(target.derivative(column(0.0))) == pytest.approx(math.exp(separation**2 / 8), rel=1e-9)
    z, step = column(-3, -1, -0.5, 0.7, 2, 5), 1e-5
    slope = (target.transport(z + step) - target.transport(z - step)) / (2 * step)
    torch.testing.assert_close(target.derivative(z), slope[:, 0], rtol=1e-5, atol=1e-8)


# --- The torus and its noise


def test_a_tenth_is_the_noise_of_the_name():
    x = NoisyManifold8D().sample(100, generator(0))
    assert torch.equal(x, NoisyManifold8D(0.1).sample(100, generator(0)))
    assert torch.equal(NoisyManifold8D().log_prob(x), NoisyManifold8D(0.1).log_prob(x))


@pytest.mark.parametrize("noise", [0.04, 0.3, 1.0])
def test_the_torus_with_other_noise_against_a_plain_sum(noise):
    target = NoisyManifold8D(noise)
    angle = 2 * math.pi * torch.arange(500, dtype=torch.float64) / 500
    s, t = (part.flatten() for part in torch.meshgrid(angle, angle, indexing="ij"))
    torus = target.manifold(s, t)
    x = target.sample(6, generator(2))
    squared = torch.stack([(row - torus).square().sum(dim=1) for row in x])
    constant = 4 * math.log(2 * math.pi * noise**2) + math.log(len(torus))
    reference = (-squared / (2 * noise**2)).logsumexp(dim=1) - constant
    torch.testing.assert_close(target.log_prob(x), reference, rtol=0, atol=1e-8)


@pytest.mark.parametrize("noise", [0.04, 0.3, 1.0])
def test_the_entropy_of_the_torus_with_other_noise(noise):
    target = NoisyManifold8D(noise)
    assert standard_errors(-target.log_prob(target.sample(3000, generator(7))), target.entropy()) < 4


def test_little_noise_lies_flat_on_the_torus():
    """ln of the torus's area, 3 (2π)², and six directions of noise; curvature changes it by some σ²."""
    noise = 0.02
    flat = math.log(3 * (2 * math.pi) ** 2) + 3 * math.log(2 * math.pi * math.e * noise**2)
    x = NoisyManifold8D(noise).sample(2000, generator(5))
    assert standard_errors(-NoisyManifold8D(noise).log_prob(x), flat) < 4


# --- Arguments


@pytest.mark.parametrize(
    ("constructor", "argument", "values", "hint"),
    [
        (StudentT, "degrees", (0, 0.9, -3, 2e6, math.inf, math.nan), "from 1, the Cauchy distribution, to 1e6"),
        (TwoModes, "separation", (-1, 61, math.inf, math.nan), "from 0, which is N\\(0, 1\\), to 60"),
        (NoisyManifold8D, "noise", (0, -0.1, 0.001, 2, math.nan), "from 0.01 to 1"),
    ],
)
def test_refusals_say_what_would_be_right(constructor, argument, values, hint):
    for value in values:
        with pytest.raises(ValueError, match=f"{argument} = {value}: .*{hint}"):
            constructor(**{argument: value})


def test_their_knobs_can_be_set_in_a_name():
    for name, constructor in (("degrees", StudentT), ("separation", TwoModes), ("noise", NoisyManifold8D)):
        assert arguments.check("target", "any", constructor, ((name, 1),)) == ((name, 1.0),)
        assert isinstance(constructor(**{name: 1.0}), ExactTarget)
