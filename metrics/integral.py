"""KL(p* ‖ p_θ) as an integral: in one and two dimensions nothing needs to be estimated from samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from metrics.averages import doubted
from metrics.importance import Estimate
from metrics.score import Score

FAILING_MASS = 0.05
FAR = 5.0
ENOUGH, RELATIVE = 2e-4, 5e-3
MOST, LEAST = 1_400, 100


@dataclass(frozen=True)
class Rule:
    """A quadrature rule under the target: E_p* f ≈ Σ_g w_g f(x_g), x (G, d), weight (G,), with log p*(x) (G,)."""

    x: Tensor
    weight: Tensor
    log_prob: Tensor


@dataclass(frozen=True)
class Integral:
    """Σ w (log p* − log p_θ) with its noise, and the target's mass where log p_θ failed or is not finite."""

    value: float
    noise: float
    failing: float
    infinite: float


def integrated_kl(rules: tuple[Rule, ...], integrate: Callable[[Rule], Integral], sampled: Score) -> Score:
    """KL(p* ‖ p_θ) in nats by ever finer rules, at least two, until two of them agree: `_agree`.

    Their difference is the error, and to it adds the noise where log p_θ is itself an estimate; of the last two
    integrals the one with less of it is the value. (A latent-variable model blurs by its own noise, so few nodes will
    do.) sampled: the same from the held-out points. Where that can be trusted it is the judge: a model with spikes
    between the nodes makes the integral untrusted. Zero density at a node that counts is no number, as for points.
    """
    fine = integrate(rules[0])
    for rule in rules[1:]:
        coarse, fine = fine, integrate(rule)
        if _agree(fine, coarse):
            break
    if not math.isfinite(fine.value):
        return Score.absent("untrusted", f"log p_θ is not finite on {fine.infinite:.2g} of the target's mass")
    value = min(fine, coarse, key=lambda integral: integral.noise).value
    score = Score.of(value, math.hypot(fine.value - coarse.value, fine.noise))
    if fine.failing > FAILING_MASS:
        score = doubted(score, f"importance sampling failed on {100 * fine.failing:.0f} % of the target's mass")
    if sampled.status == "ok" and sampled.value is not None and score.value is not None and score.error is not None:
        apart = abs(score.value - sampled.value)
        if apart > FAR * math.hypot(sampled.error or 0.0, score.error) + 1e-6:
            score = doubted(score, f"the held-out points say {sampled.value:.3g} ± {sampled.error:.1g}")
    return score


def exact(rule: Rule, log_prob: Tensor) -> Integral:
    """The integral of a model whose log p_θ (G,) is known at the nodes."""
    value = float(rule.weight @ (rule.log_prob - log_prob))
    return Integral(value, 0.0, 0.0, float(rule.weight[~torch.isfinite(log_prob)].sum()))


def completed(rule: Rule, log_prob: Tensor, estimate: Callable[[Tensor], Estimate], generator: Generator) -> Integral:
    """The integral of a model whose log p_θ (G,) is known at most nodes, and nan where it has to be estimated.

    Of those a sample stands for all (`_systematic`), each for as many as its chance of being drawn says (Horvitz and
    Thompson 1952): far nodes, which are many and carry little, so cost little. By Jensen's inequality the log of an
    estimate p̂ is low by Var(p̂)/2p² to second order; that is put back, and remains in the noise as an allowance.
    """
    unknown = log_prob.isnan()
    known = Rule(rule.x[~unknown], rule.weight[~unknown], rule.log_prob[~unknown])
    sure = exact(known, log_prob[~unknown])
    left = unknown.nonzero().squeeze(1)
    if len(left) == 0:
        return sure
    chosen, chance = _systematic(rule, left, generator)
    found = estimate(rule.x[chosen])
    weight = rule.weight[chosen] / chance
    terms = weight * (rule.log_prob[chosen] - found.log_prob - found.variance / 2)
    noise = math.sqrt(float(weight.square() @ found.variance) + _variance(terms, chance))
    return Integral(
        sure.value + float(terms.sum()),
        math.hypot(noise, float(weight @ found.variance) / 2),
        float(weight[found.failing].sum()),
        sure.infinite + float(weight[~torch.isfinite(found.log_prob)].sum()),
    )


def _agree(fine: Integral, coarse: Integral) -> bool:
    """To 0.5 % and 2e-4 nats, or to twice their noise: never for values that are not finite."""
    apart, noise = abs(fine.value - coarse.value), 2 * math.hypot(fine.noise, coarse.noise)
    return math.isfinite(apart) and apart <= max(ENOUGH + RELATIVE * abs(fine.value), noise)


def _systematic(rule: Rule, left: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Which of the nodes `left` are drawn, in their order, and the chance (m,) that each of them had.

    Systematic sampling (Madow 1949), with chances in proportion to s = w (1 + |x|²), x standardised: as
    log p* − log p_θ grows. Neighbours in the rule are neighbours in space, so that the sample is spread evenly. Its
    size is `MOST` times the share of all s that is left, and `LEAST` or more.
    """
    mean = rule.weight @ rule.x
    squared = (rule.x - mean).square()
    size = (rule.weight * (1 + (squared / (rule.weight @ squared)).sum(1))).clamp_min(1e-300)
    number = max(LEAST, MOST * float(size[left].sum() / size.sum()))
    size = size[left]
    chance = (number / size.sum() * size).clamp_max(1)
    while float(chance.sum()) < 0.99 * min(number, len(left)):  # those sure to be drawn leave the rest to the others
        sure = chance == 1
        chance = (size * ((number - float(sure.sum())) / size[~sure].sum())).clamp_max(1).masked_fill(sure, 1)
    steps = (chance.cumsum(0) + torch.rand((), generator=generator, dtype=chance.dtype)).floor()
    drawn = (steps.diff(prepend=torch.zeros_like(steps[:1])) >= 1) | (chance == 1)
    return left[drawn], chance[drawn]


def _variance(terms: Tensor, chance: Tensor) -> float:
    """The variance of a sum of terms (m,), each drawn with its chance: by successive differences (Wolter 1984)."""
    uncertain = chance < 1
    steps = terms[uncertain].diff().square()
    return float(((1 - chance[uncertain][1:]) * steps).sum()) / 2
