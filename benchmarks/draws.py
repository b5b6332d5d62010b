"""What of a target a cell is fitted to and scored on: the same points whenever they are drawn, for every model."""

from __future__ import annotations

from torch import Tensor

from benchmarks.seeds import generator
from benchmarks.targets.base import Target
from metrics import Sizes


def training_set(target: Target, name: str, replicate: int, size: int) -> Tensor:
    """The training samples of this replicate, (size, d); fewer where there are fewer. name: the target's plug-in's."""
    train, _ = target.split(size, 1, generator("data", target=name, replicate=replicate))
    return train


def held_out_samples(target: Target, name: str, replicate: int, sizes: Sizes) -> Tensor:
    """The held-out samples of this replicate, (m, d): twice as many as the largest of its metrics needs."""
    size = 2 * max(sizes.sliced, sizes.wasserstein * sizes.batches, sizes.likelihood, sizes.latent)
    _, test = target.split(1, size, generator("test", target=name, replicate=replicate))
    return test
