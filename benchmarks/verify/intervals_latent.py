"""The intervals of log-likelihood, ELBO and the gaps, on linear models where all of them are exact."""

from __future__ import annotations

import torch
from torch import Generator
from torch.distributions import MultivariateNormal, kl_divergence

from benchmarks.verify.check import Check, coverage, holds
from metrics import importance, likelihood
from metrics.approximation import Optimised, Schedule, best_elbo
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank
from models.base import draw
from models.gaussian import Gaussian

SETS, POINTS = 1_000, 50
#: A third of the usual steps: what they leave out is in the drift. The group "latent" has all of them.
SCHEDULE = Schedule(explore=12, refine=30)

#: The target is the law of the model, moved by so many of its first weights, its covariance so many times as large.
LAWS = {"equal laws": (0.0, 1.0), "shifted": (0.5, 1.0), "wider": (0.0, 1.3), "narrower": (0.0, 0.7)}
DRIFT = "it holds what the optimisation might still gain"


def exact_densities(generator: Generator) -> list[Check]:
    """log p and KL of a model with a tractable density, from 200 points."""
    checks = []
    model = Gaussian()
    model.fit(torch.randn(500, 4, generator=generator, dtype=torch.float64), generator)
    law = MultivariateNormal(model.mean, scale_tril=model.scale_tril)
    for name, (shift, widen) in LAWS.items():
        if name == "equal laws":
            continue  # the paired difference is zero at every point
        target = MultivariateNormal(law.loc + shift, widen * law.covariance_matrix)
        kl = float(kl_divergence(target, law))
        truths = {"log_likelihood": -float(target.entropy()) - kl, "kl": kl}
        held: dict[str, list[bool]] = {metric: [] for metric in truths}
        for x in draw(target, (2_000, 200), generator):
            found = likelihood.scores(likelihood.of_density(model, x), target.log_prob(x))
            for metric, truth in truths.items():
                held[metric].append(holds(found[metric], truth))
        checks += [coverage(f"{metric} of a density, n = 200, {name}", held[metric]) for metric in truths]
    return checks


def linear_models(generator: Generator) -> list[Check]:
    """Every score of a linear VAE with four latents and a poor, diagonal encoder, from sets of 50 points."""
    checks = []
    model = LinearVAE(4, 6, shift=1.0, diagonal=True)
    law = model.marginal()
    for name, (shift, widen) in LAWS.items():
        target = MultivariateNormal(law.loc + shift * model.weight[:, 0], widen * law.covariance_matrix)
        kl = float(kl_divergence(target, law))
        entropy, gap = float(target.entropy()), model.exact_gap()
        truths = {
            "log_likelihood": -entropy - kl,
            "kl": kl,
            "elbo": -entropy - kl - gap,
            "elbo_gap": kl + gap,
            "inference_gap": gap,
        }
        held = _of_sets(model, target, truths, generator)
        for metric in truths:
            checks.append(coverage(f"{metric} of a linear VAE, {POINTS} points, {name}", held[metric]))
    return checks


def gaps(generator: Generator) -> list[Check]:
    """The inference gap in two, of linear VAEs with diagonal and with full encoders, from sets of 50 points.

    In a linear model they do not depend on the law of the points.
    """
    checks = []
    for name, model in {
        "diagonal, shifted": LinearVAE(2, 3, shift=1.0, diagonal=True),
        "full, wide": LinearVAE(2, 3, widen=1.5),
    }.items():
        truths = {
            "approximation_gap": model.exact_approximation_gap(),
            "amortisation_gap": model.exact_amortisation_gap(),
        }
        held = _of_sets(model, model.marginal(), truths, generator)
        for metric in truths:
            checks.append(coverage(f"{metric}, {POINTS} points, encoder {name}", held[metric], DRIFT))
    return checks


def _of_sets(
    model: LinearVAE, target: MultivariateNormal, truths: dict[str, float], generator: Generator
) -> dict[str, list[bool]]:
    """Whether the interval of each score holds its truth, for `SETS` sets of points of the target.

    Points are independent, so they are estimated together and divided into sets afterwards, as `of_latent` would.
    """
    x = draw(target, (SETS * POINTS,), generator)
    bank = Bank.of(model, generator, 2_000)
    estimate = importance.log_prob(model, x, 100, bank, generator)
    elbo = likelihood.elbo(model, x, generator)
    best = best_elbo(model, x, bank, generator, SCHEDULE) if "approximation_gap" in truths else None
    log_target = target.log_prob(x)
    held: dict[str, list[bool]] = {metric: [] for metric in truths}
    for rows in torch.arange(len(x)).split(POINTS):
        points = likelihood.PerPoint(
            estimate.log_prob[rows],
            elbo[rows],
            importance.Estimate(*(values[rows] for values in estimate)),
            None if best is None else Optimised(*(values[rows] for values in best)),
        )
        found = likelihood.scores(points, log_target[rows])
        for metric, truth in truths.items():
            held[metric].append(holds(found[metric], truth))
    return held


CHECKS = (exact_densities, linear_models, gaps)
