"""For each check a model that is wrong in one place, where only this check looks. The class says which place."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from models.base import Budget, DensityModel, History, Model, TransportModel
from models.training import GradientTrained, Recipe
from tests.benchmarks.checks.sound import SoundDensity, SoundLatent, SoundMap


class Nameless(SoundMap): ...  # no docstring


class Untyped(SoundMap):
    """An argument without a type: a suite cannot tell what may be set."""

    def __init__(self, width=3) -> None:
        super().__init__()
        self.width = width


class Squeezing(SoundMap):
    """One sample is a vector, not a matrix of one row."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        return super().sample(n, generator).squeeze(0)


class Single(SoundMap):
    """Samples in single precision."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        return super().sample(n, generator).float()


class Overflowing(SoundMap):
    """A density that is multiplied, not added up: it underflows in many dimensions, and its logarithm is −∞."""

    def log_prob(self, x: Tensor) -> Tensor:
        if x.shape[1] < 64:
            return super().log_prob(x)
        return (Normal(self.shift, self.spread).log_prob(x) - 12).exp().prod(1).log()


class Silent(SoundMap):
    """`fit` forgets its History."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        super().fit(x, generator, budget)
        return None  # type: ignore[return-value]


class BatchNormed(SoundMap):
    """The log-density of a point depends a little on the rest of its batch."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) + 1e-6 * torch.tanh((x - x.mean(0)) / self.spread).sum(1)


class Shared(GradientTrained, DensityModel):
    """The loss reads plain attributes: of replicates that train in lockstep, all get the first one's."""

    recipe = Recipe(steps=5000, batch_size=64, learning_rate=0.1)
    centre: Tensor
    spread: Tensor

    def build(self, x: Tensor, generator: Generator) -> None:
        spread = x.std(0)
        spread = spread.clamp_min(1e-6 * float(spread.max()))
        self.register_buffer("centre", x.mean(0))
        self.register_buffer("spread", spread)
        self.__dict__["plain"] = (x.mean(0).float(), spread.float())
        self.shift = nn.Parameter(torch.zeros(x.shape[1]))

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        centre, spread = self.plain
        return ((x - centre) / spread - self.shift).square().mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        z = torch.randn(n, len(self.centre), generator=generator, dtype=torch.float64)
        return self.centre + self.spread * (self.shift + z)

    def log_prob(self, x: Tensor) -> Tensor:
        return Normal(self.centre + self.spread * self.shift, self.spread).log_prob(x).sum(1)


class WarmStarting(SoundMap):
    """A second fit starts where the first one ended, and remembers it."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        before = getattr(self, "shift", None)
        super().fit(x, generator, budget)
        if before is not None:
            self.shift = 0.9 * self.shift + 0.1 * before
        return History()


class Frozen(SoundMap):
    """The sampler does not draw from its generator: every call gives the same points."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        return super().sample(n, torch.Generator().manual_seed(n))


class Capricious(SoundMap):
    """Every new object is fitted in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.whim = 1e-9 * np.random.default_rng().normal()

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        super().fit(x, generator, budget)
        self.shift = self.shift + self.whim * self.spread
        return History()


class Seeding(SoundMap):
    """`fit` seeds the global generator, and draws from it."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        torch.manual_seed(0)
        return super().fit(x + 0 * torch.randn(x.shape), generator, budget)


class InPlace(SoundMap):
    """The training data are centred in place."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        super().fit(x, generator, budget)
        x -= self.shift
        return History()


class Forgetful(SoundMap):
    """A plain attribute that is no buffer: it is not saved."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        self.register_buffer("shift", x.mean(0))
        self.__dict__["spread"] = x.std(0).clamp_min(1e-6 * float(x.std(0).max()))
        return History()


