"""The answer in five sentences: what the numbers of a study say, with the numbers in it, and nothing beyond them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.report.statistics import Estimate
from benchmarks.study import capacity, maps, noise, posterior, tails
from benchmarks.study.deconvolution import floor
from benchmarks.study.evidence import Evidence, ratio
from benchmarks.study.tabular import listed, percent, said

DIAGONAL = "gaussian_vae"
BETTER = {"a full covariance in q": "full_covariance_vae", "a flow in place of q": "vae_flow_posterior"}


def answer(evidence: Evidence) -> list[str]:
    """Which Gaussian, what removes its price, what theory promises, what p(x|z) costs, and the other machines."""
    return [sentence(evidence) for sentence in (_which, _remedies, _promise, _decoder, _machines)]


def price_of_posterior(evidence: Evidence, target: str) -> Estimate | None:
    """The share of the ELBO's KL that the exact likelihood does without: 1 − KL of the exact / KL of the ELBO."""
    times = posterior.times_exact(evidence, target)
    return None if times is None else Estimate(1 - 1 / times.value, 1 - 1 / times.low, 1 - 1 / times.high)


def _which(evidence: Evidence) -> str:
    shares = {target: price_of_posterior(evidence, target) for target in posterior.TARGETS}
    larger = [target for target, share in shares.items() if share is not None and share.low > 0.5]
    smaller = [target for target, share in shares.items() if share is not None and share.high < 0.5]
    open_ = [target for target in shares if target not in larger + smaller]
    who = [
        f"{gaussian} on {listed(targets)}"
        for gaussian, targets in (("q(z|x)", larger), ("p(x|z)", smaller), ("neither for sure", open_))
        if targets
    ]
    return (
        f"Of the two Gaussians the dearer one under the ELBO is {', '.join(who)}: of the KL that a Gaussian VAE is "
        f"left with, q(z|x) accounts for {_each(shares, percent)}, since the same decoder trained by its likelihood "
        "itself, without any q, does not have that part."
    )


def _remedies(evidence: Evidence) -> str:
    parts = [
        f"{how} lowers the KL distinguishably on {_lower(times)} of {len(times)} targets, to {_each(times, percent)}"
        for how, model in BETTER.items()
        if (times := {t: _against_elbo(evidence, t, model) for t in posterior.TARGETS})
    ]
    most = posterior.SAMPLES[-1]
    tight = {target: posterior.tightened(evidence, target) for target in posterior.TARGETS}
    return (
        f"What q lacks is not a covariance: of what the ELBO with a diagonal q leaves, {'; '.join(parts)}; a tighter "
        f"bound with the same two Gaussians, {most} importance-weighted draws for one, on {_lower(tight)} of "
        f"{len(tight)}, to {_each(tight, percent)}."
    )


def _promise(evidence: Evidence) -> str:
    slopes = {target: capacity.slope(evidence, target) for target in capacity.TARGETS}
    left = {target: capacity.left(evidence, target) for target in capacity.TARGETS}
    falling = sum(slope is not None and slope.high < 0 for slope in slopes.values())
    narrow, wide = capacity.WIDTHS[0], capacity.WIDTHS[-1]
    return (
        "There is a universal approximation theorem: a Gaussian p(x|z) around a wide enough network is an infinite "
        "mixture of Gaussians and comes as near to any law as one likes; measured with q out of the way, its KL falls "
        f"with width on {falling} of {len(slopes)} targets, and from {narrow} to {wide} units there remains "
        f"{_each(left, percent)} of it."
    )


def _decoder(evidence: Evidence) -> str:
    largest, heavy = noise.NOISES[-1], tails.DEGREES[0]
    least = ", ".join(f"{floor(target, largest):.2g} on {target}" for target in noise.TARGETS)
    far = {model: tails.far_mass(evidence, model, heavy) for model in (DIAGONAL, "normalizing_flow")}
    return (
        f"What p(x|z) costs when its σ cannot shrink is known beforehand: held at {largest:g} standard deviations at "
        f"least {least} nats, whatever the network; and of the mass that Student’s t with {heavy:g} degrees of freedom "
        f"has far out, {_each(far, percent, 'in')} is there."
    )


def _machines(evidence: Evidence) -> str:
    paid = {model: maps.price_of_way(evidence, model) for model in ("ot_map", "normalizing_flow", DIAGONAL)}
    return (
        "Transforming the sample or the distribution comes to the same law by different ways: where the optimal map "
        f"is known, E|T(z) − z|² is {_each(paid, said, 'for')} times the least there is."
    )


def _against_elbo(evidence: Evidence, target: str, model: str) -> Estimate | None:
    return ratio(evidence.values("kl", target, model), evidence.values("kl", target, DIAGONAL))


def _lower(times: dict[str, Estimate | None]) -> int:
    return sum(this is not None and this.high < 1 for this in times.values())


def _each(values: dict[str, Estimate | None], shown: Callable[[Estimate | None], str], word: str = "on") -> str:
    parts: Sequence[str] = [f"{shown(value)} {word} {name}" for name, value in values.items()]
    return listed(parts)
