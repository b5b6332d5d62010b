"""log p of latent-variable models: quadrature and importance sampling against the linear VAE's closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
)

from metrics import importance, likelihood, quadrature
from metrics.adaptation import adapted
from metrics.kernel import NormalKernel
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank, laplace
from metrics.proposals import mixture
from models.base import Budget, History, LatentModel, draw


@pytest.fixture
def generator() -> Generator:
    return torch.Generator().manual_seed(11)


ENCODERS = [{}, {"shift": 2.5}, {"diagonal": True}, {"shift": 2.5, "diagonal": True}, {"widen": 2.0}]


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
@pytest.mark.parametrize(("k", "d"), [(1, 2), (2, 3), (8, 16), (16, 64)])
def test_importance_sampling_of_a_linear_vae(k: int, d: int, encoder: dict, generator: Generator) -> None:
    model = LinearVAE(k, d, **encoder)
    x, _ = importance.draw_joint(model, 96, generator)
    estimate = importance.log_prob(model, x, 500, Bank.of(model, generator, 2_000), generator)
    error = estimate.log_prob - model.exact_log_prob(x)
    noise = float(error.std()) / math.sqrt(len(x))
    assert abs(float(error.mean())) < 4 * noise + float(estimate.variance.mean()) / 2
    assert float(error.square().mean().sqrt()) < 0.1
    assert int(estimate.failing.sum()) == 0
    # The variance that is estimated per point is the one that is there.
    assert 0.5 < float(error.var()) / float(estimate.variance.mean()) < 2


def test_iwae_is_nats_off_where_this_is_not(generator: Generator) -> None:
    model = LinearVAE(16, 64, shift=2.5, diagonal=True)
    x, _ = importance.draw_joint(model, 32, generator)
    q = model.posterior(x)
    z = draw(q, (500,), generator)
    weights = model.likelihood(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
    iwae = weights.logsumexp(0) - math.log(500)
    assert float((iwae - model.exact_log_prob(x)).mean()) < -5


@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 4), (2, 3)])
def test_quadrature_of_a_linear_vae(k: int, d: int, generator: Generator) -> None:
    model = LinearVAE(k, d)
    grid = quadrature.grid(model.prior())
    assert grid is not None
    x, _ = importance.draw_joint(model, 64, generator)
    values, resolved = quadrature.log_prob(model, x, grid)
    assert bool(resolved.all())
    torch.testing.assert_close(values, model.exact_log_prob(x), rtol=0, atol=1e-8)


def test_quadrature_knows_what_it_does_not_resolve(generator: Generator) -> None:
    narrow = LinearVAE(2, 4, sigma=0.01)
    x, _ = importance.draw_joint(narrow, 64, generator)
    grid = quadrature.grid(narrow.prior())
    assert grid is not None
    assert not bool(quadrature.log_prob(narrow, x, grid)[1].any())

    wide = LinearVAE(1, 2)
    far = wide.bias + 12 * wide.weight.T
    grid = quadrature.grid(wide.prior())
    assert grid is not None
    assert not bool(quadrature.log_prob(wide, far, grid)[1].any())
    bank = Bank.of(wide, generator, 2_000)
    both = likelihood.log_prob(wide, torch.cat([far, wide.bias[None]]), 2_000, bank, generator)
    torch.testing.assert_close(both.log_prob, wide.exact_log_prob(torch.cat([far, wide.bias[None]])), atol=0.1, rtol=0)
    assert both.effective.isnan().tolist() == [False, True]

    bank = Bank.of(narrow, generator)
    estimate = likelihood.log_prob(narrow, x, 1_000, bank, generator)
    assert float((estimate.log_prob - narrow.exact_log_prob(x)).abs().max()) < 0.1


def test_no_grid_for_many_latents_or_heavy_tails() -> None:
    assert quadrature.grid(LinearVAE(3, 4).prior()) is None
    assert quadrature.grid(StudentPrior()) is None
    assert quadrature.grid(_mixture_prior(1e-3)) is not None


class StudentPrior(Independent):
    """Tails beyond any box."""

    def __init__(self) -> None:
        super().__init__(StudentT(torch.full((2,), 3.0).double()), 1)


def _mixture_prior(scale: float) -> MixtureSameFamily:
    centres = torch.tensor([[-1.0, 0.0], [1.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    tril = scale * torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    return MixtureSameFamily(Categorical(torch.ones(3).double()), MultivariateNormal(centres, scale_tril=tril))


class Curved(LatentModel):
    """A curved decoder with a noise that depends on z, under any prior, with a poor encoder."""

    def __init__(self, prior: Distribution, full: bool = False) -> None:
        super().__init__()
        self.given = prior
        self.full = full

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        return History()

    def prior(self) -> Distribution:
        return self.given

    def likelihood(self, z: Tensor) -> Distribution:
        first, last = z[..., 0], z[..., -1]
        mean = torch.stack([2 * first.sin(), last.square() / 2, first + 0.5 * last], dim=-1)
        scale = (0.3 * (0.5 * last).tanh().exp())[..., None].expand(mean.shape)
        if self.full:
            return MultivariateNormal(mean, scale_tril=scale.diag_embed())
        return Independent(Normal(mean, scale), 1)

    def posterior(self, x: Tensor) -> Distribution:
        mean = x[..., 2:].expand(*x.shape[:-1], *self.given.event_shape)
        return Independent(Normal(mean, torch.full_like(mean, 0.3)), 1)


PRIORS = {
    "normal-1": Independent(Normal(torch.zeros(1).double(), torch.ones(1).double()), 1),
    "normal-2": Independent(Normal(torch.zeros(2).double(), torch.ones(2).double()), 1),
    "full-2": MultivariateNormal(torch.ones(2).double(), torch.tensor([[1.0, 0.5], [0.5, 2.0]]).double()),
    "mixture-2": _mixture_prior(0.5),
}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS.keys())
def test_quadrature_and_importance_sampling_agree_on_a_curved_decoder(
    prior: Distribution, generator: Generator
) -> None:
    model = Curved(prior)
    x, z = importance.draw_joint(model, 200, generator)
    grid = quadrature.grid(prior)
    assert grid is not None
    values, resolved = quadrature.log_prob(model, x, grid)
    assert float(resolved.double().mean()) > 0.7
    bank = Bank.of(model, generator)
    sampled = importance.log_prob(model, x, 1_000, bank, generator)
    error = (sampled.log_prob - values)[resolved]
    assert abs(float(error.mean())) < 4 * float(error.std()) / math.sqrt(len(error)) + 1e-3
    assert float(error.std()) < 0.1
    lower, upper = importance.sandwich(model, x, z, 1_000, bank, generator)
    for excess in ((lower - values)[resolved], (values - upper)[resolved]):
        assert float(excess.mean()) < 4 * float(excess.std()) / math.sqrt(len(excess))


class Banana(LatentModel):
    """x = z_2 + 1.5 z_1² + 0.2 ε: posteriors bent like a horseshoe, which an encoder at the prior knows nothing of."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        return History()

    def prior(self) -> Distribution:
        return PRIORS["normal-2"]

    def likelihood(self, z: Tensor) -> Distribution:
        mean = z[..., 1:] + 1.5 * z[..., :1].square()
        return Independent(Normal(mean, torch.full_like(mean, 0.2)), 1)

    def posterior(self, x: Tensor) -> Distribution:
        zero = x.new_zeros(*x.shape[:-1], 2)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)


