"""Random numbers for the ledger, from the generator that is passed in."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rv_continuous
from torch import Generator

Array = NDArray[np.float64]


def normal(generator: Generator, *shape: int) -> Array:
    """Standard normal numbers of this shape, float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).numpy()


def uniform(generator: Generator, *shape: int) -> Array:
    """Uniform numbers on (0, 1) of this shape, float64."""
    return torch.rand(shape, generator=generator, dtype=torch.float64).clamp(2**-53, 1 - 2**-53).numpy()


def sample(law: rv_continuous, generator: Generator, *shape: int) -> Array:
    """Draws from a law of scipy.stats, by its quantile function."""
    return np.asarray(law.ppf(uniform(generator, *shape)))


def mean_and_error(values: Array) -> tuple[float, float]:
    """The mean of independent values (n,) with its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
