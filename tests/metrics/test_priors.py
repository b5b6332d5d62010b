"""log p_θ under every prior and noise that models have: mixtures, pushforwards, noise that depends on z; 32 latents."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from metrics import importance, likelihood, quadrature
from metrics.approximation import best_elbo
from metrics.kernel import NormalKernel
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank
from models.base import Budget, History, LatentModel
from models.pushforward import Pushforward


@pytest.fixture
def generator() -> Generator:
    return torch.Generator().manual_seed(31)


def mixture(k: int, components: int, scale: float, seed: int = 3) -> MixtureSameFamily:
    noise = torch.Generator().manual_seed(seed)
    centres = torch.randn(components, k, generator=noise, dtype=torch.float64)
    shape = torch.eye(k).double() + 0.5 * torch.randn(components, k, k, generator=noise, dtype=torch.float64).tril(-1)
    weights = torch.rand(components, generator=noise, dtype=torch.float64) + 0.1
    return MixtureSameFamily(Categorical(weights), MultivariateNormal(centres, scale_tril=scale * shape))


class LinearUnder(LinearVAE):
    """A linear decoder under another prior; the encoder still believes in N(0, I)."""

    def __init__(self, k: int, d: int, prior: Distribution, sigma: float = 0.3) -> None:
        super().__init__(k, d, sigma=sigma)
        self.given = prior

    def prior(self) -> Distribution:
        return self.given

    def of_normal(self, loc: Tensor, covariance: Tensor) -> MultivariateNormal:
        """The law of x (…, d) for z ~ N(loc, covariance): (…, k), (…, k, k)."""
        noise = self.sigma**2 * torch.eye(len(self.bias), dtype=torch.float64)
        return MultivariateNormal(loc @ self.weight.T + self.bias, self.weight @ covariance @ self.weight.T + noise)

    def of_mixture(self) -> Distribution:
        assert isinstance(self.given, MixtureSameFamily)
        parts = self.given.component_distribution
        return MixtureSameFamily(self.given.mixture_distribution, self.of_normal(parts.loc, parts.covariance_matrix))


@pytest.mark.parametrize(("k", "components", "scale"), [(1, 10, 0.01), (2, 10, 0.02), (2, 50, 0.05), (2, 3, 1.0)])
def test_quadrature_under_a_mixture_of_narrow_components(
    k: int, components: int, scale: float, generator: Generator
) -> None:
    model = LinearUnder(k, k + 1, mixture(k, components, scale))
    x, _ = importance.draw_joint(model, 60, generator)
    grid = quadrature.grid(model.prior())
    assert grid is not None
    values, resolved = quadrature.log_prob(model, x, grid)
    assert bool(resolved.all())
    torch.testing.assert_close(values, model.of_mixture().log_prob(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("k", "scale"), [(4, 0.3), (8, 0.2)])
def test_importance_sampling_under_a_mixture(k: int, scale: float, generator: Generator) -> None:
    model = LinearUnder(k, k + 2, mixture(k, 10, scale))
    x, z = importance.draw_joint(model, 100, generator)
    bank = Bank.of(model, generator, 5_000)
    # The encoder knows nothing of the components: some points fail, and say so.
    agrees(importance.log_prob(model, x, 1_000, bank, generator), model.of_mixture().log_prob(x), failing=0.2)
    lower, upper = importance.sandwich(model, x, z, 500, bank, generator)
    assert -0.01 < float((upper - lower).mean()) < 0.2


def agrees(estimate: importance.Estimate, exact: Tensor, failing: float = 0.05) -> None:
    error = estimate.log_prob - exact
    noise = float(error.std()) / math.sqrt(len(error))
    assert abs(float(error.mean())) < 4 * noise + float(estimate.variance.mean()) / 2 + 1e-9
    assert float(estimate.failing.double().mean()) <= failing
    assert float(error.square().mean().sqrt()) < 0.2


def affine(k: int, batch: Tensor | None = None) -> tuple[Pushforward, Tensor, Tensor]:
    """z = m + A ε, its mean (…, k) and A (k, k); m is `batch` (…, k) where given."""
    noise = torch.Generator().manual_seed(5)
    root = torch.eye(k).double() + 0.4 * torch.randn(k, k, generator=noise, dtype=torch.float64).tril(-1)
    mean = torch.randn(k, generator=noise, dtype=torch.float64) if batch is None else batch
    log_det = root.diagonal().abs().log().sum()

    def push(noise: Tensor) -> tuple[Tensor, Tensor]:
        return noise @ root.T + mean, log_det.expand(noise.shape[:-1])

    def pull(z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.linalg.solve_triangular(root, (z - mean).mT, upper=False).mT, -log_det.expand(z.shape[:-1])

    return Pushforward(push, pull, mean.shape[:-1], mean.new_zeros(k)), mean, root


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_pushforward_as_a_prior(k: int, generator: Generator) -> None:
    prior, mean, root = affine(k)
    model = LinearUnder(k, 4, prior)
    x, _ = importance.draw_joint(model, 60, generator)
    exact = model.of_normal(mean, root @ root.T).log_prob(x)
    bank = Bank.of(model, generator, 2_000)
    agrees(importance.log_prob(model, x, 500, bank, generator), exact)
    if k <= 2:
        assert quadrature.grid(prior) is not None
        both = likelihood.log_prob(model, x, 500, bank, generator)
        torch.testing.assert_close(both.log_prob, exact, rtol=0, atol=1e-6)


def test_the_grid_of_a_bent_pushforward_has_its_moments() -> None:
    """z = (ε₁, sinh ε₂ + ε₁²): E z₂ = 1, Var z₂ = 2 + (e² − 1)/2."""

    def push(noise: Tensor) -> tuple[Tensor, Tensor]:
        first, second = noise.unbind(-1)
        return torch.stack([first, second.sinh() + first.square()], -1), second.cosh().log()

    def pull(z: Tensor) -> tuple[Tensor, Tensor]:
        first, second = z.unbind(-1)
        noise = (second - first.square()).asinh()
        return torch.stack([first, noise], -1), -noise.cosh().log()

    grid = quadrature.grid(Pushforward(push, pull, torch.Size(), torch.zeros(2).double()))
    assert grid is not None
    weight = grid.log_weight.exp()
    assert float(weight @ grid.z[:, 1]) == pytest.approx(1, abs=1e-7)
    assert float(weight @ (grid.z[:, 1] - 1).square()) == pytest.approx(2 + (math.exp(2) - 1) / 2, rel=1e-6)


class FlowEncoder(LinearVAE):
    """A linear VAE whose encoder is a pushforward: of a normal law, so that everything is known."""

    def posterior(self, x: Tensor) -> Distribution:
        return affine(2, self.posterior_mean(x))[0]


def test_a_pushforward_as_a_posterior_has_an_elbo_and_no_gaussian_family(generator: Generator) -> None:
    model = FlowEncoder(2, 3)
    x, _ = importance.draw_joint(model, 400, generator)
    bank = Bank.of(model, generator, 2_000)
    assert best_elbo(model, x, bank, generator) is None
    points = likelihood.of_latent(model, x, 200, 50, bank, generator)
    found = likelihood.scores(points, model.exact_log_prob(x))
    assert {found[name].status for name in ("approximation_gap", "amortisation_gap")} == {"n/a"}
    root = affine(2)[2]
    q = MultivariateNormal(torch.zeros(2).double(), scale_tril=root)
    p = MultivariateNormal(torch.zeros(2).double(), model.exact_covariance)
    gap, score = float(torch.distributions.kl_divergence(q, p)), found["inference_gap"]
    assert score.value == pytest.approx(gap, abs=4 * (score.error or 0.0))
    agrees(importance.log_prob(model, x, 500, bank, generator), model.exact_log_prob(x))


class Funnel(LatentModel):
    """x₀ = z₁ + e^{1.5 z₁} ε, x₁ = z_k + e^{−z₁} ε: a noise whose deviation varies ten-thousandfold over the prior."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        return History()

    def prior(self) -> Distribution:
        return Independent(Normal(torch.zeros(self.k).double(), torch.ones(self.k).double()), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        mean = torch.stack([z[..., 0], z[..., -1]], -1)
        scale = torch.stack([1.5 * z[..., 0], -z[..., 0]], -1).clamp(-7, 7).exp()
        return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)

    def posterior(self, x: Tensor) -> Distribution:
        mean = (x[..., :1] / 2).tanh().expand(*x.shape[:-1], self.k)
        return Independent(Normal(mean, torch.full_like(mean, 0.5)), 1)


