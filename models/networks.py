"""The multilayer perceptron that encoders and decoders are made of, initialised from a generator that is passed in."""

from __future__ import annotations

from torch import Generator, nn


def mlp(inputs: int, outputs: int, hidden: int, depth: int, generator: Generator) -> nn.Sequential:
    """`depth` hidden tanh layers of width `hidden`, then a linear one. Glorot initialisation (Glorot & Bengio 2010)."""
    layers: list[nn.Module] = []
    width = inputs
    for _ in range(depth):
        layers += [linear(width, hidden, generator), nn.Tanh()]
        width = hidden
    return nn.Sequential(*layers, linear(width, outputs, generator))


def linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    """A linear layer whose weights do not come from the global generator, as `nn.Linear`'s own do."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, device=generator.device)
    nn.init.xavier_normal_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