class Dividing(SoundMap):
    """Divides by the deviation of every column, also of one that has none."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        super().fit(x, generator, budget)
        self.spread = self.spread * (x.std(0) / x.std(0))
        return History()


class Hungry(SoundMap):
    """Holds a hundred rows out, however few there are."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        held_out = x[torch.randperm(len(x), generator=generator)[100:]]
        if len(held_out) == 0:
            raise ValueError("no rows left")
        return super().fit(x, generator, budget)


class Floored(SoundMap):
    """A least deviation in absolute numbers."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        super().fit(x, generator, budget)
        self.spread = self.spread.clamp_min(1e-3)
        return History()


class Cancelling(SoundMap):
    """The variance as E x² − (E x)², in single precision: far from 0 nothing is left of it."""

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        super().fit(x, generator, budget)
        x = x.float()
        least = 1e-12 * float(self.spread.max()) ** 2
        self.spread = (x.square().mean(0) - x.mean(0).square()).clamp_min(least).sqrt().double()
        return History()


class Unnormalised(SoundDensity):
    """The normalising constant is a tenth of a nat off."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) + 0.1


class Timid(SoundMap):
    """Samples are drawn from a narrower law than the density's."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.shift + 0.9 * (super().sample(n, generator) - self.shift)


class Misjudging(SoundMap):
    """The log-determinant of the map is half a per cent off in five dimensions."""

    def transport(self, z: Tensor) -> Tensor:
        x = super().transport(z)
        return x if z.shape[1] < 5 else self.shift + 1.005 * (x - self.shift)


class OnlyMap(TransportModel):
    """A map without a density, whose samples are another map's."""

    shift: Tensor
    spread: Tensor
    fit = SoundMap.fit
    sample = SoundMap.sample

    def transport(self, z: Tensor) -> Tensor:
        return SoundMap.transport(self, z) + 0.2 * self.spread  # type: ignore[arg-type]


class Flat(SoundLatent):
    """Two leading dimensions are made one."""

    def posterior(self, x: Tensor) -> Distribution:
        return super().posterior(x.flatten(0, -2) if x.dim() > 2 else x)


class Weighted(Normal):
    """A normal law whose log-density is off by a constant."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012

    def __init__(self, loc: Tensor, scale: Tensor, excess: Tensor) -> None:
        super().__init__(loc, scale, validate_args=False)
        self.excess = excess

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + self.excess


class Modest(SoundLatent):
    """The posterior has more mass than one: the ELBO is too small, and still a lower bound."""

    def posterior(self, x: Tensor) -> Distribution:
        base = super().posterior(x).base_dist  # type: ignore[attr-defined]
        return Independent(Weighted(base.loc, base.scale, torch.full_like(base.loc, 0.3)), 1)


class Boastful(SoundLatent):
    """Far from the centre the density of the posterior is too small, which makes the ELBO larger than log p."""

    def posterior(self, x: Tensor) -> Distribution:
        base = super().posterior(x).base_dist  # type: ignore[attr-defined]
        far = (base.loc.abs() > 2.5).double()
        return Independent(Weighted(base.loc, base.scale, -3 * far), 1)


BROKEN: dict[str, type[Model]] = {
    "described": Nameless,
    "arguments": Untyped,
    "shapes": Squeezing,
    "types": Single,
    "finite": Overflowing,
    "history": Silent,
    "batches": BatchNormed,
    "replicates": Shared,
    "fit_again": WarmStarting,
    "sampling_randomness": Frozen,
    "fitting_randomness": Capricious,
    "global_randomness": Seeding,
    "untouched_input": InPlace,
    "save_and_load": Forgetful,
    "constant_column": Dividing,
    "few_rows": Hungry,
    "scale": Floored,
    "offset": Cancelling,
    "mass": Unnormalised,
    "sampler_and_density": Timid,
    "log_determinant": Misjudging,
    "map_and_sampler": OnlyMap,
    "latent_shapes": Flat,
    "proper_laws": Modest,
    "elbo_bound": Boastful,
}
