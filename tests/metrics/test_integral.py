"""Integrals whose integrand is known at some nodes and estimated at a sample of the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from metrics.averages import RESOLUTION, gap_score, mean_score
from metrics.importance import Estimate
from metrics.integral import LEAST, Rule, completed, exact
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank


@pytest.fixture
def generator() -> Generator:
    return torch.Generator().manual_seed(31)


def plane(count: int = 60) -> Rule:
    """The trapezoidal rule for N(0, I) in the plane."""
    axis = torch.linspace(-8, 8, count, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    log_prob = -(x.square().sum(1) / 2 + math.log(2 * math.pi))
    return Rule(x, log_prob.exp() * float(axis[1] - axis[0]) ** 2, log_prob)


def other(x: Tensor) -> Tensor:
    """log N(x; 0.3, 1.44 I): not quite the rule's own law."""
    return -((x - 0.3).square().sum(1) / 2.88 + math.log(2.88 * math.pi))


def known(x: Tensor) -> Estimate:
    """The density as an estimate without noise."""
    nothing = torch.zeros(len(x), dtype=torch.float64)
    return Estimate(other(x), nothing, nothing, nothing, nothing > 0)


def far(x: Tensor) -> Tensor:
    return x.norm(dim=1) > 3


def everywhere(x: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=torch.bool)


@pytest.mark.parametrize("left", [far, everywhere])
def test_a_sample_of_the_nodes_stands_for_all(left: Callable[[Tensor], Tensor]) -> None:
    """Without bias, and the noise that is told is at least the one that is there, if not ten times it."""
    rule = plane()
    truth = exact(rule, other(rule.x)).value
    values = other(rule.x).masked_fill(left(rule.x), math.nan)
    found = [completed(rule, values, known, torch.Generator().manual_seed(seed)) for seed in range(200)]
    errors = torch.tensor([each.value - truth for each in found])
    noise = math.sqrt(sum(each.noise**2 for each in found) / len(found))
    assert abs(float(errors.mean())) < 4 * float(errors.std()) / math.sqrt(len(found))
    assert 0.8 * float(errors.std()) < noise < 10 * float(errors.std()) + 1e-6
    assert noise < 0.01


def test_few_nodes_are_all_taken(generator: Generator) -> None:
    rule = plane()
    values = other(rule.x)
    values[:LEAST] = math.nan
    found = completed(rule, values, known, generator)
    assert found.value == pytest.approx(exact(rule, other(rule.x)).value, abs=1e-12)
    assert found.noise == 0.0


def test_the_bias_of_a_logarithm_is_put_back_and_allowed_for(generator: Generator) -> None:
    """log p̂ is low by Var/2 where p̂ is log-normal: here at all nodes."""
    rule, variance = plane(30), 0.02

    def noisy(x: Tensor) -> Estimate:
        estimate = known(x)
        noise = torch.randn(len(x), generator=generator, dtype=torch.float64)
        log_prob = estimate.log_prob + math.sqrt(variance) * noise - variance / 2
        return estimate._replace(log_prob=log_prob, variance=torch.full_like(log_prob, variance))

    found = completed(rule, torch.full_like(rule.weight, math.nan), noisy, generator)
    truth = exact(rule, other(rule.x)).value
    assert abs(found.value - truth) < 4 * math.sqrt(variance * float(rule.weight.square().sum()))
    assert found.noise > variance / 2


def test_a_failing_estimate_and_no_density_are_told_by_their_mass(generator: Generator) -> None:
    rule = plane(30)
    values = other(rule.x).masked_fill(far(rule.x), math.nan)
    mass = float(rule.weight[far(rule.x)].sum())
    found = completed(rule, values, lambda x: known(x)._replace(failing=far(x)), generator)
    assert found.failing == pytest.approx(mass, rel=0.3)
    nothing = completed(rule, values, lambda x: known(x)._replace(log_prob=torch.full((len(x),), -math.inf)), generator)
    assert nothing.infinite == pytest.approx(mass, rel=0.3)
    assert nothing.value == math.inf


def test_a_grid_is_decoded_once(generator: Generator) -> None:
    class Counting(LinearVAE):
        decoded = 0

        def likelihood(self, z: Tensor) -> torch.distributions.Distribution:
            self.decoded += z.numel() // z.shape[-1]
            return super().likelihood(z)

    model = Counting(2, 3)
    bank = Bank.of(model, generator, 100)
    x = model.sample(40, generator)
    first, _ = bank.quadrature.log_prob(x)
    before = model.decoded
    second, _ = bank.quadrature.log_prob(x)
    assert model.decoded == before
    assert torch.equal(first, second)


def test_the_tail_of_next_to_nothing_does_not_matter(generator: Generator) -> None:
    tail = torch.rand(300, generator=generator, dtype=torch.float64).pow(-1.5)
    heavy = tail / tail.max()
    assert mean_score(1e-4 * heavy, "a gap").status == "untrusted"
    tiny = gap_score(1e-4 * heavy, "a gap")
    assert (tiny.status, tiny.error) == ("ok", RESOLUTION)
    assert tiny.value == mean_score(1e-4 * heavy, "a gap").value
    assert gap_score(heavy, "a gap") == mean_score(heavy, "a gap")
    assert gap_score(torch.full((3,), math.nan), "a gap").value is None
