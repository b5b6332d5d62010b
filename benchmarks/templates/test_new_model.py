"""NewModel keeps the promises of every model, and one of its own."""

from __future__ import annotations

from pathlib import Path

import torch
from new_model import NewModel

from benchmarks.checks import parametrize_with_checks


@parametrize_with_checks(f"{Path(__file__).with_name('new_model.py')}:NewModel")
def test_it_is_a_model(check):
    check()


def test_normal_data_are_no_problem():
    """For x ~ N(0, 1) the mean of log N(x; 0, 1) − log p(x) is KL, about (number of parameters) / (2 n)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10_000, 1, generator=generator, dtype=torch.float64)
    model = NewModel()
    model.fit(x[:5_000], generator)
    held_out = x[5_000:]
    log_target = torch.distributions.Normal(0.0, 1.0).log_prob(held_out).sum(1)
    assert abs(float((log_target - model.log_prob(held_out)).mean())) < 1e-3
