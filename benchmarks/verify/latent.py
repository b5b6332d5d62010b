"""Log-likelihood, ELBO and the gaps: linear models, where all of them are exact, and a trained one, by quadrature."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence

from benchmarks import lookup
from benchmarks.verify.check import Check
from benchmarks.verify.draws import mean_and_error
from metrics import importance, likelihood, quadrature
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank
from metrics.score import Score
from models.base import Budget, LatentModel, draw
from models.gaussian_vae import GaussianVAE

GROUP = "latent"
EXACT = "a linear VAE is probabilistic PCA (Tipping & Bishop 1999)"
SUM = "a sum over 640² midpoints"
SIZES = ((1, 2), (2, 4), (8, 16), (16, 64))
ENCODERS: dict[str, dict[str, Any]] = {
    "exact": {},
    "shifted": {"shift": 1.5},
    "wide": {"widen": 1.5},
    "diagonal": {"diagonal": True},
    "diagonal, shifted, wide": {"shift": 1.5, "widen": 1.5, "diagonal": True},
    "rotated": {"rotated": True},
}


def linear_models(generator: Generator) -> list[Check]:
    """log p, KL and the four gaps of linear VAEs with good and bad encoders, against their closed forms.

    The target is the model's law, moved along its first latent direction. Points are the target's.
    """
    checks = []
    for k, d in SIZES:
        for encoder, options in ENCODERS.items():
            if k == 1 and encoder == "rotated":
                continue  # there is nothing to rotate
            model = LinearVAE(k, d, **options)
            law = model.marginal()
            x = draw(law, (160,), generator) + 0.3 * model.weight[:, 0]
            points = likelihood.of_latent(model, x, 300, 48, Bank.of(model, generator), generator)
            found = likelihood.scores(points, law.log_prob(x - 0.3 * model.weight[:, 0]))
            checks += _against_closed_forms(f"k = {k}, encoder {encoder}: ", model, found)
    return checks


def _against_closed_forms(name: str, model: LinearVAE, found: dict[str, Score]) -> list[Check]:
    law, shift = model.marginal(), 0.3 * model.weight[:, 0]
    kl = float(shift @ torch.linalg.solve(law.covariance_matrix, shift)) / 2
    truths = {
        "kl": kl,
        "elbo_gap": kl + model.exact_gap(),
        "inference_gap": model.exact_gap(),
        "approximation_gap": model.exact_approximation_gap(),
        "amortisation_gap": model.exact_amortisation_gap(),
    }
    checks = []
    for metric, truth in truths.items():
        score = found[metric]
        assert score.value is not None
        assert score.error is not None
        # An ELBO whose q is the posterior has no noise but that of arithmetic.
        checks.append(Check(GROUP, name + metric, truth, score.value, score.error, EXACT, tolerance=1e-6))
    return checks


def sandwich(generator: Generator) -> list[Check]:
    """The bounds on log p at the model's own samples hold the exact value, and are close to each other."""
    checks = []
    for k, d in SIZES:
        model = LinearVAE(k, d, shift=2.5, diagonal=True)
        x, z = importance.draw_joint(model, 256, generator)
        lower, upper = importance.sandwich(model, x, z, 200, Bank.of(model, generator, 2_000), generator)
        exact = model.exact_log_prob(x)
        name = f"sandwich, k = {k}, encoder 2.5 sd off: "
        checks += [
            Check(GROUP, f"{name}lower − exact", 0.0, *mean_and_error((lower - exact).numpy()), EXACT, "at most"),
            Check(GROUP, f"{name}upper − exact", 0.0, *mean_and_error((upper - exact).numpy()), EXACT, "at least"),
            Check(GROUP, f"{name}width", 0.05, *mean_and_error((upper - lower).numpy()), "stated bound", "at most"),
        ]
    return checks


def quadratures(generator: Generator) -> list[Check]:
    """The trapezoidal rule on linear models with one and two latents: to rounding."""
    checks = []
    for k, d in ((1, 1), (1, 4), (2, 4)):
        model = LinearVAE(k, d)
        grid = quadrature.grid(model.prior())
        assert grid is not None
        x, _ = importance.draw_joint(model, 64, generator)
        values, _ = quadrature.log_prob(model, x, grid)
        off = float((values - model.exact_log_prob(x)).abs().max())
        name = f"quadrature, {k} latents, {d} dimensions: largest error"
        checks.append(Check(GROUP, name, 1e-8, off, 0.0, EXACT, "at most"))
    return checks


