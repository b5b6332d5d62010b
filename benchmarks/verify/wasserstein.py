"""The Wasserstein distances against closed forms, quadrature and other solvers."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import expon, laplace, norm, rv_continuous, uniform
from torch import Generator

from benchmarks import lookup
from benchmarks.targets.base import ExactTarget, TransportTarget
from benchmarks.verify import closed_forms, draws
from benchmarks.verify.check import Check
from benchmarks.verify.draws import Array, mean_and_error
from metrics.debiasing import shrinkage
from metrics.score import Score
from metrics.sliced import draw_directions, sliced_scores, slices
from metrics.transport import solve, solve_sorted
from metrics.wasserstein import self_transports, w1_scores, w2_scores, w2_scores_on_the_line

GROUP = "Wasserstein"
BATCHES, SIZE = 8, 500


def gaussians(generator: Generator) -> list[Check]:
    """Two Gaussians with general covariances, a tenth apart, and a shift: Bures–Wasserstein.

    As everywhere here, the error of a debiased W2² holds the allowance for shrinkage, its bias at finite n.
    """
    checks = []
    for d in (1, 2, 4, 8, 16, 32, 64):
        (mean, root), (mean2, root2) = _two_gaussians(d, generator)
        truth = closed_forms.bures_wasserstein(mean, root @ root.T, mean2, root2 @ root2.T)
        n = 50_000 if d == 1 else BATCHES * SIZE
        z = draws.normal(generator, 4, n, d)
        score = _debiased(mean + z[0] @ root.T, mean + z[1] @ root.T, mean2 + z[2] @ root2.T, mean2 + z[3] @ root2.T)
        checks.append(_line(f"W2² of two Gaussians, d = {d}", truth, score, "Dowson & Landau 1982"))
    return checks


def equal_laws(generator: Generator) -> list[Check]:
    """Nothing is left of the noise floor when both laws are the same."""
    checks = []
    for d in (1, 2, 16, 64):
        score = _debiased(*draws.normal(generator, 4, BATCHES * SIZE, d))
        checks.append(_line(f"W2² of equal Gaussians, d = {d}", 0.0, score, "a law is at distance 0 from itself"))
    return checks


def known_maps(generator: Generator) -> list[Check]:
    """Laws that the gradient of a convex function maps to each other: W2² is what the map costs (Brenier 1991)."""
    checks = []
    for name in ("eight_gaussians", "gaussian_mixture_16d"):
        target: ExactTarget = lookup.find("target", name).load()()
        p, p2, q, q2 = (target.sample(BATCHES * SIZE, generator).numpy() for _ in range(4))
        truth = 0.01 * float(target.sample(400_000, generator).square().sum(1).mean())
        checks.append(
            _line(f"W2² of {name} blown up by a tenth", truth, _debiased(1.1 * p, 1.1 * p2, q, q2), "0.01 E|x|²")
        )
    for name in ("brenier_2d", "brenier_8d"):
        brenier: TransportTarget = lookup.find("target", name).load()()
        q, q2 = (brenier.sample(BATCHES * SIZE, generator).numpy() for _ in range(2))
        z = draws.normal(generator, 2, BATCHES * SIZE, brenier.dimension)
        cost, _ = _cost_of_map(brenier, generator)
        checks.append(_line(f"W2² of N(0, I) and {name}", cost, _debiased(z[0], z[1], q, q2), "E|∇φ(z) − z|²"))
    return checks


def on_the_line(generator: Generator) -> list[Check]:
    """W1 and W2² between unlike laws: the quantile functions, by adaptive quadrature."""
    pairs: dict[str, tuple[rv_continuous, rv_continuous]] = {
        "Laplace and normal": (laplace(), norm()),
        "exponential and normal": (expon(), norm(loc=1)),
        "uniform and normal": (uniform(-1.5, 3), norm()),
        "normal and its shift by 0.3": (norm(loc=0.3), norm()),
    }
    checks = []
    for name, (law, law2) in pairs.items():
        p, p2 = draws.sample(law, generator, 2, 50_000)
        q, q2 = draws.sample(law2, generator, 2, 50_000)
        source = "∫ |F⁻¹ − G⁻¹|^r du, SciPy's adaptive quadrature"
        for power, score in ((1, w1_scores(p, p2, q, q2)[0]), (2, w2_scores_on_the_line(p, p2, q, q2)[0])):
            truth = closed_forms.quantile_distance(law, law2, power)
            checks.append(_line(f"W{power}{'²' if power == 2 else ''} of {name}", truth, score, source))
    return checks


def sliced(generator: Generator) -> list[Check]:
    """Sliced W2² of two Gaussians, over the sphere and along the directions that were used."""
    checks = []
    for d in (2, 8, 64):
        (mean, root), (mean2, root2) = _two_gaussians(d, generator)
        laws = mean, root @ root.T, mean2, root2 @ root2.T
        z = draws.normal(generator, 4, 10_000, d)
        p, p2, q, q2 = mean + z[0] @ root.T, mean + z[1] @ root.T, mean2 + z[2] @ root2.T, mean2 + z[3] @ root2.T
        directions = draw_directions(d, 96, generator)
        score = sliced_scores(p, p2, q, q2, slices(q, q2, directions))[0]
        source = "W2² of two normal laws on the line, averaged over {}"
        used = float(closed_forms.projected_gaussians(*laws, directions.astype(np.float64)).mean())
        checks.append(_line(f"sliced W2² of Gaussians, d = {d}, its directions", used, score, source.format("them")))
        many = draw_directions(d, 200_000, generator).astype(np.float64)
        sphere = float(closed_forms.projected_gaussians(*laws, many).mean())
        checks.append(_line(f"sliced W2² of Gaussians, d = {d}, the sphere", sphere, score, source.format("200,000")))
    return checks


def assignment(generator: Generator) -> list[Check]:
    """The network simplex, and sorting, against SciPy's linear assignment."""
    checks = []
    source = "scipy.optimize.linear_sum_assignment"
    for d in (2, 16, 64):
        x, y = draws.normal(generator, 2, 400, d)
        costs = cdist(x, 1.5 * y, "sqeuclidean")
        best = costs[linear_sum_assignment(costs)].mean()
        got = solve(x, 1.5 * y).cost / best
        checks.append(
            Check(GROUP, f"network simplex / best assignment, d = {d}", 1.0, got, 0.0, source, tolerance=1e-10)
        )
    x, y = np.sort(draws.normal(generator, 2, 400), axis=1)
    for power in (1, 2):
        costs = abs(x[:, None] - (2 * y + 1)) ** power
        got = solve_sorted(x, 2 * y + 1, power).cost / costs[linear_sum_assignment(costs)].mean()
        name = f"sorting / best assignment, |x − y|^{power}"
        checks.append(Check(GROUP, name, 1.0, got, 0.0, source, tolerance=1e-10))
    return checks


