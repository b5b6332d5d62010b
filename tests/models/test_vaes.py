"""What each VAE adds to the first one, against closed forms, autograd and plain Monte Carlo."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from metrics import quadrature
from models.base import Budget, draw
from models.gaussian_vae import GaussianVAE
from models.heteroscedastic_vae import HeteroscedasticVAE
from models.iwae import IWAE
from models.training import fit_replicates
from models.two_stage_vae import TwoStageVAE
from models.vae import VAE
from models.vae_flow_posterior import VAEFlowPosterior
from models.vae_flow_prior import VAEFlowPrior
from tests.models.fits import normal, seeded, skewed

F64 = torch.float64


def built(model: Any, x: Tensor, noise: float = 0.0) -> Any:
    """Not trained; with `noise`, every parameter is moved at random by so much, so that nothing is at its start."""
    model.build(x, seeded())
    model.double().requires_grad_(False)
    for position, parameter in enumerate(model.parameters()):
        parameter += noise * normal(*parameter.shape, seed=position)
    return model


def elbo(model: VAE, x: Tensor, draws: int = 200, seed: int = 5) -> Tensor:
    """Draws of the ELBO's summand log p(x, z) − log q(z|x), (draws, n), from the three distributions alone."""
    q = model.posterior(x)
    z = draw(q, (draws,), seeded(seed))
    return model.likelihood(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)


def assert_equal_means(first: Tensor, second: Tensor, sigmas: float = 4.0) -> None:
    """Two samples of independent numbers have the same expectation, to 4 standard errors."""
    error = math.sqrt(float(first.var()) / len(first) + float(second.var()) / len(second))
    assert abs(float(first.mean() - second.mean())) < sigmas * error


@pytest.mark.parametrize(
    "model",
    [GaussianVAE(), HeteroscedasticVAE(), IWAE(), VAEFlowPosterior(), VAEFlowPrior()],
    ids=lambda m: type(m).__name__,
)
def test_the_loss_is_the_negative_elbo_of_the_distributions(model):
    """Of the same minibatch, in the data's units: the loss lacks the whitening's log-determinant only."""
    x = skewed(50, 2)
    built(model, x, noise=0.1)
    rows = model.prepare(x, seeded())
    losses = torch.stack([model.loss(rows, seeded(seed)) for seed in range(400)])
    assert_equal_means(-losses + model.whitening.log_abs_det(), elbo(model, x, 400).mean(1))


# The Gaussian VAE


def test_the_elbo_gap_of_an_ill_conditioned_gaussian_closes():
    """16-D, condition number 1e4, isotropic rotation: the linear path carries what tanh cannot."""
    rotation = torch.linalg.qr(normal(16, 16, seed=3)).Q
    scales = torch.logspace(0, -2, 16, dtype=F64)
    target = MultivariateNormal(torch.zeros(16, dtype=F64), (rotation * scales.square()) @ rotation.T)
    x, test = (draw(target, (n,), seeded(seed)) for n, seed in ((10_000, 1), (2000, 2)))
    model = GaussianVAE()
    model.fit(x, seeded())
    assert float(target.log_prob(test).mean() - elbo(model, test, 8).mean()) < 1


# The heteroscedastic VAE


def two_scales(n: int, seed: int) -> Tensor:
    """x = exp(1.5 u) ε, u and ε standard normal, (n, 1): a scale mixture, of which one σ sees the average."""
    return (1.5 * normal(n, 1, seed=seed)).exp() * normal(n, 1, seed=seed + 1)


def test_a_noise_that_depends_on_the_latent_starts_constant_and_wins_on_a_scale_mixture():
    x, test = two_scales(4000, 10), two_scales(4000, 20)
    start = built(HeteroscedasticVAE(), x).likelihood(3 * normal(50, 1)).base_dist.scale
    torch.testing.assert_close(start, start[:1].expand_as(start))
    fits = {}
    for model in (GaussianVAE(), HeteroscedasticVAE()):
        model.fit(x, seeded(), Budget(effort=0.3))
        fits[type(model)] = float(elbo(model, test, 64).mean())
    assert fits[HeteroscedasticVAE] > fits[GaussianVAE] + 0.1


# The importance-weighted autoencoder


def test_with_one_sample_the_importance_weighted_bound_is_the_elbo():
    x = skewed(50, 2)
    model = built(IWAE(importance_samples=1), x, noise=0.1)
    rows = model.prepare(x, seeded())
    weighted = torch.stack([model.importance_weighted_loss(rows, seeded(seed)) for seed in range(400)])
    plain = torch.stack([model.loss(rows, seeded(1000 + seed)) for seed in range(400)])
    assert_equal_means(weighted, plain)


