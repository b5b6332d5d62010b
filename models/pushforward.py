"""The law of T(ε), ε ~ N(0, I), as a distribution: what a flow makes of a prior or of a posterior."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, constraints

# Takes (..., k) to (..., k) with the log-determinant of its Jacobian (...).
Map = Callable[[Tensor], tuple[Tensor, Tensor]]

MOMENT_NODES = 64


class Pushforward(Distribution):
    """x = T(ε), ε ~ N(0, I_k): log p(x) = log N(T⁻¹(x); 0, I) + log |det ∂T⁻¹/∂x| (change of variables).

    T may differ between the elements of the batch. Mean and standard deviation have no closed form: they come from a
    few quasi-random ε and serve as a place to start a search from, never as a score.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, push: Map, pull: Map, batch_shape: torch.Size, like: Tensor) -> None:
        """push is T and pull its inverse, on (..., *batch_shape, k); like (k,) has ε's type, device and dimension."""
        super().__init__(batch_shape, like.shape, validate_args=False)
        self._push = push
        self._pull = pull
        self._like = like

    def push(self, noise: Tensor) -> Tensor:
        """T(ε), (..., *batch_shape, k), for ε of that shape."""
        return self._push(noise)[0]

    def pull(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """T⁻¹(x), (..., *batch_shape, k), and the log-determinant of its Jacobian, (..., *batch_shape, 1)."""
        noise, log_det = self._pull(value)
        return noise, log_det[..., None]

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) in nats, (..., *batch_shape)."""
        noise, log_det = self._pull(value)
        return standard_normal_log_prob(noise) + log_det

    def draw(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """Reparameterised samples, shape + batch_shape + (k,)."""
        return self.push(self._noise(shape, generator))

    def draw_with_log_prob(self, shape: tuple[int, ...], generator: Generator) -> tuple[Tensor, Tensor]:
        """The same with their log-densities, shape + batch_shape, without undoing the map to find them."""
        noise = self._noise(shape, generator)
        value, log_det = self._push(noise)
        return value, standard_normal_log_prob(noise) - log_det

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        full = torch.Size(shape) + self.batch_shape + self.event_shape
        return torch.randn(full, generator=generator, dtype=self._like.dtype, device=self._like.device)

    @cached_property
    def _nodes(self) -> Tensor:
        """T at fixed ε and −ε, (MOMENT_NODES, *batch_shape, k)."""
        k = self.event_shape[0]
        uniform = torch.quasirandom.SobolEngine(k, scramble=True, seed=0).draw(MOMENT_NODES // 2, dtype=torch.float64)
        half = torch.special.ndtri(uniform.clamp(1e-9, 1 - 1e-9)).to(self._like)
        noise = torch.cat([half, -half]).view(MOMENT_NODES, *([1] * len(self.batch_shape)), k)
        return self.push(noise.expand(MOMENT_NODES, *self.batch_shape, k))

    @property
    def mean(self) -> Tensor:
        """Roughly E x, (*batch_shape, k)."""
        return self._nodes.mean(0)

    @property
    def variance(self) -> Tensor:
        """Roughly Var x, coordinate by coordinate, (*batch_shape, k)."""
        return self._nodes.var(0).clamp_min(1e-12)


def standard_normal_log_prob(noise: Tensor) -> Tensor:
    """log N(ε; 0, I), (...), for ε (..., k)."""
    return -0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1)