def by_riemann(model: Funnel, x: Tensor) -> Tensor:
    """log ∫ p(x|z) p(z) dz for k = 1, (n,), as a sum over midpoints of a far finer grid."""
    z = (torch.arange(60_000, dtype=torch.float64)[:, None] + 0.5) / 60_000 * 18 - 9
    joint = model.likelihood(z).log_prob(x[:, None]) + model.prior().log_prob(z)
    return joint.logsumexp(1) + math.log(18 / 60_000)


def test_noise_that_depends_on_the_latent(generator: Generator) -> None:
    line = Funnel(1)
    x, _ = importance.draw_joint(line, 30, generator)
    exact = by_riemann(line, x)
    bank = Bank.of(line, generator, 5_000)
    values, resolved = quadrature.Quadrature(line).log_prob(x)
    assert float(resolved.double().mean()) > 0.9
    torch.testing.assert_close(values[resolved], exact[resolved], rtol=0, atol=1e-4)
    agrees(importance.log_prob(line, x, 1_000, bank, generator), exact)

    plane = Funnel(2)
    x, z = importance.draw_joint(plane, 200, generator)
    bank = Bank.of(plane, generator, 5_000)
    values, resolved = quadrature.Quadrature(plane).log_prob(x)
    assert float(resolved.double().mean()) > 0.8
    estimate = importance.log_prob(plane, x, 1_000, bank, generator)
    agrees(importance.Estimate(*(part[resolved] for part in estimate)), values[resolved])
    lower, upper = importance.sandwich(plane, x, z, 500, bank, generator)
    for excess in ((lower - values)[resolved], (values - upper)[resolved]):
        assert float(excess.mean()) < 4 * float(excess.std()) / math.sqrt(len(excess))