def test_the_importance_weighted_bound_grows_with_the_samples():
    x = skewed(50, 2)
    model = built(IWAE(), x, noise=0.1)
    rows = model.prepare(x, seeded())
    bounds = []
    for model.importance_samples in (1, 4, 16, 64):
        losses = torch.stack([model.importance_weighted_loss(rows, seeded(seed)) for seed in range(100)])
        bounds.append((-float(losses.mean()), float(losses.std()) / 10))
    for (fewer, first), (more, second) in pairwise(bounds):
        assert more - fewer > 4 * math.hypot(first, second)
    grid = quadrature.grid(model.prior())
    assert grid is not None
    exact = float(quadrature.log_prob(model, x, grid)[0].mean() - model.whitening.log_abs_det())
    assert bounds[-1][0] < exact + 4 * bounds[-1][1]


def test_iwae_reaches_the_log_likelihood_of_a_linear_gaussian_model():
    """x = W z + 0.5 ε with one latent in 2-D: log p_θ by quadrature within 0.02 nats of the closed form."""
    weight = torch.tensor([[1.5], [-1.0]], dtype=F64)
    target = MultivariateNormal(
        torch.tensor([3.0, -1.0], dtype=F64), weight @ weight.T + 0.25 * torch.eye(2, dtype=F64)
    )
    x, test = (draw(target, (n,), seeded(seed)) for n, seed in ((10_000, 1), (4000, 2)))
    model = IWAE(latent_dim=1)
    model.fit(x, seeded(), Budget(effort=0.3))
    grid = quadrature.grid(model.prior())
    assert grid is not None
    values, resolved = quadrature.log_prob(model, test, grid)
    assert bool(resolved.all())
    gap = target.log_prob(test) - values
    assert abs(float(gap.mean())) < 0.02


