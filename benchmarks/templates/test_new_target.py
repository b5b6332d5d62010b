"""NewTarget keeps the promises of every target, and one of its own."""

from __future__ import annotations

from pathlib import Path

import torch
from new_target import NewTarget

from benchmarks.checks import parametrize_with_checks


@parametrize_with_checks(f"{Path(__file__).with_name('new_target.py')}:NewTarget")
def test_it_is_a_target(check):
    check()


def test_without_a_slant_the_variances_are_two():
    """Var e = 2 for a Laplace variable; of 100,000 samples within four standard errors, Var e² = 20."""
    x = NewTarget(slant=0.0).sample(100_000, torch.Generator().manual_seed(0))
    assert float((x.square().mean(0) - 2).abs().max()) < 4 * (20 / len(x)) ** 0.5
