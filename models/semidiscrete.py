"""A start for a convex potential: semi-discrete transport from a Gaussian to centres of the data (Genevay et al. 2016).

It puts the pieces of the potential where the mass is, each with its share of the Gaussian, before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from ot.gaussian import bures_wasserstein_mapping
from ot.semidiscrete import solve_semidiscrete
from sklearn.cluster import KMeans
from torch import Generator, Tensor

from models.potential import ConvexPotential

STARTING_SLOPES = (0.25, 0.5, 1.0)
ITERATIONS = 1000


def semidiscrete_starts(
    potential: ConvexPotential, x: Tensor, softness: float, effort: float, generator: Generator
) -> Iterator[ConvexPotential]:
    """`potential`, with its pieces at the centres y_j of x (n, d), once for each share of slope they can begin with.

    The heights are those for which each piece's cell has its share b_j of N(0, R²), R the potential's frame. POT's cost
    is |u − y|²: its potential g and regularisation 2ε give h_j = (g_j − |y_j|²)/2 + ε log b_j.
    """
    n, d = x.shape
    pieces = len(potential.atoms)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    centres = min(pieces, max(1, n // 4))
    whitened = torch.linalg.solve(potential.frame, x.T).T
    label = torch.from_numpy(
        KMeans(centres, n_init=1, max_iter=20, random_state=seed).fit_predict(whitened.numpy())
    ).long()
    y_mean, y_covariance, share = _moments(x, label, centres)
    share = share.clamp_min(1 / n)
    share = share / share.sum()
    spread = max(
        float((whitened - torch.linalg.solve(potential.frame, y_mean.T).T[label]).square().mean().sqrt()), 1e-3
    )
    epsilon = softness * spread

    def source(count: int) -> Tensor:
        return torch.randn(count, d, generator=generator, dtype=x.dtype) @ potential.frame

    # In units in which the cost is about one: POT's step sizes suppose it.
    unit = (y_mean.square().sum(1).mean() + potential.frame.square().sum()).sqrt()
    g = solve_semidiscrete(
        y_mean / unit,
        lambda batch: source(batch) / unit,
        a_target=share,
        reg=float(2 * epsilon / unit**2),
        max_iter=max(1, round(effort * ITERATIONS)),
        batch_size=64,
        lr0=1.0,
        decreasing_reg_initial_eps=0.5,
    )
    h = (g * unit**2 - y_mean.square().sum(1)) / 2 + epsilon * share.log()

    # Each piece maps its cell of the source to its cluster as their moments say, keeping its value at the cell's mean.
    # Separated clusters need all of that slope; where the map is smooth the soft maximum supplies part of it.
    u = source(max(100 * centres, 2048))
    u_mean, u_covariance, _ = _moments(u, (u @ y_mean.T + h).argmax(dim=1), centres)
    moments = zip(u_mean, y_mean, u_covariance, y_covariance, strict=True)
    linear = torch.stack([bures_wasserstein_mapping(*each)[0] for each in moments])
    repeat = torch.arange(pieces) % centres  # few points: some centres serve more than one piece
    for share_of_slope in STARTING_SLOPES:
        slopes = share_of_slope * linear
        bent = (slopes @ u_mean[..., None])[..., 0]
        atoms, heights = y_mean - bent, h + 0.5 * (u_mean * bent).sum(1)
        potential.place(atoms[repeat], heights[repeat], slopes[repeat], 0.3 * spread, epsilon, generator)
        yield potential


def _moments(x: Tensor, label: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (K, d), covariance (K, d, d), shrunk to the average group's where few, and share (K,) of groups of x."""
    n, d = x.shape
    members = torch.nn.functional.one_hot(label, groups).to(x.dtype)
    count = members.sum(dim=0)
    mean = members.T @ x / count.clamp_min(1)[:, None]
    centred = x - mean[label]
    scatter = torch.stack([centred[label == group].T @ centred[label == group] for group in range(groups)])
    pooled = scatter.sum(dim=0) / n
    pooled = pooled + 1e-6 * pooled.diagonal().mean().clamp_min(1e-6) * torch.eye(d, dtype=x.dtype)
    return mean, (scatter + d * pooled) / (count + d)[:, None, None], count / n
