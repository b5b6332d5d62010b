"""Tails: the fitted shape against laws whose shape is known."""

from __future__ import annotations

import math

import pytest
import torch

from metrics.averages import mean_score
from metrics.pareto import pareto_k, unsettled


def uniform(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("k", [-0.5, 0.2, 0.5, 0.7, 1.0, 2.0])
def test_shape_of_generalised_pareto_is_found(k: float) -> None:
    u = uniform(1, 40, 10_000)
    x = (u**-k - 1) / k
    # A sixth of the prior's 10 points at 1/2 is all the bias there is with 300 in the tail.
    expected = (300 * k + 10 * 0.5) / 310
    assert abs(float(pareto_k(x).mean()) - expected) < 0.05


def test_rows_are_independent_of_each_other() -> None:
    x = uniform(2, 3, 500).log().neg()
    torch.testing.assert_close(pareto_k(x)[1], pareto_k(x[1]))


def test_degenerate_tails() -> None:
    constant = torch.ones(500, dtype=torch.float64)
    assert float(pareto_k(constant)) == -math.inf
    one = constant.clone()
    one[3] = 2.0
    assert float(pareto_k(one)) == math.inf
    assert float(pareto_k(uniform(3, 60))) == -math.inf


def test_location_and_scale_do_not_matter() -> None:
    x = uniform(4, 5_000) ** -0.4
    torch.testing.assert_close(pareto_k(x), pareto_k(1e5 * x - 7), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_summand_without_a_mean_is_untrusted_and_keeps_its_value(sign: float) -> None:
    flagged = 0
    for seed in range(40):
        score = mean_score(sign * uniform(seed, 5_000) ** -1.2, "it")
        assert score.value is not None
        flagged += score.status == "untrusted" and "k-hat" in score.reason
    assert flagged >= 38


def test_summands_with_light_tails_or_bounded_outliers_are_trusted() -> None:
    generator = torch.Generator().manual_seed(5)
    for seed in range(20):
        normal = torch.randn(5_000, generator=generator, dtype=torch.float64)
        rare = torch.where(uniform(seed, 5_000) < 0.02, normal, 0.01 * normal)
        for values in (normal, normal.square(), normal.exp(), rare, normal.abs().neg()):
            assert unsettled(values) == ""


def test_points_without_density_are_counted() -> None:
    values = torch.zeros(1_000, dtype=torch.float64)
    values[:3] = -math.inf
    score = mean_score(values, "log p_θ")
    assert (score.status, score.value) == ("untrusted", None)
    assert "3 of 1,000" in score.reason


def test_rounding_of_a_constant_is_no_tail() -> None:
    values = torch.full((2_000,), 3.0, dtype=torch.float64)
    values[0] += 1e-13
    assert mean_score(values, "it").status == "ok"
