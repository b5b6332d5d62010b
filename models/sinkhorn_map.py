"""The entropic map: the optimal-transport plan between two samples, smoothed until it is a map of the whole space.

POT solves the entropic problem between points of N(0, I) and training points; the conditional mean of its plan, with
the potential that it found, is defined everywhere (Pooladian & Niles-Weed 2021; Seguy et al. 2018 fit it by a network).
"""

from __future__ import annotations

import warnings

import ot
import torch
from torch import Generator, Tensor

from models.base import Budget, History, TransportModel

# POT moves its scaling vectors into the potentials when one of them exceeds tau, and goes on from 1/n instead of 1:
# with its default of 1e3 and more points than that it does so, at the cost of a new kernel, in every iteration.
TAU = 1e9
STAGES = 12
CHUNK = 1024


class SinkhornMap(TransportModel):
    """x = T(z) = Σ_j y_j w_j(z), w_j(z) ∝ exp((g_j − |z − y_j|²)/ε); Pooladian & Niles-Weed 2021.

    y_j are training points, shifted by their mean and divided by one scalar (no other linear map keeps an optimal map
    optimal), and g is the dual potential of the entropic problem. T is the gradient of the convex function
    z ↦ ε/2 · log Σ_j exp((g_j − |y_j|² + 2 z·y_j)/ε). It has no density that is worth the name: its image is the
    convex hull of the y_j, and where one w_j is nearly 1 the map is nearly constant. So it can only be sampled.
    """

    atoms: Tensor
    potential: Tensor
    epsilon: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, sources: int = 1024, atoms: int = 3000, iterations: int = 20, held_out: int = 500) -> None:
        """Hyper-parameters.

        sources: points of N(0, I), of a scrambled Sobol sequence: they carry less noise than independent ones.
        atoms: training points that are mapped to, at most.
        iterations: of Sinkhorn's algorithm at each ε; each starts from the potentials of the last.
        held_out: training points, twice, at most, that choose ε.
        """
        super().__init__()
        self.sources = sources
        self.most_atoms = atoms
        self.iterations = iterations
        self.held_out = held_out

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Halve ε from the dimension on, for as long as the map's samples come closer to held-out rows of x (n, d).

        Closer in W2² between equally many points, exact and debiased: W2²(P, Q) − ½ W2²(P, P′) − ½ W2²(Q, Q′). As ε
        falls the map loses its blur and begins to return its own training points. Sliced and energy distances hardly
        see that: by them the empirical law of m points is m^(−1/2) away in any dimension. By W2 it is m^(−1/d).
        """
        n, d = x.shape
        shift = x.mean(dim=0)
        scale = (x - shift).square().mean().sqrt().clamp_min(torch.finfo(x.dtype).tiny)
        y = ((x - shift) / scale)[torch.randperm(n, generator=generator)]
        held = max(1, min(self.held_out, n // 8))
        q, q2, y = y[:held], y[held : 2 * held], y[2 * held :][: self.most_atoms]
        draws = torch.randn(2 * held, d, generator=generator, dtype=x.dtype)
        z = _sobol_normal(self.sources, d, generator).to(x.dtype)
        cost = torch.cdist(z, y).square()
        self._hold(y, y.new_zeros(len(y)), x.new_tensor(float(d)), shift, scale)

        epsilon, start, least = float(d), None, torch.inf
        for _ in range(STAGES):
            start = _sinkhorn(cost, epsilon, budget.steps(self.iterations), start)
            p, p2 = _entropic_map(draws, y, start[1], epsilon).split(held)
            distance = _w2(p, q) + _w2(p2, q2) - _w2(p, p2) - _w2(q, q2)
            if not distance < least:
                break
            least = distance
            self._hold(y, start[1], x.new_tensor(epsilon), shift, scale)
            epsilon /= 2
        return History()

    def _hold(self, atoms: Tensor, potential: Tensor, epsilon: Tensor, shift: Tensor, scale: Tensor) -> None:
        self.register_buffer("atoms", atoms)
        self.register_buffer("potential", potential)
        self.register_buffer("epsilon", epsilon)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def transport(self, z: Tensor) -> Tensor:
        """T(z), (n, d), for z (n, d)."""
        return self.shift + self.scale * _entropic_map(z, self.atoms, self.potential, float(self.epsilon))

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n draws of N(0, I), transported; (n, d)."""
        return self.transport(torch.randn(n, len(self.shift), generator=generator, dtype=self.shift.dtype))


def _entropic_map(z: Tensor, atoms: Tensor, potential: Tensor, epsilon: float) -> Tensor:
    """The conditional mean of the entropic plan at z (n, d), from atoms (m, d) and their potential (m,): (n, d)."""
    heights = potential - atoms.square().sum(dim=1)  # of |z − y|² the part |z|² is the same for all atoms
    parts = [(heights + 2 * chunk @ atoms.T) / epsilon for chunk in z.split(CHUNK)]
    return torch.cat([logits.softmax(dim=1) @ atoms for logits in parts])


def _sinkhorn(
    cost: Tensor, epsilon: float, iterations: int, start: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """The potentials f (n,) and g (m,) of uniform marginals for cost (n, m), by POT's stabilised algorithm."""
    n, m = cost.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "did not converge": the next, smaller ε goes on from here
        _, log = ot.bregman.sinkhorn_stabilized(
            torch.full((n,), 1 / n, dtype=cost.dtype),
            torch.full((m,), 1 / m, dtype=cost.dtype),
            cost,
            epsilon,
            numItermax=iterations,
            tau=TAU,
            warmstart=start,
            print_period=iterations,
            log=True,
        )
    return log["warmstart"]


def _w2(p: Tensor, q: Tensor) -> float:
    """W2² between the empirical laws of two samples of the same size (n, d)."""
    return float(ot.emd2([], [], torch.cdist(p, q).square().numpy(), numItermax=10_000_000))


def _sobol_normal(n: int, d: int, generator: Generator) -> Tensor:
    """n points of N(0, I), (n, d), float64, from a scrambled Sobol sequence, which spreads them evenly."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    uniform = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(n, dtype=torch.float64)
    return torch.special.ndtri(uniform.clamp(1e-9, 1 - 1e-9))
