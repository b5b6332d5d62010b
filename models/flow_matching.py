"""Flow matching: an ordinary differential equation that carries N(0, I) to the data, learned by regression.

Sources: Lipman, Chen, Ben-Hamu, Nickel, Le 2023, "Flow Matching for Generative Modeling"; Tong et al. 2024, "Improving
and generalizing flow-based generative models with minibatch optimal transport" (OT-CFM) and Pooladian et al. 2023,
"Multisample Flow Matching" (couplings by optimal transport within a minibatch); Chen, Rubanova, Bettencourt, Duvenaud
2018, "Neural Ordinary Differential Equations" (the density).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import ot
import torch
from torch import Generator, Tensor, nn

from models.base import DensityModel, TransportModel
from models.networks import mlp
from models.pushforward import standard_normal_log_prob
from models.splines import TailCompression
from models.training import GradientTrained, Recipe
from models.whitening import Standardization, Whitening

FREQUENCIES = 2  # of the sines and cosines of time
GAIN = 3.0  # of the first layer at the start: narrow structure needs sharp bends
COUPLED_ROWS = 40_000  # pairs to train on, at the least, unless that takes more passes over the data than
MOST_PASSES = 20
TANGENTS = 8192  # rows times dimensions that are integrated at once: their derivatives then stay in the cache


class VelocityField(nn.Module):
    """v(x, t), a tanh multilayer perceptron of x (n, d) and of time as 2t − 1, sin πkt, cos πkt; zero at the start.

    Tanh, not a rectifier: the solver's order holds for smooth fields only.
    """

    def __init__(self, dimension: int, hidden: int, depth: int, generator: Generator) -> None:
        """`depth` hidden layers of width `hidden`. At the start v = 0: the flow is the identity."""
        super().__init__()
        *layers, last = mlp(dimension + 1 + 2 * FREQUENCIES, dimension, hidden, depth, generator, GAIN)
        self.hidden = nn.Sequential(*layers)
        self.last = cast(nn.Linear, last)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """v(x, t), (n, d), for x (n, d) and t (n, 1) or (1, 1)."""
        return self.last(self.hidden(_beside_time(x, t)))

    def with_divergence(self, x: Tensor, t: Tensor) -> Tensor:
        """v(x, t) and, as a last column, its exact divergence tr ∂v/∂x: (n, d + 1).

        The d tangents go forward through the layers beside x; of the last product only the diagonal is formed.
        """
        h = _beside_time(x, t)
        tangents = torch.eye(x.shape[1], h.shape[1], dtype=x.dtype, device=x.device)
        for layer in self.hidden:
            h = layer(h)
            tangents = tangents @ layer.weight.mT if isinstance(layer, nn.Linear) else tangents * (1 - h**2)[:, None]
        return torch.cat([self.last(h), (tangents * self.last.weight).sum((-2, -1))[:, None]], dim=1)


def _beside_time(x: Tensor, t: Tensor) -> Tensor:
    angles = math.pi * t * torch.arange(1, FREQUENCIES + 1, dtype=t.dtype, device=t.device)
    features = torch.cat([2 * t - 1, angles.sin(), angles.cos()], dim=-1)
    return torch.cat([x, features.expand(len(x), -1)], dim=-1)


def runge_kutta(velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, times: Tensor) -> Tensor:
    """x (n, ·) at times[-1], if dx/dt = velocity(x, t) and it is x at times[0]: the classical method of order four.

    One step between each two neighbours of times (steps + 1,), which may fall as well as rise.
    """
    for start, stop in pairwise(times.view(-1, 1, 1)):
        step = stop - start
        middle = start + step / 2
        k1 = velocity(x, start)
        k2 = velocity(x + step / 2 * k1, middle)
        k3 = velocity(x + step / 2 * k2, middle)
        k4 = velocity(x + step * k3, stop)
        x = x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


def couple(noise: Tensor, data: Tensor) -> Tensor:
    """The rows of data (m, d) in the order in which optimal transport pairs them with noise (m, d), cost |z − y|²."""
    if len(noise) == 0:  # too few rows to hold one out; POT's solver makes a segmentation fault of it
        return data
    plan = ot.emd([], [], ot.dist(noise.numpy(), data.numpy()))  # a permutation matrix over m
    return data[torch.as_tensor(plan.argmax(axis=1))]


class FlowMatching(GradientTrained, DensityModel, TransportModel):
    """x = T(z) is where dx/dt = v(x, t) has carried z ~ N(0, I) at time 1, in whitened, tail-compressed coordinates.

    v is the least-squares regression of y − z on x_t = (1 − t) z + t y and t ~ U(0, 1), over pairs (z, y) of noise and
    data that optimal transport has matched within blocks (Tong et al. 2024, section 3.2.3).
    """

    grid: Tensor

    def __init__(
        self, hidden: int = 64, depth: int = 3, block: int = 256, solver_steps: int = 10, steps: int = 2000
    ) -> None:
        """hidden, depth: of the velocity's network. block: points that optimal transport matches at once.

        solver_steps: Runge–Kutta steps from noise to data. steps: of the optimiser, fewer where data are few.
        """
        super().__init__()
        self.hidden = hidden
        self.depth = depth
        self.block = block
        self.solver_steps = solver_steps
        self.steps = steps

    def build(self, x: Tensor, generator: Generator) -> None:
        """Coordinates and the network, for data like x (n, d)."""
        n, d = x.shape
        self.recipe = Recipe(steps=min(self.steps, max(200, n // 5)), batch_size=256, learning_rate=7e-3)
        self.whitening = Whitening(x)
        w = self.whitening(x)
        self.compression = TailCompression(w)
        self.standardization = Standardization(self.compression(w)[0])
        self.velocity = VelocityField(d, self.hidden, self.depth, generator)
        self.register_buffer("grid", torch.linspace(0, 1, self.solver_steps + 1, dtype=torch.float64))

    def _inner(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The coordinates u (n, d) in which x (n, d) flows, and log |det ∂u/∂x| (n,): nothing that is learned."""
        u, log_compression = self.compression(self.whitening(x))
        return self.standardization(u), (
            log_compression + self.whitening.log_abs_det() + self.standardization.log_abs_det()
        )

    def prepare(self, x: Tensor, generator: Generator) -> Tensor:
        """Pairs (z, y) of noise and data, (passes · n, 2 d), in single precision; every pass matches anew."""
        u, _ = self._inner(x)
        pairs: list[Tensor] = []
        for _ in range(min(MOST_PASSES, math.ceil(COUPLED_ROWS / max(1, len(u))))):
            noise = torch.randn(u.shape, generator=generator, dtype=u.dtype)
            shuffled = u[torch.randperm(len(u), generator=generator)]
            for z, y in zip(noise.split(self.block), shuffled.split(self.block), strict=True):
                pairs.append(torch.cat([z, couple(z, y)], dim=1))
        return torch.cat(pairs).float()

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """E |v(x_t, t) − (y − z)|² over pairs x = (z, y), (batch, 2 d); Tong et al. 2024, equation 10 at σ = 0."""
        z, y = x.chunk(2, dim=1)
        # One t in each of `batch` equal intervals: as uniform as independent ones, with less noise.
        uniform = torch.rand(len(x), 1, generator=generator, dtype=x.dtype, device=x.device)
        t = (torch.arange(len(x), dtype=x.dtype, device=x.device)[:, None] + uniform) / len(x)
        return (self.velocity((1 - t) * z + t * y, t) - (y - z)).square().sum(1).mean()

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log N(z; 0, I) − ∫₀¹ div v(x_t, t) dt, (n,), z = x_0: Chen et al. 2018, equation 8."""
        u, log_det = self._inner(x)
        d = x.shape[1]
        parts = [
            runge_kutta(lambda s, t: self.velocity.with_divergence(s[:, :d], t), start, self.grid.flip(0))
            for start in torch.nn.functional.pad(u, (0, 1)).split(max(1, TANGENTS // d))
        ]
        ends = torch.cat(parts)
        return standard_normal_log_prob(ends[:, :d]) + ends[:, d] + log_det

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Tensor:
        """T of n draws from N(0, I), (n, d)."""
        return self.transport(torch.randn(n, len(self.whitening.shift), generator=generator, dtype=torch.float64))

    @torch.no_grad()
    def transport(self, z: Tensor) -> Tensor:
        """T(z), (n, d), for z (n, d)."""
        u = torch.cat([runge_kutta(self.velocity, chunk, self.grid) for chunk in z.split(TANGENTS)])
        return self.whitening.inverse(self.compression.inverse(self.standardization.inverse(u)))
