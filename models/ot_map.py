"""The optimal-transport map: x = ∇φ(z), z ~ N(0, I), φ strictly convex, with its exact density.

Brenier (1991) says that the optimal map from N(0, I) to the data is the gradient of a convex φ, and the only one. A
semi-discrete transport plan puts the pieces of φ where the mass is (see `semidiscrete`); maximum likelihood through the
change of variables then makes a map of the potential that generalises (CP-Flow, Huang et al. 2021), stopped by held-out
training points.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from torch import Generator, Tensor

from models.base import Budget, BudgetExceededError, DensityModel, DivergedError, History, TransportModel
from models.convex_inverse import invert, invert_from_afar
from models.potential import ConvexPotential
from models.semidiscrete import semidiscrete_starts
from models.whitening import Whitening

CHECKPOINTS = 15
CHUNK = 4096
CLIP = 1.0
STARTS = 1024
RETRY = 0.2


class OTMap(DensityModel, TransportModel):
    """x = T(z) = ∇φ(z), φ(z) = m·z + s ψ(R z), the Brenier map of N(0, I) to its own image, by maximum likelihood.

        log p(x) = log N(z; 0, I) − log det s R ∇²ψ(u) R,    u = R z = argmax_u u·y − ψ(u),    y = R⁻¹(x − m) / s.

    With R² s = Σ^½, Σ the covariance of the data, u and y meet halfway: both have covariance R², so that ψ's Hessian
    is well conditioned however the data are, and φ is convex with ψ. Whitening the data alone would not do: a map that
    is optimal for whitened data is not, in general, for the data.
    """

    potential: ConvexPotential
    shift: Tensor
    scale: Tensor
    frame: Tensor

    def __init__(
        self,
        pieces: int | None = None,
        rank: int = 16,
        ridges: int | None = None,
        softness: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 0.035,
        holdout: float = 0.1,
    ) -> None:
        """Hyper-parameters.

        pieces: how many quadratics ψ is the soft maximum of; None is 256 / d, at least 16 and at most 64.
        rank: the largest rank of a piece's own curvature A_j; 0 makes the pieces affine, as in semi-discrete transport.
        ridges: how many ridge functions ψ has beside the soft maximum; None is 16 · d, at most 128.
        softness: the initial temperature ε of the soft maximum, as a multiple of the spread within a cell; it is
            learned. None is 0.2 in the plane, where modes are torn apart most sharply, and 0.4 otherwise.
        steps, batch_size: of Adam; None is 600 of 256 points in the plane, 900 of 128 otherwise. From 32 dimensions
            up both are scaled by 32 / d, because a step costs d³.
        learning_rate: in units of √ε, annealed by a cosine: in a softer maximum parameters may move farther; from 16
            dimensions up times 16 / d, because Adam moves d coordinates of every vector at once.
        holdout: the share of the training set (at most 500 points) that chooses the start and the checkpoint.
        """
        super().__init__()
        self.pieces = pieces
        self.rank = rank
        self.ridges = ridges
        self.softness = softness
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.holdout = holdout

    def build(self, x: Tensor, generator: Generator) -> None:
        """Begin as the closed-form map of the moment-matched Gaussian (Bures–Wasserstein), T(z) = m + Σ^½ z."""
        d = x.shape[1]
        root = Whitening(x).root
        scale = root.diagonal().mean()
        widths, axes = torch.linalg.eigh(root / scale)
        self.register_buffer("shift", x.mean(dim=0))
        self.register_buffer("scale", scale)
        self.register_buffer("frame", (axes * widths.sqrt()) @ axes.T)
        pieces = min(64, max(16, 256 // d)) if self.pieces is None else self.pieces
        ridges = min(128, 16 * d) if self.ridges is None else self.ridges
        self.potential = ConvexPotential(self.frame, pieces, min(self.rank, d), ridges)

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Semi-discrete start, then maximum likelihood on x (n, d); held-out rows of x choose what is kept.

        Training that diverges is tried once more, from the same start and with a fifth of the learning rate. Raises
        DivergedError if that diverges too, BudgetExceededError past the time, ValueError past the number of parameters.
        """
        started = time.process_time()
        self.build(x, generator)
        count = sum(parameter.numel() for parameter in self.parameters())
        if budget.parameters is not None and count > budget.parameters:
            raise ValueError(f"{count:,} parameters, and the suite allows {budget.parameters:,}")
        y = self._halfway(x)
        order = torch.randperm(len(y), generator=generator)
        held = min(500, max(1, int(self.holdout * len(y))))
        held_out, y = y[order[:held]], y[order[held:]]

        def score() -> float:
            return float(self._log_prob(held_out, tolerance=1e-3)[0].mean())

        softness = (0.2 if len(self.shift) == 2 else 0.4) if self.softness is None else self.softness
        # The Gaussian's map is a point of this family that needs no training: it stays where held-out points prefer it.
        gaussian, by_gaussian = copy.deepcopy(self.potential.state_dict()), score()
        starts = [
            (score(), copy.deepcopy(potential.state_dict()))
            for potential in semidiscrete_starts(self.potential, y, softness, budget.effort, generator)
        ]
        _check_time(budget, started, "the start")
        _, start = max(starts, key=lambda pair: pair[0])
        self.potential.load_state_dict(start)
        try:
            history = self._maximise_likelihood(y, held_out, generator, budget, started, self.learning_rate)
        except DivergedError:
            self.potential.double().load_state_dict(start)
            history = self._maximise_likelihood(y, held_out, generator, budget, started, RETRY * self.learning_rate)
        if not score() > by_gaussian:
            self.potential.load_state_dict(gaussian)
        self.requires_grad_(False)
        return history

    def _maximise_likelihood(
        self, y: Tensor, held_out: Tensor, generator: Generator, budget: Budget, started: float, learning_rate: float
    ) -> History:
        """Adam on −log p of minibatches of y (n, d); leaves the parameters that held_out likes best.

        Each point keeps its u from visit to visit. One more Newton step, u(θ) = u − [∇²ψ]⁻¹(∇ψ_θ(u) − y) with the
        bracket held fixed, has the value of the inverse map and, by the implicit function theorem, its gradient.
        Single precision is enough here: what is kept is inverted and scored in double.
        """
        potential = self.potential.float()
        y, held_out, whiten = y.float(), held_out.float(), torch.linalg.inv(self.frame).float()
        d = y.shape[1]
        shrink = min(1.0, 32 / d)
        default_steps, default_batch = (600, 256) if d == 2 else (900, 128)
        steps = budget.steps(round(shrink * (default_steps if self.steps is None else self.steps)))
        batch = min(len(y), round(shrink * (default_batch if self.batch_size is None else self.batch_size)))
        optimiser = self._optimiser(learning_rate)
        warmup = max(1, steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        history = History()
        best, best_loss = copy.deepcopy(potential.state_dict()), math.inf
        u_of, u_held_out = self._nearest_draws(y), self._nearest_draws(held_out)
        every = max(1, steps // CHECKPOINTS)
        running, since = torch.zeros(()), 0

        for step in range(1, steps + 1):
            index = torch.randint(len(y), (batch,), generator=generator)
            target = y[index]
            u, inverse, log_det, near = self._track(target, u_of[index])
            u = u - (inverse @ (potential.gradient(u) - target)[..., None])[..., 0]
            u_of[index] = u.detach()
            _, hessian = potential.derivatives(u)
            # tr(H⁻¹ dH) = d log det H: the gradient of log det without its graph.
            energy = 0.5 * (u @ whiten).square().sum(1)
            surrogate = energy + (inverse * hessian).sum((1, 2))
            found = near.sum().clamp_min(1)
            optimiser.zero_grad()
            ((surrogate * near).sum() / found).backward()
            torch.nn.utils.clip_grad_norm_(potential.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            running += ((energy.detach() + log_det) * near).sum() / found
            since += 1
            if step % every and step < steps:
                continue

            if not all(value.isfinite().all() for value in (running, *potential.parameters())):
                raise DivergedError(f"the training loss is not finite by step {step} of {steps}")
            by_map, u_held_out = self._log_prob(held_out, u_held_out, tolerance=1e-3)
            validation = -float(by_map.mean())
            history.step.append(step)
            history.training.append(float(running / since) - self._log_constant())
            history.validation.append(validation)
            if validation < best_loss:
                best, best_loss = copy.deepcopy(potential.state_dict()), validation
            _check_time(budget, started, f"step {step} of {steps}")
            running, since = torch.zeros(()), 0
        potential.double().load_state_dict(best)
        return history

    def _optimiser(self, learning_rate: float) -> torch.optim.Optimizer:
        """Adam, with a rate for each kind of parameter."""
        potential = self.potential
        rate = learning_rate * float(potential.log_epsilon.detach().exp().sqrt()) * min(1.0, 16 / len(self.shift))
        # The pieces begin where they belong, the ridges at random: they have farther to go.
        pieces = [potential.base, potential.curvature, potential.atoms, potential.heights]
        ridges = [potential.directions, potential.offsets, potential.strengths]
        groups: list[dict[str, Any]] = [
            {"params": pieces},
            {"params": ridges, "lr": 3 * rate},
            {"params": [potential.log_epsilon], "lr": 0.04},
        ]
        return torch.optim.Adam(
            groups,
            lr=rate,
            betas=(0.9, 0.99),
            fused=True,
        )

    @torch.no_grad()
    def _track(self, y: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """u near (∇ψ)⁻¹(y) from where it was, [∇²ψ]⁻¹ and log det ∇²ψ there, and which rows are near.

        Shapes (b, d), (b, d, d), (b,), (b,).
        """
        gradient, hessian = self.potential.derivatives(u)
        size = 1 + y.norm(dim=1)
        residual = (gradient - y).norm(dim=1) / size
        far = (residual > 0.05).nonzero()[:, 0]
        if len(far):
            u[far], _ = invert(self.potential, y[far], u[far], iterations=8, tolerance=0.01)
            gradient, hessian[far] = self.potential.derivatives(u[far])
            residual[far] = (gradient - y[far]).norm(dim=1) / size[far]
        factor = torch.linalg.cholesky_ex(hessian)[0]
        return u, torch.cholesky_inverse(factor), _log_det(factor), residual < 0.1

    @torch.no_grad()
    def _nearest_draws(self, y: Tensor) -> Tensor:
        """A start for the inverse of y (n, d): of a fixed set of draws of N(0, R²), the one with the nearest image."""
        generator = torch.Generator().manual_seed(0)
        draws = (torch.randn(STARTS, y.shape[1], generator=generator, dtype=torch.float64) @ self.frame).to(y.dtype)
        images = self.potential.gradient(draws)
        return draws[torch.cat([torch.cdist(chunk, images).argmin(dim=1) for chunk in y.split(CHUNK)])]

    def _halfway(self, x: Tensor) -> Tensor:
        """y = R⁻¹(x − m) / s, (n, d), for x (n, d)."""
        return torch.linalg.solve(self.frame, ((x - self.shift) / self.scale).T).T

    def _log_constant(self) -> float:
        """−½ d log 2π − log det s R²."""
        d = len(self.shift)
        return -d * (0.5 * math.log(2 * math.pi) + float(self.scale.log())) - 2 * float(torch.logdet(self.frame))

    @torch.no_grad()
    def _log_prob(self, y: Tensor, start: Tensor | None = None, tolerance: float = 1e-9) -> tuple[Tensor, Tensor]:
        """log p in the data's units, (n,), at y (n, d), −∞ where y could not be inverted; and u (n, d)."""
        start = self._nearest_draws(y) if start is None else start
        u, converged = invert_from_afar(self.potential, y, start, tolerance)
        _, hessian = self.potential.derivatives(u)
        z = u @ torch.linalg.inv(self.frame).to(u.dtype)
        log_prob = self._log_constant() - 0.5 * z.square().sum(1) - _log_det(torch.linalg.cholesky_ex(hessian)[0])
        return torch.where(converged, log_prob, -math.inf), u

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log N(z; 0, I) − log det ∇²φ(z), (n,), for x (n, d).

        Raises ArithmeticError where the map could not be inverted (a point that is not finite).
        """
        log_prob = torch.cat([self._log_prob(chunk)[0] for chunk in self._halfway(x).split(CHUNK)])
        if log_prob.isneginf().any():
            raise ArithmeticError(f"Newton's method did not invert the map at {int(log_prob.isneginf().sum())} points")
        return log_prob

    @torch.no_grad()
    def transport(self, z: Tensor) -> Tensor:
        """T(z) = m + s R ∇ψ(R z), (n, d), for z (n, d): the optimal map from N(0, I) to p."""
        images = [self.potential.gradient(chunk @ self.frame) @ self.frame for chunk in z.split(CHUNK)]
        return self.shift + self.scale * torch.cat(images)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n samples T(z), z ~ N(0, I), (n, d)."""
        return self.transport(torch.randn(n, len(self.shift), generator=generator, dtype=self.shift.dtype))


def _log_det(factor: Tensor) -> Tensor:
    """log det L Lᵀ, (n,), for Cholesky factors L (n, d, d)."""
    return 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)


def _check_time(budget: Budget, started: float, by: str) -> None:
    if budget.cpu_seconds is not None and time.process_time() - started > budget.cpu_seconds:
        raise BudgetExceededError(f"training used more than {budget.cpu_seconds:g} CPU seconds by {by}")