def potentials(generator: Generator) -> list[Check]:
    """Kantorovich potentials are feasible everywhere, and their means are the cost (strong duality)."""
    checks = []
    for d in (1, 2, 16):
        x, y = np.sort(draws.normal(generator, 2, 300, d), axis=1) if d == 1 else draws.normal(generator, 2, 300, d)
        transport = solve_sorted(x[:, 0], y[:, 0], 2) if d == 1 else solve(x, y)
        excess = float((transport.f[:, None] + transport.g - cdist(x, y, "sqeuclidean")).max())
        dual = float(transport.f.mean() + transport.g.mean())
        name = f"potentials, d = {d}: "
        checks.append(Check(GROUP, f"{name}largest f + g − c", 1e-9, excess, 0.0, "feasibility", "at most"))
        checks.append(Check(GROUP, f"{name}mean f + mean g", transport.cost, dual, 0.0, "duality", tolerance=1e-9))
    return checks


def allowance(generator: Generator) -> list[Check]:
    """In high dimension debiased W2² falls short where spreads differ, by what `shrinkage` says.

    A Gaussian and itself scaled, far from each other so that the shortfall is many standard errors.
    """
    checks = []
    for scale in (1.25, 1.5):
        short, predicted = [], []
        for _ in range(12):
            p, p2, q, q2 = draws.normal(generator, 4, SIZE, 16)
            debiased, plain, _ = w2_scores(scale * p, scale * p2, q, q2, self_transports(q, q2, 1, SIZE))
            value = _of(debiased)
            short.append(16 * (scale - 1) ** 2 - value)
            predicted.append(shrinkage(value, _of(plain) - value, scale * p, q))
        mean, error = mean_and_error(np.array(predicted) - np.array(short))
        truth = float(np.mean(short))
        source = "truth less estimate, 12 pairs; the prediction may be off by a tenth of it"
        name = f"shrinkage predicted, Gaussian scaled by {scale}, d = 16"
        checks.append(Check(GROUP, name, truth, truth + mean, error, source, tolerance=0.1 * truth))
    return checks


def _two_gaussians(d: int, generator: Generator) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Means (d,) and roots (d, d) of covariances that do not commute, the first a tenth off the second."""
    noise, noise2 = draws.normal(generator, 2, d, d) / np.sqrt(d)
    root2 = np.eye(d) + 0.3 * noise2
    return (np.full(d, 1 / np.sqrt(d)), (np.eye(d) + 0.1 * noise) @ root2), (np.zeros(d), root2)


def _debiased(p: Array, p2: Array, q: Array, q2: Array) -> Score:
    """As `evaluation` does it: all of it on the line, in batches elsewhere."""
    if p.shape[1] == 1:
        return w2_scores_on_the_line(p[:, 0], p2[:, 0], q[:, 0], q2[:, 0])[0]
    return w2_scores(p, p2, q, q2, self_transports(q, q2, BATCHES, SIZE))[0]


def _cost_of_map(target: TransportTarget, generator: Generator) -> tuple[float, float]:
    z = torch.randn(100_000, target.dimension, generator=generator, dtype=torch.float64)
    return mean_and_error((target.transport(z) - z).square().sum(1).numpy())


def _line(name: str, truth: float, score: Score, source: str) -> Check:
    assert score.error is not None
    return Check(GROUP, name, truth, _of(score), score.error, source)


def _of(score: Score) -> float:
    assert score.value is not None
    return score.value


CHECKS = (gaussians, equal_laws, known_maps, on_the_line, sliced, assignment, potentials, allowance)