def trained_model(generator: Generator) -> list[Check]:
    """A trained Gaussian VAE with two latents: importance sampling against quadrature, and that against a sum."""
    target = lookup.find("target", "eight_gaussians").load()()
    model = GaussianVAE(latent_dim=2)
    with torch.enable_grad():
        model.fit(target.sample(4_000, generator), generator, Budget(effort=0.2))
    x, z = importance.draw_joint(model, 512, generator)
    bank = Bank.of(model, generator)
    exact, resolved = bank.quadrature.log_prob(x)
    estimate = importance.log_prob(model, x, 1_000, bank, generator)
    bias = float(estimate.variance.mean()) / 2
    mean, error = mean_and_error((estimate.log_prob - exact)[resolved].numpy())
    lower, upper = (
        mean_and_error((bound - exact)[resolved].numpy())
        for bound in importance.sandwich(model, x, z, 1_000, bank, generator)
    )
    few = slice(0, 128)
    off = (exact[few] - _riemann(model, x[few]))[resolved[few]]
    source = "quadrature over both latents"
    name = "a trained VAE, 8 Gaussians: "
    return [
        Check(GROUP, f"{name}importance sampling − quadrature", 0.0, mean, math.hypot(error, bias), source),
        Check(GROUP, f"{name}lower bound − quadrature", 0.0, *lower, source, "at most"),
        Check(GROUP, f"{name}upper bound − quadrature", 0.0, *upper, source, "at least"),
        Check(GROUP, f"{name}quadrature − Riemann sum, mean", 0.0, *mean_and_error(off.numpy()), SUM, tolerance=5e-5),
        Check(GROUP, f"{name}quadrature − Riemann sum, r.m.s.", 5e-4, _root_mean_square(off), 0.0, SUM, "at most"),
        Check(GROUP, f"{name}quadrature − Riemann sum, largest", 5e-3, _largest(off), 0.0, SUM, "at most"),
        Check(GROUP, f"{name}mass of its density", 1.0, _mass(model), 0.0, "the plane, a grid", tolerance=1e-3),
    ]


def _riemann(model: LatentModel, x: Tensor) -> Tensor:
    """log ∫ p(x|z) N(z; 0, I) dz (n,) as a sum over midpoints of a finer and wider grid, one row of it at a time."""
    width = 16.0 / 640
    line = -8 + width * (torch.arange(640, dtype=torch.float64) + 0.5)
    rows = []
    for first in line:
        z = torch.stack([first.expand_as(line), line], dim=1)
        joint = model.likelihood(z).log_prob(x[:, None]) + Normal(0.0, 1.0).log_prob(z).sum(1)
        rows.append(joint.logsumexp(1))
    return torch.stack(rows).logsumexp(0) + 2 * math.log(width)


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


def _mass(model: LatentModel) -> float:
    """∫ p_θ over [−4, 4]², the window of the eight Gaussians with five deviations to spare."""
    line = torch.arange(-4, 4, 0.1, dtype=torch.float64) + 0.05
    grid = quadrature.grid(model.prior())
    assert grid is not None
    values, _ = quadrature.log_prob(model, torch.cartesian_prod(line, line), grid)
    return float(values.exp().sum()) * 0.01


def divergence(generator: Generator) -> list[Check]:
    """KL(p*‖p_θ) of a model with an exact density: the closed form between two Gaussians."""
    checks = []
    for d in (1, 8):
        law, other = LinearVAE(d, d).marginal(), LinearVAE(d, d, seed=1).marginal()
        x = draw(law, (10_000,), generator)
        gap = (law.log_prob(x) - other.log_prob(x)).numpy()
        truth = float(kl_divergence(law, other))
        checks.append(Check(GROUP, f"KL of two Gaussians, d = {d}", truth, *mean_and_error(gap), "closed form"))
    return checks


CHECKS = (linear_models, sandwich, quadratures, trained_model, divergence)