def test_estimate_of_a_bent_posterior_is_unbiased_with_an_honest_variance(generator: Generator) -> None:
    """p̂/p has mean one and log p̂ the mean −Var/2, over 8 repetitions at 150 points, where quadrature gives p."""
    model = Banana()
    x, z = importance.draw_joint(model, 150, generator)
    grid = quadrature.grid(model.prior())
    assert grid is not None
    truth, resolved = quadrature.log_prob(model, x, grid)
    assert float(resolved.double().mean()) > 0.95
    bank = Bank.of(model, generator, 2_000)
    runs = [importance.log_prob(model, x, 1_000, bank, generator) for _ in range(8)]
    error = torch.stack([run.log_prob - truth for run in runs])[:, resolved]
    variance = torch.stack([run.variance for run in runs])[:, resolved]
    noise = float(error.std()) / math.sqrt(error.numel())
    assert abs(float(error.exp().mean()) - 1) < 3 * noise
    assert abs(float((error + variance / 2).mean())) < 3 * noise + 1e-4
    # The weights have heavy tails here, of which a few draws see less than there is.
    assert 0.5 < float(error.square().mean() / variance.mean()) < 2
    # Without adaptation it is 38 %.
    assert float(torch.stack([run.failing for run in runs]).double().mean()) < 0.1
    lower, upper = importance.sandwich(model, x, z, 500, bank, generator)
    for excess in ((lower - truth)[resolved], (truth - upper)[resolved]):
        assert float(excess.mean()) < 3 * float(excess.std()) / math.sqrt(len(excess))


