"""A normalizing flow: Gaussian noise pushed through rational-quadratic splines, with an exact density.

Sources: Durkan, Bekasov, Murray, Papamakarios 2019, "Neural Spline Flows" (the spline, the couplings with LU layers);
Dinh, Sohl-Dickstein, Bengio 2017, "Density estimation using Real NVP" (couplings); Papamakarios, Nalisnick, Rezende,
Mohamed, Lakshminarayanan 2021 (survey); Jaini, Kobyzev, Yu, Brubaker 2020 (a Lipschitz flow cannot make heavy tails).

The layers are those of `models.splines`, in the frame of nflows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nflows.transforms import CompositeTransform, ReversePermutation, Transform
from torch import Generator, Tensor

from models.base import DensityModel, TransportModel
from models.pushforward import standard_normal_log_prob
from models.seeding import seeded
from models.splines import BOUND, LU, SplineCoupling, TailCompression
from models.training import GradientTrained, Recipe
from models.whitening import Whitening

CHUNK = 4096


@dataclass(frozen=True)
class Architecture:
    """What a flow is made of and how it is trained.

    layers: couplings; hidden: the width of their networks; bins: of a spline; linear: an LU layer before each
    coupling, which mixes the coordinates, in place of splines of its own for the half that the coupling leaves.
    """

    layers: int
    hidden: int
    bins: int
    linear: bool
    recipe: Recipe


def architecture(n: int, dimension: int) -> Architecture:
    """What did best for its price, for n training samples in this many dimensions.

    Few samples are not passed over more than forty times. Weight decay pulls towards the identity, which after
    whitening is the Gaussian: in many dimensions it is what keeps a flow from learning the noise of its sample.
    """

    def recipe(batch_size: int, learning_rate: float, weight_decay: float) -> Recipe:
        steps = min(1000, max(200, 40 * n // batch_size))
        return Recipe(steps=steps, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay)

    if dimension == 1:  # a single spline: its few parameters bear, and need, a large learning rate
        return Architecture(1, 1, 32, False, recipe(512, 1e-1, 0.0))
    if dimension <= 3:
        return Architecture(2, 64, 16, False, recipe(512, 1e-2, 0.0))
    return Architecture(6, 128, 4, True, recipe(256, 5e-3, 1.0))


class NormalizingFlow(GradientTrained, DensityModel, TransportModel):
    """Whitening, tail compression, then couplings of rational-quadratic splines to N(0, I). Exact density."""

    log_volume: Tensor

    def __init__(self, chosen: Architecture | None = None) -> None:
        """None: what `architecture` chooses for the shape of the data."""
        super().__init__()
        self.chosen = chosen

    def build(self, x: Tensor, generator: Generator) -> None:
        """Layers for data like x (n, d), each near the identity, on an interval that holds all of x."""
        _, dimension = x.shape
        chosen = self.chosen or architecture(*x.shape)
        self.recipe = chosen.recipe
        self.whitening = Whitening(x)
        w = self.whitening(x)
        self.compression = TailCompression(w)
        self.register_buffer("log_volume", self.whitening.log_abs_det())
        # Two per cent of margin, because single precision may round the largest sample outwards.
        bound = max(BOUND, float(self.compression(w)[0].abs().max())) * 1.02
        layers: list[Transform] = []
        with seeded(generator):
            for _ in range(chosen.layers):
                # Reversed, so that every coordinate has its turn in either half.
                layers += [ReversePermutation(dimension)] if dimension > 1 else []
                layers += [LU(dimension)] if chosen.linear else []
                layers += [SplineCoupling(dimension, chosen.hidden, chosen.bins, bound, own=not chosen.linear)]
        self.transform = CompositeTransform(layers)

    def _inner(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the layers are given, u (n, d), for x (n, d), and log |det ∂u/∂x| (n,): nothing that is learned."""
        u, log_compression = self.compression(self.whitening(x))
        return u, log_compression + self.log_volume

    def _log_density(self, u: Tensor) -> Tensor:
        """Change of variables in the layers: log N(T(u); 0, I) + log |det ∂T/∂u|, (n,)."""
        z, log_det = self.transform(u)
        return standard_normal_log_prob(z) + log_det

    def prepare(self, x: Tensor, generator: Generator) -> Tensor:
        """u and, as a last column, its log-determinant, (n, d + 1), in single precision."""
        u, log_det = self._inner(x)
        return torch.cat([u, log_det[:, None]], dim=1).float()

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The mean negative log-likelihood of prepared rows x (batch, d + 1)."""
        return -(self._log_density(x[:, :-1]) + x[:, -1]).mean()

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log p_θ(x), (n,)."""
        inner = (self._inner(chunk) for chunk in x.split(CHUNK))
        return torch.cat([self._log_density(u) + log_det for u, log_det in inner])

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Tensor:
        """T⁻¹ of n draws from N(0, I), (n, d)."""
        return self.transport(torch.randn(n, len(self.whitening.shift), generator=generator, dtype=torch.float64))

    @torch.no_grad()
    def transport(self, z: Tensor) -> Tensor:
        """T⁻¹(z), (n, d), for z (n, d)."""
        u = torch.cat([self.transform.inverse(chunk)[0] for chunk in z.split(CHUNK)])
        return self.whitening.inverse(self.compression.inverse(u))
