"""One decoder under another q(z|x) or under none, against closed forms, torch's divergence and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from metrics import quadrature
from models.base import draw
from models.exact_likelihood_vae import ExactLikelihoodVAE, fibonacci_lattice
from models.full_covariance_vae import FullCovarianceVAE, divergence_from_standard_normal
from models.gaussian_vae import GaussianVAE
from models.lockstep import Lockstep
from models.vae import VAE
from tests.models.fits import normal, seeded, skewed, trained

F64 = torch.float64
WEIGHT = torch.tensor([[1.2, 0.9], [0.0, 0.5]], dtype=F64)
NOISE = 0.5


def linear_target() -> MultivariateNormal:
    """x = W z + 0.5 ε, z and ε standard normal in the plane: posteriors whose coordinates are correlated."""
    return MultivariateNormal(torch.zeros(2, dtype=F64), WEIGHT @ WEIGHT.T + NOISE**2 * torch.eye(2, dtype=F64))


def given_the_truth(model: VAE, x: Tensor) -> VAE:
    """Built on x, with the decoder that is the law of `linear_target`: W z, and nothing from the tanh network."""
    model.build(x, seeded())
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
        scale = model.whitening.scale
        model.decoder.network.weight.copy_(WEIGHT / scale[:, None])
        model.decoder.network.last.bias.copy_(-model.whitening.shift / scale)
        model.decoder.log_scale.copy_((NOISE / scale).log())
    return model


def encoder_fitted(model: VAE, x: Tensor, steps: int = 600) -> VAE:
    """The encoder alone, by the model's own loss."""
    rows, generator = model.prepare(x, seeded()), seeded(3)
    optimiser = torch.optim.Adam(model.encoder.parameters(), lr=1e-2)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        optimiser.zero_grad()
        model.loss(rows[torch.randint(len(rows), (128,), generator=generator)], generator).backward()
        optimiser.step()
    model.double().requires_grad_(False)
    return model


# The full covariance


def test_a_full_covariance_finds_the_correlated_posterior_and_a_diagonal_one_its_elbo_optimum():
    """Exact: precision P = I + WᵀW/σ². The best diagonal has variances 1/P_ii and costs ½ log(Π P_ii / |P|)."""
    precision = torch.eye(2, dtype=F64) + WEIGHT.T @ WEIGHT / NOISE**2
    covariance = torch.linalg.inv(precision)
    x, test = (draw(linear_target(), (n,), seeded(seed)) for n, seed in ((4000, 1), (500, 2)))
    exact_mean = test @ WEIGHT @ covariance / NOISE**2
    full = encoder_fitted(given_the_truth(FullCovarianceVAE(hidden=8), x), x).posterior(test)
    diagonal = encoder_fitted(given_the_truth(GaussianVAE(hidden=8), x), x).posterior(test)

    exact = MultivariateNormal(exact_mean, covariance.expand(500, 2, 2))
    assert covariance[0, 1].abs() / covariance.diagonal().prod().sqrt() > 0.5
    assert float(kl_divergence(full, exact).mean()) < 0.02
    torch.testing.assert_close(full.covariance_matrix.mean(0), covariance, rtol=0.05, atol=0.01)
    price = float(precision.diagonal().log().sum() - torch.logdet(precision)) / 2
    assert price > 0.2
    as_full = MultivariateNormal(diagonal.mean, scale_tril=diagonal.stddev.diag_embed())
    assert float(kl_divergence(as_full, exact).mean()) == pytest.approx(price, abs=0.02)
    torch.testing.assert_close(diagonal.variance.mean(0), 1 / precision.diagonal(), rtol=0.05, atol=0)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_closed_form_is_torchs_divergence(k):
    x = skewed(40, 3)
    model = FullCovarianceVAE(latent_dim=k)
    model.build(x, seeded())
    q = model.double().requires_grad_(False).posterior(x)
    prior = MultivariateNormal(torch.zeros(k, dtype=F64), torch.eye(k, dtype=F64))
    torch.testing.assert_close(divergence_from_standard_normal(q), kl_divergence(q, prior))
    if k > 1:
        assert float(q.scale_tril.triu(1).abs().max()) == 0  # above the diagonal
        assert float(q.scale_tril[:, 1, 0].abs().min()) > 0


def test_replicates_with_full_covariances_are_mapped_and_recorded():
    models = [FullCovarianceVAE() for _ in range(2)]
    for model in models:
        model.build(skewed(100, 2), seeded())
    lockstep = Lockstep(models, FullCovarianceVAE.loss, (), seeded())
    x = normal(2, 16, 2).float()
    assert lockstep.can_be_mapped(x)
    assert lockstep.recorded(x) is not None