@pytest.mark.parametrize(("k", "d"), [(8, 16), (16, 64)])
def test_adaptation_widens_proposals_that_are_too_narrow(
    k: int, d: int, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a fifth of the right variance in two directions most points fail; adapted ones do not, and are unbiased."""
    model = LinearVAE(k, d, shift=2.5, diagonal=True)
    stretch = torch.ones(k, dtype=torch.float64)
    stretch[:2] = 0.2**0.5

    def narrow(model: LinearVAE, x: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        modes, _ = laplace(model, x, starts)
        values, vectors = torch.linalg.eigh(model.exact_covariance)
        return modes, torch.linalg.cholesky((vectors * values * stretch**2) @ vectors.mT).expand(*modes.shape, -1)

    monkeypatch.setattr("metrics.proposals.laplace", narrow)
    x, _ = importance.draw_joint(model, 100, generator)
    bank = Bank.of(model, generator, 2_000)
    _, share = adapted(model, x, mixture(model, x, bank, 1_000), 1_000, generator)
    assert float(share.median()) > 0.3
    estimate = importance.log_prob(model, x, 1_000, bank, generator)
    monkeypatch.setattr(importance, "adapted", lambda _, x, proposals, *__: (proposals, torch.ones_like(x[:, 0])))
    fixed = importance.log_prob(model, x, 1_000, bank, generator)
    assert float(estimate.failing.double().mean()) < 0.02 < 0.1 < float(fixed.failing.double().mean())
    error = estimate.log_prob - model.exact_log_prob(x)
    noise = float(error.std()) / math.sqrt(len(x))
    assert abs(float((error + estimate.variance / 2).mean())) < 3 * noise
    assert 0.5 < float(error.var() / estimate.variance.mean()) < 2


def test_proposals_that_fit_are_left_alone(generator: Generator) -> None:
    model = LinearVAE(8, 16)
    x, _ = importance.draw_joint(model, 50, generator)
    proposals = mixture(model, x, Bank.of(model, generator, 2_000), 2_000)
    same, share = adapted(model, x, proposals, 2_000, generator)
    assert bool((share > 0.3).all())
    torch.testing.assert_close(same.loc, proposals.loc, rtol=0, atol=0)
    torch.testing.assert_close(same.scale_tril, proposals.scale_tril, rtol=0, atol=0)


def test_quadrature_of_a_likelihood_that_is_not_a_diagonal_normal(generator: Generator) -> None:
    prior = PRIORS["normal-1"]
    x, _ = importance.draw_joint(Curved(prior), 10, generator)
    grid = quadrature.grid(prior)
    assert grid is not None
    general, _ = quadrature.log_prob(Curved(prior, full=True), x, grid)
    torch.testing.assert_close(general, quadrature.log_prob(Curved(prior), x, grid)[0])


def test_modes_of_a_linear_vae_are_its_posterior(generator: Generator) -> None:
    model = LinearVAE(4, 8, shift=2.5)
    x, _ = importance.draw_joint(model, 5, generator)
    modes, tril = laplace(model, x, model.posterior(x).mean[None])
    torch.testing.assert_close(modes[0], model.posterior_mean(x), atol=1e-4, rtol=0)
    torch.testing.assert_close((tril @ tril.mT)[0, 0], model.exact_covariance, atol=1e-8, rtol=0)


def test_kernel_as_matrix_product(generator: Generator) -> None:
    mean, x = (
        torch.randn(7, 3, generator=generator).double() + 1e4,
        torch.randn(5, 3, generator=generator).double() + 1e4,
    )
    variance = torch.rand(7, 3, generator=generator).double() + 0.1
    expected = Independent(Normal(mean, variance.sqrt()), 1).log_prob(x[:, None])
    torch.testing.assert_close(NormalKernel.of(mean, variance)(x), expected)


@pytest.mark.parametrize(("k", "d"), [(1, 2), (2, 3), (8, 16), (16, 64)])
def test_sandwich_holds_the_truth(k: int, d: int, generator: Generator) -> None:
    model = LinearVAE(k, d, shift=2.5, diagonal=True)
    x, z = importance.draw_joint(model, 256, generator)
    lower, upper = importance.sandwich(model, x, z, 100, Bank.of(model, generator, 2_000), generator)
    exact = model.exact_log_prob(x)
    for excess in (lower - exact, exact - upper):
        assert float(excess.mean()) < 3 * float(excess.std()) / math.sqrt(len(x))
    width = upper - lower
    assert 0 < float(width.mean()) < 0.1


def test_sandwich_is_wide_when_proposals_are_poor(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but the encoder to propose, few samples leave both bounds off, on their own sides."""
    model = LinearVAE(8, 16, shift=4.0)
    x, z = importance.draw_joint(model, 256, generator)
    monkeypatch.setattr("metrics.proposals.laplace", lambda model, x, starts: _encoders(model, x, len(starts)))
    lower, upper = importance.sandwich(model, x, z, 30, Bank.of(model, generator, 2_000), generator)
    exact = model.exact_log_prob(x)
    assert float((lower - exact).mean()) < -1
    assert float((upper - exact).mean()) > 1


def _encoders(model: LinearVAE, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    loc = model.posterior(x).mean.expand(count, *x.shape[:-1], -1)
    return loc, torch.linalg.cholesky(model.exact_covariance).expand(*loc.shape, -1)


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_elbo_gap_of_a_linear_vae(encoder: dict, generator: Generator) -> None:
    model = LinearVAE(4, 8, **encoder)
    x, _ = importance.draw_joint(model, 500, generator)
    gap = model.exact_log_prob(x) - likelihood.elbo(model, x, generator)
    noise = float(gap.std()) / math.sqrt(len(x))
    assert abs(float(gap.mean()) - model.exact_gap()) < 4 * noise + 1e-10


def test_failing_points_make_scores_untrusted() -> None:
    x = torch.zeros(100, dtype=torch.float64)
    for count, status in ((5, "ok"), (6, "untrusted")):
        failing = torch.arange(100) < count
        estimate = importance.Estimate(x, torch.full_like(x, 500.0), torch.where(failing, 0.9, x), x, failing)
        found = likelihood.scores(likelihood.PerPoint(x, x - 1, estimate), x + 1)
        assert {found[name].status for name in ("log_likelihood", "kl", "fit_gap", "inference_gap")} == {status}
        assert {found[name].status for name in ("elbo", "elbo_gap")} == {"ok"}


def test_points_beyond_the_proposals_fail(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearVAE(8, 16, shift=8.0, diagonal=True)
    x, _ = importance.draw_joint(model, 40, generator)
    monkeypatch.setattr("metrics.proposals.laplace", lambda model, x, starts: _encoders(model, x, len(starts)))
    estimate = importance.log_prob(model, x, 500, Bank.of(model, generator, 2_000), generator)
    assert float(estimate.failing.double().mean()) > 0.9


def test_a_quadrature_outside_of_the_bounds_is_caught(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearVAE(2, 3)
    bank = Bank.of(model, generator, 2_000)
    assert {score.status for score in likelihood.sandwich(model, 300, bank, generator)[0].values()} == {"ok"}
    right = bank.quadrature.log_prob

    def wrong(x: Tensor) -> tuple[Tensor, Tensor]:
        values, resolved = right(x)
        return values - 0.1, resolved

    monkeypatch.setattr(bank.quadrature, "log_prob", wrong)
    found, _ = likelihood.sandwich(model, 300, bank, generator)
    assert {(score.status, "quadrature" in score.reason) for score in found.values()} == {("untrusted", True)}
