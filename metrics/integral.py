"""KL(p* ‖ p_θ) as an integral: in one and two dimensions nothing needs to be estimated from samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.averages import doubted
from metrics.importance import Estimate
from metrics.score import Score

FAILING_MASS = 0.05
FAR = 5.0


@dataclass(frozen=True)
class Rule:
    """A quadrature rule under the target: E_p* f ≈ Σ_g w_g f(x_g), x (G, d), weight (G,), with log p*(x) (G,)."""

    x: Tensor
    weight: Tensor
    log_prob: Tensor


def integrated_kl(rules: tuple[Rule, Rule], log_prob: Callable[[Tensor], Estimate | Tensor], sampled: Score) -> Score:
    """Σ w (log p* − log p_θ) by the finer rule, in nats; the coarser one, of half the resolution, gives the error.

    To it add the noise and the bias of log p_θ where that is itself an estimate. sampled: the same from the held-out
    points. Where that can be trusted it is the judge: a model with spikes between the nodes makes the integral
    untrusted. Zero density at a node that counts is no number, as for points.
    """
    fine, coarse = (_integrate(rule, log_prob(rule.x)) for rule in rules)
    if not math.isfinite(fine.value):
        return Score.absent("untrusted", f"log p_θ is not finite on {fine.infinite:.2g} of the target's mass")
    score = Score.of(fine.value, math.hypot(fine.value - coarse.value, fine.noise))
    if fine.failing > FAILING_MASS:
        score = doubted(score, f"importance sampling failed on {100 * fine.failing:.0f} % of the target's mass")
    if sampled.status == "ok" and sampled.value is not None and score.value is not None and score.error is not None:
        apart = abs(score.value - sampled.value)
        if apart > FAR * math.hypot(sampled.error or 0.0, score.error) + 1e-6:
            score = doubted(score, f"the held-out points say {sampled.value:.3g} ± {sampled.error:.1g}")
    return score


@dataclass(frozen=True)
class _Integral:
    """A value with its noise, and the target's mass where log p_θ failed or is not finite."""

    value: float
    noise: float
    failing: float
    infinite: float


def _integrate(rule: Rule, found: Estimate | Tensor) -> _Integral:
    log_prob = found.log_prob if isinstance(found, Estimate) else found
    value = float(rule.weight @ (rule.log_prob - log_prob))
    infinite = float(rule.weight[~torch.isfinite(log_prob)].sum())
    if not isinstance(found, Estimate):
        return _Integral(value, 0.0, 0.0, infinite)
    noise = math.hypot(
        float((rule.weight.square() @ found.variance).sqrt()),
        float(rule.weight @ found.variance) / 2,
    )
    return _Integral(value, noise, float(rule.weight[found.failing].sum()), infinite)
