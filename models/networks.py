"""The networks that encoders and decoders are made of, initialised from a generator that is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Independent, Normal

# Bounds of log standard deviations, in units of the data's own or of the prior's: far outside of what a trained model
# uses, near enough that no density overflows on the way there.
LOG_SCALE_BOUNDS = (-7.0, 3.0)


@dataclass(frozen=True)
class Shape:
    """Of a multilayer perceptron: the width and number of its hidden layers, and the gain of the first at the start."""

    hidden: int
    depth: int
    gain: float = 1.0


class NormalNetwork(nn.Module):
    """u ↦ N(μ(u), diag s(u)²): an encoder, or a decoder whose noise depends on the latent."""

    def __init__(
        self, inputs: int, outputs: int, shape: Shape, generator: Generator, scale: float | None = None
    ) -> None:
        """scale: s at the start, the same for every u; None leaves it to the initial network, near 1."""
        super().__init__()
        self.network = LinearPlus(inputs, 2 * outputs, shape.hidden, shape.depth, generator, shape.gain)
        if scale is not None:
            last = self.network.last
            with torch.no_grad():
                last.weight[outputs:] = 0.0
                last.bias[outputs:] = math.log(scale)

    def forward(self, u: Tensor) -> Independent:
        """The normal law of batch shape (...) and event shape (outputs,), for u (..., inputs)."""
        mean, log_scale = self.network(u).chunk(2, dim=-1)
        return normal(mean, log_scale.clamp(*LOG_SCALE_BOUNDS).exp())


class NormalNetworkWithNoise(nn.Module):
    """u ↦ N(μ(u), diag σ²): a decoder whose noise σ is learned, one per coordinate, the same for every u."""

    def __init__(self, inputs: int, outputs: int, shape: Shape, generator: Generator, scale: float) -> None:
        """scale: σ at the start."""
        super().__init__()
        self.network = LinearPlus(inputs, outputs, shape.hidden, shape.depth, generator, shape.gain)
        self.log_scale = nn.Parameter(torch.full((outputs,), math.log(scale), device=generator.device))

    def forward(self, u: Tensor) -> Independent:
        """The normal law of batch shape (...) and event shape (outputs,), for u (..., inputs)."""
        mean = self.network(u)
        return normal(mean, self.log_scale.clamp(*LOG_SCALE_BOUNDS).exp().expand_as(mean))


class LinearPlus(nn.Module):
    """u ↦ W u + r(u), r a multilayer perceptron: what is linear in ill-conditioned data needs no tanh to bend it.

    W starts at zero, so that it is there to be used and nothing more: VAEs begun at the principal components of
    clustered data stay near them. An autoencoder may begin there, with r almost silent.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int, depth: int, generator: Generator, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.network = mlp(inputs, outputs, hidden, depth, generator, gain)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, device=generator.device))

    def beginning_at(self, weight: Tensor) -> LinearPlus:
        """This network, changed: W = weight (outputs, inputs), and a tenth of r but for the bias of its last layer."""
        with torch.no_grad():
            self.weight.copy_(weight)
            self.last.weight.mul_(0.1)
        return self

    @property
    def last(self) -> nn.Linear:
        """The output layer of r."""
        layer = self.network[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, u: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        found: Tensor = u @ self.weight.mT + self.network(u)
        return found


def normal(mean: Tensor, scale: Tensor) -> Independent:
    """N(mean, diag scale²), the last dimension of mean and scale (..., k) being the event."""
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)


def standard_normal(origin: Tensor) -> Independent:
    """N(0, I) in as many dimensions, of the type and on the device of origin (k,), which is zero."""
    return normal(origin, torch.ones_like(origin))


def mlp(inputs: int, outputs: int, hidden: int, depth: int, generator: Generator, gain: float = 1.0) -> nn.Sequential:
    """`depth` hidden tanh layers of width `hidden`, then a linear one.

    gain: of the first layer at the start. A larger one spreads the bends of the tanh over the inputs and makes them
    sharper, which is what narrow structure in few dimensions needs.
    """
    layers: list[nn.Module] = []
    width = inputs
    for _ in range(depth):
        layers += [linear(width, hidden, generator, 1.0 if layers else gain), Tanh()]
        width = hidden
    return nn.Sequential(*layers, linear(width, outputs, generator))


class Tanh(nn.Module):
    """tanh u = 2 σ(2u) − 1, which on a CPU takes a quarter of the time of `torch.tanh`: σ is vectorised there."""

    def forward(self, u: Tensor) -> Tensor:
        """Elementwise, of any shape."""
        return torch.rsub((2 * u).sigmoid(), -1, alpha=-2)


def linear(inputs: int, outputs: int, generator: Generator, gain: float = 1.0) -> nn.Linear:
    """`nn.Linear` as it initialises itself, from this generator: weights and biases uniform in ±gain/√inputs."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, device=generator.device)
    bound = gain / math.sqrt(inputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer
