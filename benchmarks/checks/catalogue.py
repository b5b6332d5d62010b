"""All checks, of models and of targets, in the order in which they run: the simple ones first."""

from __future__ import annotations

from benchmarks.checks import contract, data, density, latent, randomness, targets
from benchmarks.checks.check import Check
from benchmarks.lookup import Kind

CHECKS: dict[Kind, tuple[Check, ...]] = {
    "model": contract.CHECKS + randomness.CHECKS + data.CHECKS + density.CHECKS + latent.CHECKS,
    "target": targets.CHECKS,
}