class Watched:
    """What a model's parameters were when each stage of its training began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from models import training

        self.before: list[dict[str, Tensor]] = []
        train = training._train

        def watch(replicates, *rest):
            model = replicates[0].model
            self.before.append({name: value.detach().clone() for name, value in model.named_parameters()})
            train(replicates, *rest)

        monkeypatch.setattr(training, "_train", watch)


@pytest.mark.parametrize(
    ("model", "frozen", "moved"),
    [(IWAE(), ("decoder",), ("encoder",)), (TwoStageVAE(), ("encoder", "decoder"), ("second_",))],
    ids=["iwae", "two_stage_vae"],
)
def test_the_second_stage_leaves_what_the_first_has_made(model, frozen, moved, monkeypatch):
    watched = Watched(monkeypatch)
    fit_replicates([model], [skewed(400, 2)], [seeded()], Budget(effort=0.02))
    assert len(watched.before) == 2
    after = dict(model.named_parameters())
    for name, value in watched.before[1].items():
        if name.startswith(frozen):
            assert torch.equal(after[name], value.double()), name
    start, second = watched.before
    assert any(not torch.equal(start[name], second[name]) for name in start if name.startswith(frozen))
    assert any(not torch.equal(after[name], second[name].double()) for name in second if name.startswith(moved))


# What all laws that are pushed forward have in common


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("model", [VAEFlowPrior(), VAEFlowPosterior(), TwoStageVAE()], ids=lambda m: type(m).__name__)
def test_log_prob_is_the_change_of_variables_of_the_push(model, k):
    """log q(T(ε)) = log N(ε; 0, I) − log |det ∂T/∂ε|, with the Jacobian by autograd."""
    x = skewed(200, k)
    built(model, x, noise=0.15)
    laws = [model.prior()] if isinstance(model, VAEFlowPrior) else [model.posterior(row) for row in x[:3]]
    for seed, law in enumerate(laws):
        for noise in normal(5, *law.event_shape, seed=seed):
            log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(law.push, noise)).logabsdet
            expected = -0.5 * (noise.square() + math.log(2 * math.pi)).sum() - log_det
            torch.testing.assert_close(law.log_prob(law.push(noise)), expected, rtol=0, atol=1e-8)


# The flow as prior and as posterior


def mass(law, low: float = -9.0, high: float = 9.0, count: int = 301) -> float:
    """∫ p(z) dz over a square, by the trapezoidal rule."""
    line = torch.linspace(low, high, count, dtype=F64)
    k = law.event_shape[0]
    z = torch.cartesian_prod(*[line] * k).view(-1, k)
    return float(law.log_prob(z).exp().sum() * (line[1] - line[0]) ** k)


@pytest.mark.parametrize("k", [1, 2])
def test_a_flow_prior_has_mass_one_and_the_law_of_its_draws(k):
    prior = built(VAEFlowPrior(), skewed(200, k), noise=0.1).prior()
    assert mass(prior) == pytest.approx(1, abs=2e-3)
    z, log_prob = prior.draw_with_log_prob((5000,), seeded(7))
    torch.testing.assert_close(log_prob, prior.log_prob(z), rtol=0, atol=1e-8)
    line = torch.linspace(-9, 9, 301, dtype=F64)
    nodes = torch.cartesian_prod(*[line] * k).view(-1, k)
    weight = prior.log_prob(nodes).exp() * (line[1] - line[0]) ** k
    for statistic in (lambda z: z[:, 0].tanh(), lambda z: z[:, -1].cos(), lambda z: (z[:, 0] * z[:, -1]).tanh()):
        drawn = statistic(z)
        assert abs(float(drawn.mean() - weight @ statistic(nodes))) < 4 * float(drawn.std()) / math.sqrt(len(z)) + 2e-3


def test_with_a_flow_that_is_the_identity_the_prior_is_standard_normal_and_the_loss_the_gaussian_vaes():
    x = skewed(50, 2)
    model, plain = built(VAEFlowPrior(), x), built(GaussianVAE(), x)
    for parameter in model.flow.parameters():
        parameter.zero_()
    z = normal(100, 2)
    torch.testing.assert_close(model.prior().log_prob(z), plain.prior().log_prob(z))
    plain.load_state_dict(model.state_dict(), strict=False)
    rows = model.prepare(x, seeded())
    losses = torch.stack([model.loss(rows, seeded(seed)) for seed in range(300)])
    exact_kl = torch.stack([plain.loss(rows, seeded(1000 + seed)) for seed in range(300)])
    assert_equal_means(losses, exact_kl)


@pytest.mark.parametrize("k", [1, 2])
def test_a_flow_posterior_has_mass_one_and_is_another_at_every_point(k):
    x = skewed(200, k)
    model = built(VAEFlowPosterior(), x, noise=0.03)
    for row in x[:3]:
        assert mass(model.posterior(row)) == pytest.approx(1, abs=2e-3)
    q = model.posterior(x[:3])
    z, log_prob = q.draw_with_log_prob((1000,), seeded(3))
    torch.testing.assert_close(log_prob, q.log_prob(z), rtol=0, atol=1e-8)
    one_by_one = torch.stack([model.posterior(row).log_prob(z[:, i]) for i, row in enumerate(x[:3])], dim=1)
    torch.testing.assert_close(log_prob, one_by_one, rtol=0, atol=1e-8)
    assert not torch.allclose(z.mean(0)[0], z.mean(0)[1])


# The two-stage VAE


def test_the_two_stage_vae_in_its_coordinates_is_the_one_of_its_two_networks():
    """p(x) as a mean of p(x|u, ε) over the plain prior, against one of p(x|z) over z that is drawn stage by stage."""
    x = skewed(200, 2)
    model = built(TwoStageVAE(), x, noise=0.2)
    points = x[:5]
    by_pair = model.likelihood(draw(model.prior(), (20_000,), seeded(1))[:, None]).log_prob(points).exp()
    u = normal(20_000, 2, seed=2)
    z = draw(model.second_decoder(u), (), seeded(3))
    p = model.decoder(z[:, None])
    by_stages = (p.log_prob(model.whitening(points)) + model.whitening.log_abs_det()).exp()
    for first, second in zip(by_pair.T, by_stages.T, strict=True):
        assert_equal_means(first, second)


def test_the_two_stage_bound_is_the_sum_of_both_stages():
    """E log p(x, u, ε) − log q(u, ε|x) = E log p(x|z) + log p(z|u) p(u) − log q(u|z) q(z|x): the Jacobians cancel."""
    x = skewed(50, 2)
    model = built(TwoStageVAE(), x, noise=0.2)
    y = model.whitening(x)
    q = model.encoder(y)
    z = draw(q, (400,), seeded(1))
    second = model.second_encoder(z)
    u = draw(second, (), seeded(2))
    plain = model.decoder(z).log_prob(y) - q.log_prob(z) + model.whitening.log_abs_det()
    plain = plain + model.second_decoder(u).log_prob(z) - kl_divergence(second, _standard(u))
    assert_equal_means(elbo(model, x, 400).mean(1), plain.mean(1))


def _standard(u: Tensor) -> torch.distributions.Independent:
    return torch.distributions.Independent(torch.distributions.Normal(torch.zeros_like(u), torch.ones_like(u)), 1)