def test_a_decoder_too_sharp_for_every_grid_but_the_last(generator: Generator) -> None:
    """σ = 0.008: posteriors a third as wide as the finest grid is coarse. Nothing is left to importance sampling."""
    model = LinearVAE(2, 2, sigma=0.008)
    x, _ = importance.draw_joint(model, 100, generator)
    grids = quadrature.Quadrature(model)
    assert not bool(grids.log_prob(x)[1].any())
    values, resolved = grids.last_resort(x)
    assert bool(resolved.all())
    torch.testing.assert_close(values, model.exact_log_prob(x), rtol=0, atol=1e-9)


def test_what_sampling_fails_on_goes_to_the_last_grid(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One point in three is declared to have failed: those become exact, and the others stay as they are."""
    model = LinearVAE(2, 2)
    x, _ = importance.draw_joint(model, 30, generator)
    bank = Bank.of(model, generator, 2_000)
    sampled = importance.log_prob(model, x, 200, bank, generator)
    failing = torch.arange(30) % 3 == 0
    monkeypatch.setattr(importance, "log_prob", lambda *_: sampled._replace(failing=failing))
    mended = likelihood.beyond_grids(model, x, 200, bank, generator)
    assert not bool(mended.failing.any())
    torch.testing.assert_close(mended.log_prob[failing], model.exact_log_prob(x)[failing], rtol=0, atol=1e-9)
    assert torch.equal(mended.log_prob[~failing], sampled.log_prob[~failing])
    assert bool((mended.variance[failing] == 0).all())


@pytest.mark.parametrize("options", [{}, {"shift": 2.0, "diagonal": True}], ids=str)
def test_thirty_two_latents(options: dict, generator: Generator) -> None:
    model = LinearVAE(32, 40, **options)
    x, _ = importance.draw_joint(model, 40, generator)
    agrees(importance.log_prob(model, x, 500, Bank.of(model, generator, 2_000), generator), model.exact_log_prob(x))


@pytest.mark.parametrize("spread", [0.05, 3.0])
def test_the_kernel_leaves_out_only_what_does_not_count(spread: float, generator: Generator) -> None:
    """Sums over the normals that are near a cloud of points against sums over all, with noise from 1e-3 to 30."""
    mean = 3 * torch.randn(4_000, 2, generator=generator, dtype=torch.float64) + 100
    scale = (2 * torch.randn(4_000, 2, generator=generator, dtype=torch.float64)).clamp(-7, 3.4).exp()
    log_weight = torch.randn(4_000, generator=generator, dtype=torch.float64)
    x = 100 + spread * torch.randn(50, 2, generator=generator, dtype=torch.float64)
    kernel = NormalKernel.of(mean, scale.square(), log_weight)
    exact = (Independent(Normal(mean, scale), 1).log_prob(x[:, None]) + log_weight).logsumexp(1)
    torch.testing.assert_close(kernel(x).logsumexp(1), exact, rtol=0, atol=1e-8)
    near = kernel.near(x, quadrature.NEGLIGIBLE)
    torch.testing.assert_close(kernel.at(near)(x).logsumexp(1), exact, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("sigma", "share"), [(0.3, 1.0), (0.12, 1.0), (1e-3, 0.0)])
def test_ever_finer_grids_resolve_ever_narrower_posteriors(sigma: float, share: float, generator: Generator) -> None:
    model = LinearVAE(2, 3, sigma=sigma)
    x, _ = importance.draw_joint(model, 100, generator)
    values, resolved = quadrature.Quadrature(model).log_prob(x)
    assert float(resolved.double().mean()) == share
    torch.testing.assert_close(values[resolved], model.exact_log_prob(x)[resolved], rtol=0, atol=1e-4)
