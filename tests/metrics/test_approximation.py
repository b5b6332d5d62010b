"""The split of the inference gap: against the linear VAE's closed forms, brute force, and a longer search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from metrics import importance, likelihood
from metrics.approximation import Optimised, Schedule, best_elbo
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank, log_joint
from models.base import Budget, History, LatentModel

SHORT = Schedule(explore=16, refine=30)


@pytest.fixture
def generator() -> Generator:
    return torch.Generator().manual_seed(23)


ENCODERS = [
    {},
    {"shift": 2.5},
    {"shift": 8.0},
    {"widen": 2.0},
    {"widen": 0.3},
    {"rotated": True},
    {"diagonal": True},
    {"diagonal": True, "shift": 2.5},
    {"diagonal": True, "widen": 3.0},
]


def search(model: LatentModel, x: Tensor, generator: Generator, schedule: Schedule = SHORT) -> Optimised:
    found = best_elbo(model, x, Bank.of(model, generator, 4_000), generator, schedule)
    assert found is not None
    return found


def within(values: Tensor, truth: float, allowance: float = 0.0) -> bool:
    """The mean of values (n,) is within four standard errors, and what was allowed, of the truth."""
    noise = float(values.std()) / math.sqrt(len(values))
    return abs(float(values.mean()) - truth) < 4 * noise + abs(allowance) + 1e-9


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
@pytest.mark.parametrize(("k", "d"), [(1, 2), (2, 3), (8, 16), (16, 64)])
def test_both_gaps_of_a_linear_vae(k: int, d: int, encoder: dict, generator: Generator) -> None:
    model = LinearVAE(k, d, **encoder)
    x, _ = importance.draw_joint(model, 64, generator)
    elbo = likelihood.elbo(model, x, generator)
    best = search(model, x, generator)
    drift = float(best.drift.mean())
    assert within(model.exact_log_prob(x) - best.elbo, model.exact_approximation_gap(), drift)
    assert within(best.elbo - elbo, model.exact_amortisation_gap(), drift)
    if not model.diagonal:  # the posterior is in the family, so that the estimate has next to no noise
        assert float((model.exact_log_prob(x) - best.elbo).abs().max()) < 0.02


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_closed_forms_of_the_gaps_add_up(encoder: dict) -> None:
    model = LinearVAE(3, 5, **encoder)
    parts = model.exact_approximation_gap() + model.exact_amortisation_gap()
    assert parts == pytest.approx(model.exact_gap(), abs=1e-9)
    good = set(encoder) <= {"diagonal"}
    assert (model.exact_amortisation_gap() > 0.01) != good
    assert (model.exact_approximation_gap() > 0.01) == model.diagonal


def test_rotation_keeps_the_spectrum_and_is_not_diagonal() -> None:
    straight, rotated = LinearVAE(4, 6), LinearVAE(4, 6, rotated=True)
    values = torch.linalg.eigvalsh(straight.covariance)
    torch.testing.assert_close(torch.linalg.eigvalsh(rotated.covariance), values)
    with pytest.raises(ValueError, match="rotated"):
        LinearVAE(4, 6, rotated=True, diagonal=True)


def test_nothing_is_fitted_to_the_draws_of_the_estimate(generator: Generator) -> None:
    """The ELBO does not come out above the best there is; on the draws that chose q it would, by about 0.04 nats."""
    model = LinearVAE(16, 64, diagonal=True, shift=1.0)
    x, _ = importance.draw_joint(model, 2_000, generator)
    best = search(model, x, generator, Schedule(explore=8, refine=30, few=4, many=4))
    excess = best.elbo - model.exact_log_prob(x) + model.exact_approximation_gap()
    noise = float(excess.std()) / math.sqrt(len(x))
    assert noise < 0.006
    assert -0.1 < float(excess.mean()) < 4 * noise


class TwoModes(LatentModel):
    """x = (z² , ½ z) + noise: for x₀ > 0 the posterior has a mode near +√x₀ and one near −√x₀, of unequal mass.

    The encoder, of fixed width, sits on the mode that x₁ speaks against. k = 1, or k = 2 with an idle second latent.
    """

    def __init__(self, k: int = 1, full: bool = False) -> None:
        super().__init__()
        self.k = k
        self.full = full
        self.slope = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        return History()

    def prior(self) -> Distribution:
        return Independent(Normal(torch.zeros(self.k).double(), torch.ones(self.k).double()), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        mean = torch.stack([z[..., 0].square(), self.slope * z[..., 0]], dim=-1)
        return Independent(Normal(mean, torch.tensor([0.4, 0.7], dtype=torch.float64).expand_as(mean)), 1)

    def posterior(self, x: Tensor) -> Distribution:
        minor = -x[..., 1].sign() * x[..., 0].clamp_min(0.01).sqrt()
        mean = torch.stack([minor, *[torch.zeros_like(minor)] * (self.k - 1)], dim=-1)
        if self.full:
            return MultivariateNormal(mean, scale_tril=0.2 * torch.eye(self.k).double())
        return Independent(Normal(mean, torch.full_like(mean, 0.2)), 1)


def brute_force(model: TwoModes, x: Tensor) -> Tensor:
    """The best ELBO (n,) over all normal q(z), k = 1: every mean and width of a grid, each by Gauss–Hermite.

    log p(x, z) is a polynomial of degree four in z, so that the quadrature is exact; the grid is 1e-4 nats off.
    """
    roots, masses = np.polynomial.hermite_e.hermegauss(8)
    nodes, weights = torch.from_numpy(roots), torch.from_numpy(masses / masses.sum())
    means = torch.linspace(-2.5, 2.5, 501, dtype=torch.float64)
    widths = torch.linspace(math.log(0.05), 0.3, 200, dtype=torch.float64).exp()
    z = means[:, None, None] + widths[:, None] * nodes
    entropy = 0.5 * math.log(2 * math.pi * math.e) + widths.log()
    return torch.stack([(log_joint(model, point, z[..., None]) @ weights + entropy).max() for point in x])


POINTS = torch.tensor([[1.5, 0.8], [1.0, -0.6], [2.0, 1.0], [0.3, 0.4], [-0.2, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize(("k", "full"), [(1, False), (1, True), (2, False), (2, True)])
def test_the_major_mode_is_found_from_the_minor(k: int, full: bool, generator: Generator) -> None:
    model = TwoModes(k, full)
    x = POINTS.repeat_interleave(40, 0)
    best = search(model, x, generator)
    expected = brute_force(TwoModes(), POINTS)
    for truth, elbo, drift in zip(expected, best.elbo.view(5, 40), best.drift.view(5, 40), strict=True):
        assert within(elbo, float(truth), float(drift.mean()) + 1e-3)
    encoder = likelihood.elbo(model, x, generator).view(5, 40).mean(1)
    assert float((expected - encoder)[:3].min()) > 0.5


def test_a_bank_that_knows_one_mode_leaves_the_other(generator: Generator) -> None:
    """What the starts do: without one on the major mode, the search stays where the encoder is."""
    model = TwoModes()
    x = POINTS[2:3].repeat(60, 1)
    bank = Bank.of(model, generator, 4_000)
    minor = bank.z[:, 0] < 0
    halved = Bank.at(model, bank.z[minor])
    best = best_elbo(model, x, halved, generator, SHORT)
    assert best is not None
    assert float(best.elbo.mean()) < float(brute_force(model, x[:1])) - 0.5


def test_a_longer_search_gains_no_more_than_the_drift_allows(generator: Generator) -> None:
    """On a curved posterior, where no q is exact and the gradients stay noisy."""
    model = Banana()
    x, _ = importance.draw_joint(model, 256, generator)
    short = search(model, x, generator)
    long = search(model, x, generator, Schedule(explore=16, refine=4 * SHORT.refine))
    assert within(long.elbo - short.elbo, 0.0, 2 * float(short.drift.mean()))
    log_prob = likelihood.log_prob(model, x, 500, Bank.of(model, generator), generator).log_prob
    assert float((log_prob - long.elbo).mean()) > 0.02


class Banana(TwoModes):
    """x = (z₁, z₂ + z₁²) + noise, with noise enough to see the bend."""

    def __init__(self) -> None:
        super().__init__(2)

    def likelihood(self, z: Tensor) -> Distribution:
        mean = torch.stack([z[..., 0], z[..., 1] + z[..., 0].square()], dim=-1)
        return Independent(Normal(mean, torch.tensor([1.0, 0.2], dtype=torch.float64).expand_as(mean)), 1)

    def posterior(self, x: Tensor) -> Distribution:
        mean = torch.stack([x[..., 0] / 2, (x[..., 1] - x[..., 0].square() / 4) / 2], dim=-1)
        return Independent(Normal(mean, torch.full_like(mean, 0.4)), 1)


class Mixed(LinearVAE):
    """An encoder whose family has no one best Gaussian."""

    def posterior(self, x: Tensor) -> Distribution:
        mean = self.posterior_mean(x)[..., None, :].expand(*x.shape[:-1], 2, -1)
        parts = MultivariateNormal(mean, self.covariance)
        return MixtureSameFamily(Categorical(torch.ones(*x.shape[:-1], 2, dtype=torch.float64)), parts)


def test_a_family_that_is_not_gaussian_has_no_best(generator: Generator) -> None:
    model = Mixed(2, 3)
    x, _ = importance.draw_joint(model, 4, generator)
    assert best_elbo(model, x, Bank.of(model, generator, 500), generator) is None


def test_a_likelihood_without_a_gradient_is_refused(generator: Generator) -> None:
    class Frozen(LinearVAE):
        def likelihood(self, z: Tensor) -> Distribution:
            return super().likelihood(z.round().detach())

    model = Frozen(2, 3)
    x, _ = importance.draw_joint(model, 4, generator)
    with pytest.raises(TypeError, match="differentiated"):
        best_elbo(model, x, Bank.of(model, generator, 500), generator, SHORT)


def test_same_generator_same_result_and_nothing_else_is_touched(generator: Generator) -> None:
    model = TwoModes(2)
    x = POINTS.clone()
    bank = Bank.of(model, generator, 500)
    before = torch.get_rng_state()
    first = best_elbo(model, x, bank, torch.Generator().manual_seed(1), SHORT)
    torch.manual_seed(99)
    elsewhere = torch.get_rng_state()
    second = best_elbo(model, x, bank, torch.Generator().manual_seed(1), SHORT)
    assert torch.equal(torch.get_rng_state(), elsewhere)
    torch.set_rng_state(before)
    assert first is not None
    assert second is not None
    assert torch.equal(first.elbo, second.elbo)
    assert torch.equal(first.drift, second.drift)
    assert not first.elbo.requires_grad
    assert torch.equal(x, POINTS)
    assert [parameter.grad for parameter in model.parameters()] == [None]
    assert not torch.is_grad_enabled()
