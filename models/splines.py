"""What flows are made of: rational-quadratic splines, couplings of them, linear layers, compressed tails.

Sources: Durkan, Bekasov, Murray, Papamakarios 2019, "Neural Spline Flows" (the spline, the couplings with LU layers);
Dinh, Sohl-Dickstein, Bengio 2017, "Density estimation using Real NVP" (couplings).

nflows gives the frame: transforms, their composition, permutations, LU layers. Its spline selects the points inside
the interval by a mask, and so can be neither mapped over replicates nor given a bound that is part of the state. The
one below computes every point and selects afterwards; the tests hold it against nflows' own.
"""

from __future__ import annotations

import math

import torch
from nflows.nn.nets import MLP, ResidualNet
from nflows.transforms import LULinear, Transform
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

MIN_SHARE = 1e-4  # of the interval, for the width and the height of a bin
MIN_SLOPE = 1e-3
UNIT_SLOPE = math.log(math.expm1(1 - MIN_SLOPE))  # MIN_SLOPE + softplus(UNIT_SLOPE) = 1
KNEE = 4.0
BOUND = 4.0  # N(0, 1) has 6e-5 of its mass outside, where no spline reaches


def rational_quadratic_spline(x: Tensor, raw: Tensor, bound: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """The monotone spline on [−bound, bound], the identity outside, of Durkan et al. (2019), equations 4 to 8.

    x is (n, d), or values of the inverse; raw (n, d, 3K − 1) holds K widths, K heights and K − 1 inner slopes before
    they are normalised; bound is a scalar. Returns y and log |dy/dx|, both (n, d). Zeros in raw give the identity.
    """
    bins = (raw.shape[-1] + 1) // 3
    shares = _softmax(raw[..., : 2 * bins].unflatten(-1, (2, bins))) * (1 - MIN_SHARE * bins) + MIN_SHARE
    slopes = pad(raw[..., 2 * bins :], (1, 1))
    inside = x.abs() < bound
    u = torch.where(inside, x / bound, 0.0) / 2 + 0.5  # the spline proper maps [0, 1] to itself
    with torch.no_grad():
        edges = shares[..., int(inverse), :-1].cumsum(-1)
        index = (u.unsqueeze(-1) >= edges).sum(-1, keepdim=True)
        before = torch.arange(bins, device=x.device) < index
    # A masked sum and three gathers: half the operations, forward and back, of padded cumulative sums.
    x0, y0 = (shares * before.unsqueeze(-2)).sum(-1).unbind(-1)
    width, height = shares.gather(-1, index.unsqueeze(-2).expand(*x.shape, 2, 1)).squeeze(-1).unbind(-1)
    d0, d1 = (MIN_SLOPE + softplus(slopes.gather(-1, torch.cat([index, index + 1], -1)) + UNIT_SLOPE)).unbind(-1)

    slope = height / width
    bend = d0 + d1 - 2 * slope
    if inverse:
        rise = u - y0
        a = rise * bend + height * (slope - d0)
        b = height * d0 - rise * bend
        root = (b.square() + 4 * a * slope * rise).clamp_min(0).sqrt()
        t = 2 * slope * rise / (b + root)
    else:
        t = (u - x0) / width
    square = t.square()
    sides = t - square
    ratio = slope / (slope + bend * sides)
    log_slope = (ratio.square() * (d0 + 2 * (slope - d0) * t + bend * square)).log()
    v = x0 + t * width if inverse else y0 + width * ratio * (slope * square + d0 * sides)
    log_slope = -log_slope if inverse else log_slope
    return torch.where(inside, (2 * v - 1) * bound, x), torch.where(inside, log_slope, 0.0)


def _softmax(x: Tensor) -> Tensor:
    """Over the last dimension: torch's own takes five times as long where that has eight entries or fewer."""
    e = (x - x.detach().amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


class SplineCoupling(Transform):
    """(a, b) ↦ (S(a; φ), S(b; net(a))): b by splines that a network chooses from a, a by splines of its own or not.

    a is the first half of the features, rounded up, so all of them if there is one: then b is empty. With splines of
    its own for a, this is in two dimensions an autoregressive layer; one call of the spline serves both halves. With a
    context both depend on that too, and the layer is a family of maps.
    """

    bound: Tensor

    def __init__(self, features: int, hidden: int, bins: int, bound: float, own: bool, context: int = 0) -> None:
        super().__init__()
        self.split = (features + 1) // 2
        self.start = 0 if own else self.split
        self.width = 3 * bins - 1
        self.own = nn.Parameter(torch.zeros(self.split - self.start, self.width))
        self.own_by_context = nn.Linear(context, self.own.numel()) if context and own else None
        self.register_buffer("bound", torch.tensor(bound))
        self.net: MLP | ResidualNet | None = None
        if features > self.split:
            outputs = (features - self.split) * self.width
            # Of the same depth and size. Plain ones draw sharper edges in the plane (checkerboard, KL 0.058 for 0.076),
            # residual ones are better at telling clusters apart between linear layers (16-D mixture, 0.65 for 0.70).
            if own:
                self.net = MLP([self.split + context], [outputs], [hidden] * 3)
            else:
                self.net = ResidualNet(self.split + context, outputs, hidden, num_blocks=1)
        with torch.no_grad():  # start near the identity
            for last in self._last_layers():
                last.weight.mul_(0.1)
                last.bias.mul_(0.1)

    def _last_layers(self) -> list[nn.Linear]:
        layers = [] if self.own_by_context is None else [self.own_by_context]
        if isinstance(self.net, MLP):
            layers.append(self.net._output_layer)
        elif self.net is not None:
            layers.append(self.net.final_layer)
        return layers

    def _own(self, rows: int, context: Tensor | None) -> Tensor:
        own = self.own.expand(rows, -1, -1)
        return own if self.own_by_context is None else own + self.own_by_context(context).view(own.shape)

    def _spline(self, x: Tensor, a: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        """The splines on x (n, features), given a and the context: (n, features) and the log-determinant (n,)."""
        raw = self._own(len(x), context)
        if self.net is not None:
            given = a if context is None else torch.cat([a, context], dim=1)
            raw = torch.cat([raw, self.net(given).unflatten(-1, (-1, self.width))], dim=1)
        outputs, log_slope = rational_quadratic_spline(x[:, self.start :], raw, self.bound, inverse)
        return torch.cat([x[:, : self.start], outputs], dim=1), log_slope.sum(-1)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data (n, features) towards noise, given context (n, c), and the log-determinant (n,)."""
        return self._spline(inputs, inputs[:, : self.split], context, inverse=False)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Noise towards data: a first, because b's splines depend on it."""
        a = inputs[:, : self.split]
        if len(self.own):
            a, _ = rational_quadratic_spline(a, self._own(len(a), context), self.bound, inverse=True)
        return self._spline(inputs, a, context, inverse=True)


class LU(LULinear):
    """nflows' linear layer x ↦ LUx + b, but zeros mean the identity, and its inverse calls no deprecated solver."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        nn.init.zeros_(self.unconstrained_upper_diag)

    @property
    def upper_diag(self) -> Tensor:
        """The diagonal of U, positive: one where the parameter is zero, so that weight decay leads there."""
        return MIN_SLOPE + softplus(self.unconstrained_upper_diag + UNIT_SLOPE)

    def inverse_no_cache(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Two triangular solves, (n, d)."""
        lower, upper = self._create_lower_upper()
        half = torch.linalg.solve_triangular(lower, (inputs - self.bias).T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, half, upper=True).T, -self.logabsdet().expand(len(inputs))


class TailCompression(nn.Module):
    """Per coordinate, linear up to a knee and logarithmic beyond, then stretched to fill the splines' interval.

    Splines end in the identity, so a flow made of them has the tails of its base; and an interval wide enough for a
    maximum of a hundred standard deviations has no bins left for the bulk. The unit is the 68 % quantile of |w|,
    which for a Gaussian is its standard deviation: there only 6e-5 of the mass lies beyond the knee. What is narrower
    than the interval, as bounded data are, is stretched: bins where there are no data are wasted.
    """

    unit: Tensor
    stretch: Tensor

    def __init__(self, w: Tensor) -> None:
        """Take units and stretches from whitened training samples w (n, d)."""
        super().__init__()
        # Sorted, because `quantile` refuses more than 2^24 elements.
        unit = w.abs().sort(dim=0).values[int(0.6827 * len(w))]
        self.register_buffer("unit", torch.where(unit > 1e-6, unit, 1.0).clamp_max(1.0))
        self.register_buffer("stretch", torch.ones_like(self.unit))
        self.stretch = (BOUND / self(w)[0].abs().amax(dim=0).clamp_min(1.0)).clamp_min(1.0)

    def forward(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w (n, d) to u, with the log-determinant (n,)."""
        v = w / self.unit
        growth = (v.abs() - KNEE).clamp_min(0).log1p()
        u = self.stretch * torch.where(growth > 0, v.sign() * (KNEE + growth), v)
        return u, (self.stretch / self.unit).log().sum() - growth.sum(-1)

    def inverse(self, u: Tensor) -> Tensor:
        """u (n, d) to w."""
        v = u / self.stretch
        growth = (v.abs() - KNEE).clamp_min(0)
        return self.unit * torch.where(growth > 0, v.sign() * (KNEE + growth.expm1()), v)
