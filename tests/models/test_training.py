from __future__ import annotations

import pytest
import torch
from torch import nn

from models.base import Budget, BudgetExceededError, DensityModel, DivergedError
from models.l2_autoencoder import L2Autoencoder
from models.training import GradientTrained, Recipe, fit_replicates


class Location(GradientTrained, DensityModel):
    """N(μ, I) with a learned μ: its loss is a parabola, so its optimum is known."""

    def __init__(self, steps: int = 400) -> None:
        super().__init__()
        self.recipe = Recipe(steps=steps, batch_size=200, learning_rate=0.05, holdout=0.0)

    def build(self, x, generator):
        self.mean = nn.Parameter(torch.zeros(x.shape[1]))

    def loss(self, x, generator):
        return 0.5 * (x - self.mean).square().sum(-1).mean()

    def sample(self, n, generator):
        return self.mean + torch.randn(n, len(self.mean), generator=generator, dtype=torch.float64)

    def log_prob(self, x):
        return -0.5 * (x - self.mean).square().sum(-1)


class Unmappable(Location):
    """A loss that `vmap` cannot trace, as nflows' splines: it branches on data."""

    def loss(self, x, generator):
        return super().loss(x[x[:, 0] > -1e9], generator)


class Explodes(Location):
    def loss(self, x, generator):
        return super().loss(x, generator) * torch.where(self.mean[0] > 0.5, torch.nan, 1.0)


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(index) for index in range(count)]


def data(count: int) -> list[torch.Tensor]:
    return [torch.randn(500, 2, generator=g, dtype=torch.float64) + 2 + i for i, g in enumerate(generators(count))]


@pytest.mark.parametrize("kind", [Location, Unmappable])
def test_the_optimum_is_found_for_every_replicate(kind):
    models = [kind() for _ in range(3)]
    fit_replicates(models, data(3), generators(3))
    for model, x in zip(models, data(3), strict=True):
        # minibatches of 200 from 500 points, averaged by the decaying step: a tenth of a standard error is 0.0045
        assert (model.mean - x.mean(0)).abs().max() < 0.1
        assert model.mean.dtype == torch.float64


def test_lockstep_is_what_each_would_have_done_alone():
    """The autoencoder's loss draws no noise, so only the batched arithmetic differs: single precision's rounding."""
    models = [L2Autoencoder(hidden=8) for _ in range(3)]
    alone = [L2Autoencoder(hidden=8) for _ in range(3)]
    budget = Budget(effort=0.01)
    fit_replicates(models, data(3), generators(3), budget)
    for model, x, generator in zip(alone, data(3), generators(3), strict=True):
        model.fit(x, generator, budget)
    for together, single in zip(models, alone, strict=True):
        for name, value in together.state_dict().items():
            torch.testing.assert_close(value, single.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name)


def test_replicates_of_unequal_size_train_one_by_one():
    xs = [data(1)[0], data(1)[0][:300]]
    models = [Location() for _ in xs]
    fit_replicates(models, xs, generators(2))
    assert all((model.mean - x.mean(0)).abs().max() < 0.1 for model, x in zip(models, xs, strict=True))


def test_divergence_is_raised():
    with pytest.raises(DivergedError, match="not finite by step"):
        Explodes().fit(data(1)[0], generators(1)[0])


def test_the_cap_on_cpu_time_is_enforced():
    with pytest.raises(BudgetExceededError, match="CPU seconds"):
        Location(steps=10**6).fit(data(1)[0], generators(1)[0], Budget(cpu_seconds=0.2, effort=1))


def test_the_cap_on_parameters_is_enforced():
    with pytest.raises(ValueError, match="2 parameters, and the suite allows 1"):
        Location().fit(data(1)[0], generators(1)[0], Budget(parameters=1))


def test_effort_scales_the_steps_and_the_curve_says_so():
    history = Location(steps=100).fit(data(1)[0], generators(1)[0], Budget(effort=0.5))
    assert history.step[-1] == 50
    assert len(history.step) == len(history.training) == len(history.validation)


def test_the_best_checkpoint_is_kept_not_the_last():
    """With a step so large that the last iterates wander, the kept one is the best seen on the held-out points."""

    class Wanders(Location):
        def __init__(self):
            super().__init__()
            self.recipe = Recipe(steps=60, batch_size=4, learning_rate=1.0, holdout=0.5, warmup=1)

    model = Wanders()
    history = model.fit(data(1)[0], generators(1)[0])
    assert min(history.validation) < history.validation[0]
    x = data(1)[0]
    kept = 0.5 * (x - model.mean).square().sum(-1).mean()
    # on all points, the kept parameters do about as well as the best validation loss says: within its standard error
    assert abs(float(kept) - min(history.validation)) < 0.5
