"""The optimal-transport map: x = ∇φ(z), z ~ N(0, I), φ strictly convex, with its exact density.

Brenier (1991) says that the optimal map from N(0, I) to the data is the gradient of a convex φ, and the only one. POT
solves the semi-discrete problem from N(0, I) to centres of the training set (Genevay et al. 2016), which puts the
pieces of φ where the mass is; maximum likelihood through the change of variables then makes a map of the potential
that generalises (CP-Flow, Huang et al. 2021), stopped by held-out training points.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from ot.gaussian import bures_wasserstein_mapping
from ot.semidiscrete import solve_semidiscrete
from sklearn.cluster import KMeans
from torch import Generator, Tensor

from models.base import Budget, BudgetExceededError, DensityModel, DivergedError, History, TransportModel
from models.potential import ConvexPotential, invert, invert_from_afar
from models.whitening import Whitening

STARTING_SLOPES = (0.25, 0.5, 1.0)
CHECKPOINTS = 20
CHUNK = 4096
CLIP = 1.0
STARTS = 1024


class OTMap(DensityModel, TransportModel):
    """x = T(z) = ∇φ(z), the Brenier map of N(0, I) to its own image, fitted by maximum likelihood.

        log p(x) = log N(z; 0, I) − log det ∇²φ(z),    z = (∇φ)⁻¹(x) = argmax_z x·z − φ(z).

    Data enters shifted by its mean and divided by one scalar: of all linear maps only those keep an optimal map
    optimal, so the anisotropy is left to φ (see `ConvexPotential`).
    """

    potential: ConvexPotential
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        pieces: int | None = None,
        rank: int = 16,
        ridges: int | None = None,
        softness: float = 0.4,
        steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float = 0.035,
        holdout: float = 0.1,
    ) -> None:
        """Hyper-parameters.

        pieces: how many quadratics φ is the soft maximum of; None is 256 / d, at least 16 and at most 64.
        rank: the largest rank of a piece's own curvature A_j; 0 makes the pieces affine, as in semi-discrete transport.
        ridges: how many ridge functions φ has beside the soft maximum; None is 16 · d, at most 128.
        softness: the initial temperature ε of the soft maximum, as a multiple of the spread within a cell; it is
            learned.
        steps, batch_size: of Adam; from 32 dimensions up both are scaled by 32 / d, because a step costs d³.
        learning_rate: in units of √ε, annealed by a cosine: in a softer maximum parameters may move farther; from 16
            dimensions up times 16 / d, because Adam moves d coordinates of every vector at once.
        holdout: the share of the training set (at most 500 points) that chooses the checkpoint.
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
        """Begin as the closed-form map of the moment-matched Gaussian (Bures–Wasserstein), ∇φ(z) = m + Σ^½ z."""
        d = x.shape[1]
        root = Whitening(x).root
        scale = root.diagonal().mean()
        widths, axes = torch.linalg.eigh(root / scale)
        self.register_buffer("shift", x.mean(dim=0))
        self.register_buffer("scale", scale)
        pieces = min(64, max(16, 256 // d)) if self.pieces is None else self.pieces
        ridges = min(128, 16 * d) if self.ridges is None else self.ridges
        self.potential = ConvexPotential((axes * widths.sqrt()) @ axes.T, pieces, min(self.rank, d), ridges)

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """Semi-discrete start, then maximum likelihood on x (n, d)."""
        started = time.process_time()
        self.build(x, generator)
        count = sum(parameter.numel() for parameter in self.parameters())
        if budget.parameters is not None and count > budget.parameters:
            raise BudgetExceededError(f"{count:,} parameters, and the suite allows {budget.parameters:,}")
        x = (x - self.shift) / self.scale
        order = torch.randperm(len(x), generator=generator)
        held = min(500, max(1, int(self.holdout * len(x))))
        held_out, x = x[order[:held]], x[order[held:]]
        gaussian = copy.deepcopy(self.potential.state_dict())
        by_gaussian, _ = self._log_prob(held_out)

        self._start_from_semidiscrete(x, held_out, generator, budget.steps(1000))
        history, best = self._maximise_likelihood(x, held_out, generator, budget, started)

        # The Gaussian's map is a point of this family that needs no training: it stays where held-out points prefer it.
        self.potential.load_state_dict(best)
        if not self._log_prob(held_out)[0].mean() > by_gaussian.mean():
            self.potential.load_state_dict(gaussian)
        self.requires_grad_(False)
        return history

    def _start_from_semidiscrete(self, x: Tensor, held_out: Tensor, generator: Generator, iterations: int) -> None:
        """Pieces at the centres y_j of x (n, d), at the heights for which each one's cell has its share of N(0, I).

        POT's cost is |z − y|²: its potential g and regularisation 2ε give h_j = (g_j − |y_j|²)/2 + ε log b_j.
        """
        n, d = x.shape
        pieces = len(self.potential.atoms)
        frame = self.potential.frame
        whitened = torch.linalg.solve(frame @ frame, x.T).T
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        centres = min(pieces, max(1, n // 4))
        cluster = KMeans(centres, n_init=1, max_iter=20, random_state=seed)
        label = torch.from_numpy(cluster.fit_predict(whitened.numpy())).long()
        members = torch.nn.functional.one_hot(label, centres).to(x.dtype)
        share = members.mean(dim=0).clamp_min(1 / n)
        share = share / share.sum()
        y = members.T @ x / members.sum(dim=0).clamp_min(1)[:, None]

        whitened_y = torch.linalg.solve(frame @ frame, y.T).T
        spread = max(float((whitened - whitened_y[label]).square().mean().sqrt()), 1e-3)
        epsilon = self.softness * spread

        # In units in which the cost is about one: POT's step sizes suppose it.
        unit = (y.square().sum(1).mean() + d).sqrt()
        g = solve_semidiscrete(
            y / unit,
            lambda batch: torch.randn(batch, d, generator=generator, dtype=x.dtype) / unit,
            a_target=share,
            reg=float(2 * epsilon / unit**2),
            max_iter=iterations,
            batch_size=64,
            lr0=1.0,
            decreasing_reg_initial_eps=0.5,
        )
        h = (g * unit**2 - y.square().sum(1)) / 2 + epsilon * share.log()

        # Each piece maps its cell of N(0, I) to its cluster as their moments say, keeping its value at the cell's mean.
        # Separated clusters need all of that slope; where the map is smooth the soft maximum supplies part of it.
        z = torch.randn(max(100 * centres, 2048), d, generator=generator, dtype=x.dtype)
        z_mean, z_covariance = _moments(z, (z @ y.T + h).argmax(dim=1), centres)
        y_mean, y_covariance = _moments(x, label, centres)
        moments = zip(z_mean, y_mean, z_covariance, y_covariance, strict=True)
        linear = torch.stack([bures_wasserstein_mapping(*each)[0] for each in moments])
        repeat = torch.arange(pieces) % centres  # few points: some centres serve more than one piece
        best, best_value = self.potential.state_dict(), -math.inf
        for share_of_slope in STARTING_SLOPES:
            slopes = share_of_slope * linear
            bent = (slopes @ z_mean[..., None])[..., 0]
            atoms, heights = y_mean - bent, h + (z_mean * (y - y_mean + 0.5 * bent)).sum(1)
            self.potential.place(atoms[repeat], heights[repeat], slopes[repeat], 0.3 * spread, epsilon, generator)
            value = float(self._log_prob(held_out, tolerance=1e-3)[0].mean())
            if value > best_value:
                best, best_value = copy.deepcopy(self.potential.state_dict()), value
        self.potential.load_state_dict(best)

    def _maximise_likelihood(
        self, x: Tensor, held_out: Tensor, generator: Generator, budget: Budget, started: float
    ) -> tuple[History, dict[str, Tensor]]:
        """Adam on −log p of minibatches of x (n, d); the history and the parameters that held_out likes best.

        Each point keeps its z from visit to visit. One more Newton step, z(θ) = z − [∇²φ]⁻¹(∇φ_θ(z) − x) with the
        bracket held fixed, has the value of the inverse map and, by the implicit function theorem, its gradient.
        """
        potential = self.potential
        d = x.shape[1]
        steps = budget.steps(round(self.steps * min(1.0, 32 / d)))
        batch = min(len(x), round(self.batch_size * min(1.0, 32 / d)))
        groups: list[dict[str, Any]] = [
            {"params": [value for name, value in potential.named_parameters() if name != "log_epsilon"]},
            {"params": [potential.log_epsilon], "lr": 0.04},
        ]
        rate = self.learning_rate * float(potential.log_epsilon.detach().exp().sqrt()) * min(1.0, 16 / d)
        optimiser = torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99))
        warmup = max(1, steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        constant = self._log_constant()
        history = History()
        best, best_loss = copy.deepcopy(potential.state_dict()), math.inf
        z_of, z_held_out = self._nearest_draws(x), self._nearest_draws(held_out)
        every = max(1, steps // CHECKPOINTS)
        running, since = torch.zeros((), dtype=x.dtype), 0

        for step in range(1, steps + 1):
            index = torch.randint(len(x), (batch,), generator=generator)
            target = x[index]
            z, inverse, log_det, near = self._track(target, z_of[index])
            z = z - (inverse @ (potential.gradient(z) - target)[..., None])[..., 0]
            z_of[index] = z.detach()
            _, hessian = potential.derivatives(z)
            # tr(H⁻¹ dH) = d log det H: the gradient of log det without its graph.
            surrogate = 0.5 * z.square().sum(1) + (inverse * hessian).sum((1, 2))
            loss = (surrogate * near).sum() / near.sum().clamp_min(1)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(potential.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            exact = 0.5 * z.detach().square().sum(1) + log_det
            running += (exact * near).sum() / near.sum().clamp_min(1)
            since += 1
            if step % every and step < steps:
                continue

            if not all(value.isfinite().all() for value in (running, *potential.parameters())):
                raise DivergedError(f"the training loss is not finite by step {step} of {steps}")
            by_map, z_held_out = self._log_prob(held_out, z_held_out, tolerance=1e-3)
            validation = -float(by_map.mean())
            history.step.append(step)
            history.training.append(float(running / since - constant))
            history.validation.append(validation)
            if validation < best_loss:
                best, best_loss = copy.deepcopy(potential.state_dict()), validation
            if budget.cpu_seconds is not None and time.process_time() - started > budget.cpu_seconds:
                raise BudgetExceededError(
                    f"training used more than {budget.cpu_seconds:g} CPU seconds by step {step} of {steps}"
                )
            running, since = torch.zeros_like(running), 0
        return history, best

    @torch.no_grad()
    def _track(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z near (∇φ)⁻¹(x) from where it was, [∇²φ]⁻¹ and log det ∇²φ there, and which rows are near.

        Shapes (b, d), (b, d, d), (b,), (b,).
        """
        gradient, hessian = self.potential.derivatives(z)
        size = 1 + x.norm(dim=1)
        residual = (gradient - x).norm(dim=1) / size
        far = (residual > 0.05).nonzero()[:, 0]
        if len(far):
            z[far], _ = invert(self.potential, x[far], z[far], iterations=8, tolerance=0.01)
            gradient, hessian[far] = self.potential.derivatives(z[far])
            residual[far] = (gradient - x[far]).norm(dim=1) / size[far]
        factor = torch.linalg.cholesky_ex(hessian)[0]
        log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
        return z, torch.cholesky_inverse(factor), log_det, residual < 0.1

    @torch.no_grad()
    def _nearest_draws(self, x: Tensor) -> Tensor:
        """A start for the inverse of x (n, d): of a fixed set of draws from N(0, I), the one whose image is nearest."""
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(STARTS, x.shape[1], generator=generator, dtype=x.dtype)
        images = self.potential.gradient(draws)
        return draws[torch.cat([torch.cdist(chunk, images).argmin(dim=1) for chunk in x.split(CHUNK)])]

    def _log_constant(self) -> float:
        d = len(self.shift)
        return -0.5 * d * math.log(2 * math.pi) - d * float(self.scale.log())

    @torch.no_grad()
    def _log_prob(self, x: Tensor, start: Tensor | None = None, tolerance: float = 1e-9) -> tuple[Tensor, Tensor]:
        """log p in the data's units, (n,), of shifted and scaled x (n, d), −∞ where it is not found; and z (n, d)."""
        start = self._nearest_draws(x) if start is None else start
        z, converged = invert_from_afar(self.potential, x, start, tolerance)
        _, hessian = self.potential.derivatives(z)
        log_det = 2 * torch.linalg.cholesky_ex(hessian)[0].diagonal(dim1=1, dim2=2).log().sum(1)
        log_prob = self._log_constant() - 0.5 * z.square().sum(1) - log_det
        return torch.where(converged, log_prob, -math.inf), z

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log N(z; 0, I) − log det ∇²φ(z), (n,), for x (n, d).

        Raises ArithmeticError where the map could not be inverted (a point that is not finite).
        """
        log_prob = torch.cat([self._log_prob(chunk)[0] for chunk in ((x - self.shift) / self.scale).split(CHUNK)])
        if log_prob.isneginf().any():
            raise ArithmeticError(f"Newton's method did not invert the map at {int(log_prob.isneginf().sum())} points")
        return log_prob

    @torch.no_grad()
    def transport(self, z: Tensor) -> Tensor:
        """T(z) = ∇φ(z), (n, d), for z (n, d): the optimal map from N(0, I) to p."""
        return torch.cat([self.shift + self.scale * self.potential.gradient(chunk) for chunk in z.split(CHUNK)])

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n draws of N(0, I), transported; (n, d)."""
        return self.transport(torch.randn(n, len(self.shift), generator=generator, dtype=torch.float64))


def _moments(x: Tensor, label: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean (K, d) and covariance (K, d, d) of each group of the rows of x, shrunk to the average group's where few."""
    n, d = x.shape
    members = torch.nn.functional.one_hot(label, groups).to(x.dtype)
    count = members.sum(dim=0)
    mean = members.T @ x / count.clamp_min(1)[:, None]
    centred = x - mean[label]
    scatter = (members.T @ (centred[:, :, None] * centred[:, None, :]).flatten(1)).view(groups, d, d)
    pooled = scatter.sum(dim=0) / n
    pooled = pooled + 1e-6 * pooled.diagonal().mean().clamp_min(1e-6) * torch.eye(d, dtype=x.dtype)
    return mean, (scatter + d * pooled) / (count + d)[:, None, None]
