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
        f"Under the ELBO the dearer Gaussian is {', '.join(who)}: of the KL that the VAE is left with, the same "
        f"decoder, trained by its likelihood itself and so without any q, does without {_each(shares, percent)}."
    )


def _remedies(evidence: Evidence) -> str:
    remedies = {how: {t: _against_elbo(evidence, t, model) for t in posterior.TARGETS} for how, model in BETTER.items()}
    more = f"{posterior.SAMPLES[-1]} importance-weighted draws in place of one, with the very same two Gaussians,"
    remedies[more] = {target: posterior.tightened(evidence, target) for target in posterior.TARGETS}
    said_of = [f"{how} on {_lower(times)} (to {_each(times, percent)})" for how, times in remedies.items()]
    return (
        f"Of the remedies for q, on {len(posterior.TARGETS)} targets, the KL is lowered distinguishably by "
        f"{'; by '.join(said_of)}."
    )


def _promise(evidence: Evidence) -> str:
    slopes = {target: capacity.slope(evidence, target) for target in capacity.TARGETS}
    left = {target: capacity.left(evidence, target) for target in capacity.TARGETS}
    falling = sum(slope is not None and slope.high < 0 for slope in slopes.values())
    narrow, wide = capacity.WIDTHS[0], capacity.WIDTHS[-1]
    return (
        "There is a universal approximation theorem: a Gaussian p(x|z) around a wide enough network is an infinite "
        "mixture of Gaussians and comes as near to any law as one likes. How fast it does not say: with q out of the "
        f"way the KL falls with the network’s width on {falling} of {len(slopes)} targets, and {wide} units leave "
        f"{_each(left, percent)} of what {narrow} leave."
    )


def _decoder(evidence: Evidence) -> str:
    largest, heavy = noise.NOISES[-1], tails.DEGREES[0]
    least = listed([f"{floor(target, largest):.2g} nats on {target}" for target in noise.TARGETS])
    far = {model: tails.far_mass(evidence, model, heavy) for model in (DIAGONAL, "normalizing_flow")}
    return (
        f"What p(x|z) costs when its σ cannot shrink is known beforehand: held at {largest:g} standard deviations, "
        f"at least {least}, whatever the network; and of the mass that Student’s t with {heavy:g} degrees of freedom "
        f"has far out, {_each(far, percent, 'is there in')}."
    )


def _machines(evidence: Evidence) -> str:
    paid = {model: maps.price_of_way(evidence, model) for model in ("ot_map", "normalizing_flow", DIAGONAL)}
    return (
        "Transforming the sample or the distribution comes to the same law by different ways: where the optimal map "
        f"is known, E|T(z) − z|², as a multiple of the least there is, is {_each(paid, said, 'for')}."
    )


def _against_elbo(evidence: Evidence, target: str, model: str) -> Estimate | None:
    return ratio(evidence.values("kl", target, model), evidence.values("kl", target, DIAGONAL))


def _lower(times: dict[str, Estimate | None]) -> int:
    return sum(this is not None and this.high < 1 for this in times.values())


def _each(values: dict[str, Estimate | None], shown: Callable[[Estimate | None], str], word: str = "on") -> str:
    parts: Sequence[str] = [f"{shown(value)} {word} {name}" for name, value in values.items()]
    return listed(parts)
