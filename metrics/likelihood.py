"""Log-likelihood, ELBO and the gaps between them, on the same held-out points, so that the parts add up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from metrics import importance
from metrics.approximation import Optimised, best_elbo
from metrics.averages import doubted, gap_score, mean_score
from metrics.gaussians import Gaussians
from metrics.importance import Estimate
from metrics.modes import Bank, log_joint
from metrics.pareto import LIMIT
from metrics.score import Score
from models.base import DensityModel, LatentModel, draw

FAILING_SHARE = 0.05
ELBO_DRAWS = 64
SANDWICH_POINTS = 64
_CHUNK = 4_096

NAMES = (
    "log_likelihood",
    "kl",
    "elbo",
    "elbo_gap",
    "fit_gap",
    "inference_gap",
    "approximation_gap",
    "amortisation_gap",
)
WORTH_A_GRID = 0.02
SAFE = ("elbo", "elbo_gap", "amortisation_gap")  # they do without an estimate of log p_θ
SANDWICH = ("sandwich_lower", "sandwich_upper", "sandwich_width")


@dataclass(frozen=True)
class PerPoint:
    """In nats at each held-out point: log p_θ(x), its ELBO (n,), and how log p_θ was found (None: exactly).

    best: the ELBO of the best q of the encoder's own family at the first points; None where there is no such family.
    """

    log_prob: Tensor
    elbo: Tensor
    estimate: Estimate | None
    best: Optimised | None = None


def of_density(model: DensityModel, x: Tensor) -> PerPoint:
    """log p_θ at x (n, d); the ELBO of a model whose density is tractable is its log-density."""
    log_prob = torch.cat([model.log_prob(rows).double() for rows in x.split(_CHUNK)])
    return PerPoint(log_prob, log_prob, None)


def of_latent(model: LatentModel, x: Tensor, samples: int, gaps: int, bank: Bank, generator: Generator) -> PerPoint:
    """log p_θ and the ELBO at x (n, d): by quadrature where it resolves the posterior, else by importance sampling.

    The best ELBO of the encoder's own family is found at the first `gaps` points.
    """
    estimate = log_prob(model, x, samples, bank, generator)
    best = best_elbo(model, x[:gaps], bank, generator)
    if best is None:
        return PerPoint(estimate.log_prob, elbo(model, x, generator), estimate)
    # At the first points by the same draws as for the best q: their difference then has little noise.
    bound = torch.cat([best.encoder, elbo(model, x[gaps:], generator)])
    return PerPoint(estimate.log_prob, bound, estimate, best)


def log_prob(model: LatentModel, x: Tensor, samples: int, bank: Bank, generator: Generator) -> Estimate:
    """log p_θ at x (n, d), (n,): quadrature for one or two latents, `beyond_grids` for the points it leaves."""
    if not bank.quadrature.applies:
        return importance.log_prob(model, x, samples, bank, generator)
    values, resolved = bank.quadrature.log_prob(x)
    estimate = _settled(values)
    if bool(resolved.all()):
        return estimate
    return estimate.put(~resolved, beyond_grids(model, x[~resolved], samples, bank, generator))


def beyond_grids(model: LatentModel, x: Tensor, samples: int, bank: Bank, generator: Generator) -> Estimate:
    """`log_prob` where the quadrature's own grids are known to fail: importance sampling, and where that fails on more
    than 2 % of the points, for these a grid that is finer than all of them."""
    estimate = importance.log_prob(model, x, samples, bank, generator)
    if float(estimate.failing.double().mean()) <= WORTH_A_GRID:
        return estimate
    values, resolved = bank.quadrature.last_resort(x[estimate.failing])
    mended = estimate.failing.masked_scatter(estimate.failing, resolved)
    return estimate.put(mended, _settled(values[resolved]))


def _settled(values: Tensor) -> Estimate:
    """Values (n,) that needed no sampling."""
    unsampled = torch.full_like(values, torch.nan)
    return Estimate(values, unsampled, unsampled, torch.zeros_like(values), ~torch.isfinite(values))


def elbo(model: LatentModel, x: Tensor, generator: Generator, draws: int = ELBO_DRAWS) -> Tensor:
    """E_q(z|x) [log p(x, z) − log q(z|x)] (n,) at x (n, d), by `draws` samples in antithetic pairs if q is Gaussian.

    The Monte Carlo form, not the closed KL: at q = p(z|x) its summand is constant and its noise vanishes.
    """
    parts = []
    for rows in x.split(max(1, 65_536 // draws)):
        q = model.posterior(rows)
        if Gaussians.of(q) is not None:
            z = draw(q, (draws // 2,), generator)
            z = torch.cat([z, 2 * q.mean - z])
        else:
            z = draw(q, (draws,), generator)
        parts.append((log_joint(model, rows, z) - q.log_prob(z)).mean(0))
    return torch.cat(parts)


def with_integral(found: dict[str, Score], kl: Score) -> dict[str, Score]:
    """The scores with the divergence integrated instead of estimated.

    elbo_gap = fit_gap + inference_gap still, and is untrusted if one of them is.
    """
    inference = found["inference_gap"]
    if kl.value is None or kl.error is None:
        total = kl
    elif inference.value is None or inference.error is None:
        total = inference
    else:
        total = Score.of(kl.value + inference.value, math.hypot(kl.error, inference.error))
    return found | {"kl": kl, "fit_gap": kl, "elbo_gap": doubted(total, kl.reason or inference.reason)}


def scores(points: PerPoint, log_target: Tensor | None) -> dict[str, Score]:
    """The scores in nats named by `NAMES`, from the same points; log_target (n,) is log p*, None for real data.

    elbo_gap = fit_gap + inference_gap, exactly. The error of what rests on an estimated log p_θ holds Jensen's bias.
    Untrusted if more than 5 % of the points fail the diagnostic of their estimate.
    """
    log_prob, elbo = points.log_prob, points.elbo
    bias = 0.0 if points.estimate is None else float(points.estimate.variance.mean()) / 2
    gap = log_prob - elbo if points.estimate is not None else torch.zeros_like(elbo)
    found = {
        "log_likelihood": mean_score(log_prob, "log p_θ", bias),
        "elbo": mean_score(elbo, "the ELBO"),
        "inference_gap": gap_score(gap, "log p_θ − ELBO", bias),
        **_split(points, bias),
    }
    if log_target is None:
        missing = Score.absent("n/a", "the density of the target is not known")
        found |= {"kl": missing, "fit_gap": missing, "elbo_gap": missing}
    else:
        kl = mean_score(log_target - log_prob, "log p* − log p_θ", bias)
        found |= {"kl": kl, "fit_gap": kl, "elbo_gap": mean_score(log_target - elbo, "log p* − ELBO")}
    if points.estimate is not None:
        failing = int(points.estimate.failing.sum())
        if failing > FAILING_SHARE * len(log_prob):
            reason = (
                f"importance sampling failed at {failing:,} of {len(log_prob):,} points (k-hat above "
                f"{LIMIT} or fewer than {importance.FEWEST_EFFECTIVE} effective samples)"
            )
            found |= {name: doubted(found[name], reason) for name in found if name not in SAFE}
    return {name: found[name] for name in NAMES}


def _split(points: PerPoint, bias: float) -> dict[str, Score]:
    """The inference gap in two, at the points where the best ELBO is known.

    What the last stretch of the optimisation still gained, and twice its error, are the allowance for what it would
    gain if it went on.
    """
    if points.estimate is None:
        return dict.fromkeys(("approximation_gap", "amortisation_gap"), Score.of(0.0, 0.0))
    if points.best is None:
        missing = Score.absent("n/a", "q(z|x) is not Gaussian: no family to optimise over")
        return dict.fromkeys(("approximation_gap", "amortisation_gap"), missing)
    best, gained = points.best.elbo, points.best.drift
    drift = abs(float(gained.mean())) + 2 * float(gained.std()) / math.sqrt(len(gained))
    few = slice(0, len(best))
    return {
        "approximation_gap": gap_score(points.log_prob[few] - best, "log p_θ − best ELBO", math.hypot(bias, drift)),
        "amortisation_gap": gap_score(best - points.elbo[few], "best ELBO − ELBO", drift),
    }


def sandwich(
    model: LatentModel, samples: int, bank: Bank, generator: Generator
) -> tuple[dict[str, Score], dict[str, Tensor]]:
    """Bounds on E log p_θ at points of the model itself and their difference, and both bounds per point (64,).

    For one or two latents the quadrature is held against both: untrusted if it leaves them by four standard errors.
    """
    x, z = importance.draw_joint(model, SANDWICH_POINTS, generator)
    lower, upper = importance.sandwich(model, x, z, samples, bank, generator)
    means = [Score.of(float(v.mean()), float(v.std()) / len(v) ** 0.5) for v in (lower, upper, upper - lower)]
    bounds = dict(zip(SANDWICH, means, strict=True))
    arrays = {"sandwich_lower": lower, "sandwich_upper": upper}
    values, resolved = bank.quadrature.log_prob(x)
    for excess in ((lower - values)[resolved], (values - upper)[resolved]):
        if len(excess) > 1 and float(excess.mean()) > 4 * float(excess.std()) / len(excess) ** 0.5 + 1e-3:
            reason = f"the quadrature lies outside the bounds by {float(excess.mean()):.2g} nats"
            bounds = {name: doubted(score, reason) for name, score in bounds.items()}
    return bounds, arrays
