"""For each check a target that is wrong in one place, where only this check looks. The class says which place."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from benchmarks.targets.base import Target
from tests.benchmarks.checks.sound import SoundHighTarget, SoundTarget


class Wordy(SoundTarget):
    """A summary that is no line."""

    summary = "Two\nlines"


class Squeezing(SoundTarget):
    """The log-density of no points is a matrix."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x)[:, None] if len(x) == 0 else super().log_prob(x)


class Single(SoundTarget):
    """Log-densities in single precision."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x).float()


class Narrow(SoundTarget):
    """The window holds a part of the points."""

    def window(self) -> tuple[Tensor, Tensor]:
        return self.mean - 1, self.mean + 1


class Reused(SoundTarget):
    """The test set is the training set."""

    def split(self, train: int, test: int, generator: Generator) -> tuple[Tensor, Tensor]:
        x = self.sample(max(train, test), generator)
        return x[:train], x[:test]


class Capricious(SoundTarget):
    """Its parameters are drawn anew whenever it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = self.mean + float(np.random.default_rng().normal())


class Seeding(SoundTarget):
    """Draws from the global generator of NumPy."""

    def entropy(self) -> float:
        np.random.random()  # noqa: NPY002
        return super().entropy()


class InPlace(SoundTarget):
    """Points are centred in place, and not put back to the last digit."""

    def log_prob(self, x: Tensor) -> Tensor:
        found = super().log_prob(x)
        x -= 1e-12 * self.mean
        return found


class BatchNormed(SoundTarget):
    """The log-density of a point depends a little on the rest of its batch."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) + 1e-6 * torch.tanh(x - x.mean(0)).sum(1)


class Offset(SoundTarget):
    """A call draws one random number for all of its points."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = super().sample(n, generator)
        return x if n > 1 else x + torch.randn(2, generator=generator, dtype=torch.float64)


class Unnormalised(SoundTarget):
    """Density and entropy leave out a part of the normalising constant."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) + 0.1

    def entropy(self) -> float:
        return super().entropy() - 0.1


class Bent(SoundHighTarget):
    """Samples of another law, which has the same entropy."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = super().sample(n, generator)
        bend = x[:, 0].square() - 1
        return torch.stack([x[:, 0], x[:, 1] + bend, x[:, 2]], dim=1)

    def entropy(self) -> float:
        return float(-self.log_prob(self.sample(400_000, torch.Generator().manual_seed(99))).mean())


class Rounded(SoundTarget):
    """The entropy is a typing error away."""

    def entropy(self) -> float:
        return super().entropy() + 0.05


class Coarse(SoundTarget):
    """The quadrature leaves out half of the plane."""

    def nodes(self, spacing: float = 1.0) -> tuple[Tensor, Tensor] | None:
        x, weights = super().nodes(spacing)  # type: ignore[misc]
        weights = weights * (x[:, 0] > self.mean[0])
        return x, weights / weights.sum()


class Shifted(SoundTarget):
    """The map ends beside the samples."""

    def transport(self, z: Tensor) -> Tensor:
        return super().transport(z) + 0.3


class Turned(SoundTarget):
    """A rotation before the map: the law is right, the map is not optimal."""

    def transport(self, z: Tensor) -> Tensor:
        return super().transport(torch.stack([z[:, 1], -z[:, 0]], dim=1))


BROKEN: dict[str, type[Target]] = {
    "described": Wordy,
    "shapes": Squeezing,
    "types": Single,
    "window": Narrow,
    "sampling_randomness": Reused,
    "same_law_again": Capricious,
    "global_randomness": Seeding,
    "untouched_input": InPlace,
    "batches": BatchNormed,
    "one_by_one": Offset,
    "mass": Unnormalised,
    "sampler_and_density": Bent,
    "entropy": Rounded,
    "nodes": Coarse,
    "map_and_sampler": Shifted,
    "brenier_map": Turned,
}
