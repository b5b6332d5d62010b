"""The contract of a model: what the harness asks for, and nothing more.

A model is fitted to samples and then sampled. A model that can do more says so by its class:
`DensityModel` has a tractable density, `LatentModel` is an integral over a latent, `TransportModel`
is a map of N(0, I). Metrics ask which of them a model is; they never ask its name.

Conventions, for every model:

- data are float64 tensors of shape (n, d) in the target's own units; so is everything that a model
  returns about data (samples, log-densities in nats);
- every random number comes from the `torch.Generator` that was passed in;
- constructor arguments are the hyper-parameters, all with defaults; whatever depends on the data
  (dimension, location, scale) is created by `build`, which `fit` calls.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from models.pushforward import Pushforward


class DivergedError(RuntimeError):
    """Training left the finite numbers and could not be brought back."""


class BudgetExceededError(RuntimeError):
    """A fit used more CPU time than the suite allows."""


@dataclass(frozen=True)
class Budget:
    """What a fit may spend.

    effort: multiplies a model's default number of optimisation steps; 1 is the standard suite.
    cpu_seconds: CPU time after which a fit is given up (`BudgetExceededError`); None is no limit.
    parameters: the largest number of trainable parameters allowed (`ValueError`); None is no limit.
    """

    effort: float = 1.0
    cpu_seconds: float | None = None
    parameters: int | None = None

    def steps(self, default: int) -> int:
        """The number of optimisation steps that this effort buys."""
        return max(1, round(default * self.effort))


@dataclass
class History:
    """The training curve: losses at a few dozen checkpoints (step, in nats per point where the loss is one)."""

    step: list[int] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def extend(self, later: History) -> None:
        """Append the curve of a later stage of training; its steps count on from where this one ends."""
        before = self.step[-1] if self.step else 0
        self.step += [before + step for step in later.step]
        self.training += later.training
        self.validation += later.validation


class Model(nn.Module, ABC):
    """A generative model p_θ: fit to samples, then sample.

    It is an `nn.Module` so that its parameters and buffers are its whole state: `state_dict()` is
    what the store keeps and `restore` brings it back.
    """

    def build(self, x: Tensor, generator: Generator) -> None:
        """Create parameters and buffers for data like x (n, d), and whiten by x. Called once, by `fit`.

        The default builds nothing: a model without state needs no `build`.
        """

    @abstractmethod
    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Fit to training samples x (n, d).

        Raises `DivergedError` or `BudgetExceededError`; anything else it raises is reported as its failure.
        """

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples of p_θ, (n, d)."""

    def restore(self, state: Mapping[str, Tensor], dimension: int) -> None:
        """Become the fitted model whose `state_dict` was `state`, for data of `dimension` columns.

        Modules and parameters are those that `build` creates. A buffer may be new, or of another size than `build`
        gave it: how many components or points a model keeps is known by `fit` alone.
        """
        generator = torch.Generator().manual_seed(0)
        self.build(torch.randn(4 * dimension + 4, dimension, generator=generator, dtype=torch.float64), generator)
        self.double()
        built = self.state_dict()
        parameters = dict(self.named_parameters())
        for name, value in state.items():
            if name not in parameters and (name not in built or built[name].shape != value.shape):
                module, _, buffer = name.rpartition(".")
                self.get_submodule(module).register_buffer(buffer, value)
        self.load_state_dict(dict(state))


class DensityModel(Model):
    """A model whose density is tractable: flows, transport maps, mixtures."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p_θ(x) in nats, (n,), for x (n, d)."""


class TransportModel(Model):
    """A model that is a map: x = T(z) for z ~ N(0, I) in as many dimensions as x has."""

    @abstractmethod
    def transport(self, z: Tensor) -> Tensor:
        """T(z), (n, d), for z (n, d)."""


class LatentModel(Model):
    """p_θ(x) = ∫ p(x|z) p(z) dz: VAEs, autoencoders. The density is an integral, so metrics estimate it.

    All three distributions have the event as their last dimension (`torch.distributions.Independent` or
    multivariate) and broadcast over any leading dimensions; a sample z of shape (..., k) goes into `likelihood`.
    """

    @abstractmethod
    def prior(self) -> Distribution:
        """p(z): batch shape (), event shape (k,)."""

    @abstractmethod
    def likelihood(self, z: Tensor) -> Distribution:
        """p(x|z) for z (..., k): batch shape (...), event shape (d,), in the units of the data."""

    @abstractmethod
    def posterior(self, x: Tensor) -> Distribution:
        """The amortised q(z|x) for x (..., d): batch shape (...), event shape (k,)."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Ancestral sampling: z from the prior, then x from the likelihood; (n, d)."""
        z = draw(self.prior(), (n,), generator)
        return draw(self.likelihood(z), (), generator)


def draw(distribution: Distribution, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """A reparameterised sample, of shape `shape + batch + event`, from a generator that is passed in.

    `torch.distributions` draws from the global generator, which nothing here may touch; so the families that
    models are made of are drawn by hand, and the gradient flows through location and scale.

    Raises TypeError for a family it does not know, naming those it does.
    """
    match distribution:
        case Pushforward():
            return distribution.draw(shape, generator)
        case Independent():
            return draw(distribution.base_dist, shape, generator)
        case Normal():
            full = torch.Size(shape) + distribution.batch_shape
            return distribution.loc + distribution.scale * _standard_normal(full, distribution.loc, generator)
        case MultivariateNormal():
            full = torch.Size(shape) + distribution.batch_shape + distribution.event_shape
            noise = _standard_normal(full, distribution.loc, generator)
            return distribution.loc + (distribution.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        case MixtureSameFamily():
            index = _draw_components(distribution, shape, generator)
            return draw(_at(distribution.component_distribution, index, distribution.event_shape), (), generator)
        case _:
            raise _unknown(distribution)


def _draw_components(mixture: MixtureSameFamily, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Of which component each sample is, by its place among all B K of a batch of B elements: shape + batch."""
    probs = mixture.mixture_distribution.probs
    weights = probs.expand(*mixture.batch_shape, -1).reshape(-1, probs.shape[-1])  # (B, K)
    index = torch.multinomial(weights, math.prod(shape), replacement=True, generator=generator)  # (B, draws)
    index = index + weights.shape[1] * torch.arange(len(weights), device=index.device)[:, None]
    return index.T.reshape((*shape, *mixture.batch_shape))


def _at(components: Distribution, index: Tensor, event: torch.Size) -> Distribution:
    """The components at these places of the flattened batch, a law of batch shape that of index; event is their own."""
    match components:
        case Independent():
            return _at(components.base_dist, index, event)
        case Normal():
            loc, scale = (value.reshape(-1, *event)[index] for value in (components.loc, components.scale))
            return Normal(loc, scale, validate_args=False)
        case MultivariateNormal():
            loc = components.loc.reshape(-1, *event)[index]
            scale_tril = components.scale_tril.reshape(-1, *event, event[-1])[index]
            return MultivariateNormal(loc, scale_tril=scale_tril, validate_args=False)
        case _:
            raise _unknown(components)


def _unknown(distribution: Distribution) -> TypeError:
    return TypeError(
        f"cannot draw from {type(distribution).__name__} with a generator; "
        "use Normal, MultivariateNormal, a mixture of them, Independent of one, or Pushforward"
    )


def _standard_normal(shape: torch.Size, like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