# Exact likelihood


def test_the_lattice_is_the_fibonacci_lattice():
    assert torch.equal(fibonacci_lattice(5, 1), torch.arange(5, dtype=F64)[:, None] / 5)
    expected = torch.tensor([[0, 0], [1, 5], [2, 2], [3, 7], [4, 4], [5, 1], [6, 6], [7, 3]], dtype=F64) / 8
    assert torch.equal(fibonacci_lattice(8, 2), expected)
    found = (fibonacci_lattice(610, 2) * 610).round()
    assert torch.equal(found[:, 1], (377 * torch.arange(610) % 610).double())


@pytest.mark.parametrize("k", [1, 2])
def test_the_lattice_gives_log_p_as_quadrature_does(k):
    """Of a fitted decoder, in the mean over points and shifts: below it by Jensen's inequality, and less with nodes."""
    x, test = skewed(2000, 2), skewed(400, 2, seed=2)
    fitted = trained(ExactLikelihoodVAE(latent_dim=k), x, effort=0.1)
    grid = quadrature.grid(fitted.prior())
    assert grid is not None
    values, resolved = quadrature.log_prob(fitted, test, grid)
    assert float(resolved.double().mean()) > 0.9
    lacking = []
    for nodes in (233, 610, 4181):
        model = ExactLikelihoodVAE(latent_dim=k, nodes=nodes)
        model.restore(fitted.state_dict(), 2)
        rows = fitted.whitening(test[resolved])
        losses = torch.stack([model.negative_log_likelihood(rows, seeded(seed)) for seed in range(32)])
        lacking.append(float(values[resolved].mean() - fitted.whitening.log_abs_det() + losses.mean()))
    assert all(-1e-3 < least < most for least, most in zip(lacking, (0.2, 0.1, 0.02), strict=True)), lacking


def test_shifts_differ_and_the_generator_decides_which():
    x = skewed(200, 2)
    model = ExactLikelihoodVAE(nodes=21)
    model.build(x, seeded())
    rows = model.prepare(x, seeded())
    first, again, other = (model.negative_log_likelihood(rows, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_exact_likelihood_reaches_that_of_a_linear_gaussian_model():
    target = linear_target()
    x, test = (draw(target, (n,), seeded(seed)) for n, seed in ((10_000, 1), (4000, 2)))
    model = trained(ExactLikelihoodVAE(), x, effort=0.2)
    grid = quadrature.grid(model.prior())
    assert grid is not None
    values, resolved = quadrature.log_prob(model, test, grid)
    assert bool(resolved.all())
    assert abs(float((target.log_prob(test) - values).mean())) < 0.02


def test_the_loss_is_at_most_the_negative_elbo():
    """Whatever the encoder: as it begins, and as the second stage leaves it."""
    x = skewed(1000, 2)
    model = ExactLikelihoodVAE()
    model.build(x, seeded())
    rows = model.prepare(x, seeded())
    for fitted in (False, True):
        if fitted:
            model = trained(ExactLikelihoodVAE(), x, effort=0.05)
            rows = model.prepare(x, seeded())
        exact = torch.stack([model.negative_log_likelihood(rows, seeded(seed)) for seed in range(20)])
        bound = torch.stack([model.loss(rows, seeded(100 + seed)) for seed in range(20)])
        error = math.hypot(float(exact.std()), float(bound.std())) / math.sqrt(20)
        assert float(exact.mean()) < float(bound.mean()) - 4 * error


def test_noise_that_is_not_learned_stays():
    x = skewed(500, 2)
    kept = trained(ExactLikelihoodVAE(noise=0.3, learn_noise=False), x, effort=0.02)
    learned = trained(ExactLikelihoodVAE(noise=0.3), x, effort=0.02)
    sigma = kept.likelihood(normal(5, 2)).base_dist.scale
    torch.testing.assert_close(sigma, (0.3 * x.std(0, correction=0)).expand(5, 2), rtol=1e-3, atol=0)
    assert not torch.allclose(learned.likelihood(normal(5, 2)).base_dist.scale, sigma, rtol=1e-2)


def test_two_latents_at_most():
    with pytest.raises(ValueError, match="1 or 2"):
        ExactLikelihoodVAE(latent_dim=3)
    model = ExactLikelihoodVAE()
    model.build(skewed(50, 5), seeded())
    assert model.prior().event_shape == (2,)
    assert not any(name.startswith("lattice") for name in model.state_dict())
    assert trained(ExactLikelihoodVAE(), skewed(60, 1), effort=0.01).prior().event_shape == (1,)
