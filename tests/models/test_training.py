from __future__ import annotations

import pytest
import torch
from torch import nn

from models.base import Budget, BudgetExceededError, DensityModel, DivergedError
from models.gaussian_vae import GaussianVAE
from models.l2_autoencoder import L2Autoencoder
from models.lockstep import Lockstep
from models.normalizing_flow import NormalizingFlow
from models.training import GradientTrained, Recipe, Stage, fit_replicates


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
    """A loss that `vmap` cannot map, as nflows' splines: it branches on data."""

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


def test_divergence_is_raised_after_one_more_try():
    with pytest.raises(DivergedError, match=r"1 of 1 replicates is not finite, at a learning rate of 0\.05 and again"):
        Explodes().fit(data(1)[0], generators(1)[0])


class Fragile(Location):
    """On data that lie far out, a μ that overshoots the mean costs nan: large steps do, small ones do not."""

    def build(self, x, generator):
        super().build(x, generator)
        self.register_buffer("fragile", x.mean() > 2.5)

    def loss(self, x, generator):
        overshoots = self.mean[0] - x[:, 0].mean() > 0.3
        return super().loss(x, generator) + torch.where(self.fragile & overshoots, torch.nan, 0.0)


def test_a_replicate_that_diverges_is_tried_again_and_costs_the_others_nothing():
    """The second replicate overshoots its mean at the first learning rate, which its loss punishes by nan."""

    def trained(kind):
        models = [kind(steps=600) for _ in range(2)]
        for model in models:
            model.recipe = Recipe(steps=600, batch_size=400, learning_rate=0.5, warmup=1, holdout=0.0)
        return models, fit_replicates(models, data(2), generators(2))

    (first, second), histories = trained(Fragile)
    (undisturbed, _), _ = trained(Location)
    assert torch.equal(first.mean, undisturbed.mean)
    assert (second.mean - data(2)[1].mean(0)).abs().max() < 0.1
    assert histories[1].step[-1] == 600


@pytest.mark.parametrize("replicates", [1, 3])
def test_a_recorded_gradient_is_the_gradient(replicates):
    """Bit for bit, with the same noise: a flow in lockstep and alone, and a VAE, whose loss draws."""
    for kind in (GaussianVAE, NormalizingFlow):
        models = [kind() for _ in range(replicates)]
        for model, x, g in zip(models, data(replicates), generators(replicates), strict=True):
            model.build(x, g)
        rows = torch.stack([m.prepare(x, generators(1)[0]) for m, x in zip(models, data(replicates), strict=True)])
        noise = generators(1)[0]
        lockstep = Lockstep(models, kind.loss, (), noise)
        recorded = lockstep.recorded(rows[:, :32])
        assert recorded is not None
        state = noise.get_state()
        for batch in (rows[:, :32], rows[:, 32:64]):
            noise.set_state(state)
            gradient, losses = lockstep.gradient(lockstep.parameters, batch)
            noise.set_state(state)
            again, replayed = recorded(lockstep.parameters, batch)
            assert torch.equal(gradient, again)
            assert torch.equal(losses, replayed)


def test_a_loss_that_changes_from_call_to_call_is_not_replayed():
    """An annealed loss: a counter in Python, which a recording would freeze, moves the optimum from 3 means to one."""

    class Anneals(Location):
        calls = 0

        def loss(self, x, generator):
            Anneals.calls += 1
            return super().loss(x * max(1.0, 3 - Anneals.calls / 250), generator)

    model = Anneals(steps=1000)
    model.fit(data(1)[0], generators(1)[0])
    assert (model.mean - data(1)[0].mean(0)).abs().max() < 0.1


def test_stages_follow_each_other_and_move_only_what_they_name():
    class TwoStages(Location):
        def build(self, x, generator):
            super().build(x, generator)
            self.scale = nn.Parameter(torch.ones(()))

        def second(self, x, generator):
            return (x.std() - self.scale).square() + 0 * self.mean.sum()

        def stages(self):
            recipe = Recipe(steps=200, learning_rate=0.05, holdout=0.0, batch_size=400)
            return [Stage(TwoStages.loss, self.recipe, ("mean",)), Stage(TwoStages.second, recipe, ("scale",))]

    model, one = TwoStages(), Location()
    history = model.fit(data(1)[0], generators(1)[0])
    one.fit(data(1)[0], generators(1)[0])
    assert torch.equal(model.mean, one.mean)
    assert abs(float(model.scale) - float(data(1)[0].std())) < 0.05
    assert history.step == sorted(history.step)
    assert history.step[-1] == 600


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
