"""The exact targets that are installed: sampler, density and entropy belong to one law. No name is a special case."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import chi2, ks_2samp
from torch import Generator, Tensor

from benchmarks import lookup
from benchmarks.targets.base import ExactTarget
from benchmarks.verify.check import Check
from benchmarks.verify.draws import mean_and_error

GROUP = "targets"
SAMPLES = 20_000
KERNELS = 1_000
#: The least p-value of a test that passes: of 50 true laws one in two hundred ledgers has one below.
LEAST = 1e-4


def entropies(generator: Generator) -> list[Check]:
    """−E log p* over samples against `entropy()`."""
    checks = []
    for name, target in _targets().items():
        minus = -target.log_prob(target.sample(SAMPLES, generator))
        checks.append(
            # Where the density is uniform, all values are equal up to rounding.
            Check(
                GROUP,
                f"{name}: −E log p*",
                target.entropy(),
                *mean_and_error(minus.numpy()),
                "entropy()",
                tolerance=1e-9,
            )
        )
    return checks


def known_entropies(_: Generator) -> list[Check]:
    """`entropy()` where it is a closed form."""
    square = 1 + math.log(2)
    known = {"laplace": (square, "1 + ln 2"), "uniform": (math.log(2), "ln 2"), "checkerboard": (math.log(8), "ln 8")}
    return [
        Check(GROUP, f"{name}: entropy", truth, _targets()[name].entropy(), 0.0, source, tolerance=1e-9)
        for name, (truth, source) in known.items()
        if name in _targets()
    ]


def densities(generator: Generator) -> list[Check]:
    """On the line and in the plane: the density has mass 1, and its means are those of the samples.

    Integrals are means of p*/q over q, a kernel estimate of the density from other samples, with Cauchy kernels of
    three widths: it covers tails and all scales whatever the target is.
    """
    checks = []
    for name, target in _targets().items():
        if target.dimension > 2:
            continue
        x, weight = _weighted(target, generator)
        samples = target.sample(SAMPLES, generator)
        waves = _waves(samples, generator)
        source = "∫ p* by importance sampling"
        checks.append(Check(GROUP, f"{name}: mass", 1.0, *mean_and_error(weight.numpy()), source, tolerance=1e-9))
        p_value = _p_value(weight[:, None] * _features(x @ waves), _features(samples @ waves))
        checks.append(_test(f"{name}: characteristic function of density and samples", p_value, "χ² test, 12 waves"))
    return checks


def scores(generator: Generator) -> list[Check]:
    """Above two dimensions: Stein's identity, E[∂f + f ∂ log p*] = 0 for bounded f, ties the samples to the density."""
    checks = []
    for name, target in _targets().items():
        if target.dimension <= 2:
            continue
        x = target.sample(SAMPLES // 4, generator).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(target.log_prob(x).sum(), x)
        x = x.detach()
        waves = _waves(x, generator)
        length, along = waves.square().sum(0).repeat(2), (gradient @ waves).repeat(1, 2)
        terms = _features(x @ waves) * along + _features(x @ waves + math.pi / 2) * length
        p_value = _p_value(terms, torch.zeros_like(terms))
        checks.append(_test(f"{name}: Stein's identity", p_value, "χ² test, 12 waves"))
    return checks


def single_draws(generator: Generator) -> list[Check]:
    """Nothing random is shared within a call: 4,000 points of one call against 4,000 calls for one."""
    checks = []
    for name, target in _targets().items():
        single = torch.cat([target.sample(1, generator) for _ in range(4_000)])
        together = target.sample(4_000, generator)
        directions = torch.eye(target.dimension, dtype=torch.float64)
        if target.dimension > 1:
            directions = _directions(together, 4, generator)
        values = [ks_2samp((single @ w).numpy(), (together @ w).numpy()).pvalue for w in directions.T]
        p_value = min(1.0, len(values) * min(values))
        checks.append(_test(f"{name}: one by one", p_value, "Kolmogorov–Smirnov, Bonferroni over 4 projections"))
    return checks


def _targets() -> dict[str, ExactTarget]:
    found = {name: plugin.load()() for name, plugin in sorted(lookup.available("target").items())}
    return {name: target for name, target in found.items() if isinstance(target, ExactTarget)}


def _test(name: str, p_value: float, source: str) -> Check:
    return Check(GROUP, f"{name}, p-value", LEAST, p_value, 0.0, source, "at least")


def _p_value(a: Tensor, b: Tensor) -> float:
    """Of the χ² test that the columns of a (n, F) and of b (m, F), independent samples, have equal means."""
    apart = (a.mean(0) - b.mean(0)).numpy()
    covariance = (a.T.cov() / len(a) + b.T.cov() / len(b)).numpy()
    return float(chi2.sf(apart @ np.linalg.solve(covariance, apart), len(apart)))


def _directions(x: Tensor, count: int, generator: Generator) -> Tensor:
    """Random directions (d, count) of unit length, in units of the samples' own spread in each coordinate."""
    random = torch.randn(x.shape[1], count, generator=generator, dtype=torch.float64)
    return random / random.norm(dim=0) / _scale(x)[:, None]


def _scale(x: Tensor) -> Tensor:
    return (x.quantile(0.84, dim=0) - x.quantile(0.16, dim=0)) / 2


def _waves(x: Tensor, generator: Generator) -> Tensor:
    """Six wave vectors (d, 6), of one to six radians per deviation."""
    return _directions(x, 6, generator) * torch.arange(1, 7)


def _features(angle: Tensor) -> Tensor:
    """Both phases of the waves: (n, 12) for (n, 6). Harmonics, so that their covariance is far from singular."""
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def _weighted(target: ExactTarget, generator: Generator) -> tuple[Tensor, Tensor]:
    """Points x (n, d) of a kernel estimate q of the target's density, and p*(x)/q(x) (n,)."""
    d, centres = target.dimension, target.sample(KERNELS, generator)
    scale = _scale(centres)
    widths = torch.tensor([0.03, 0.2, 1.0], dtype=torch.float64)
    rows, columns = (torch.randint(size, (SAMPLES,), generator=generator) for size in (KERNELS, len(widths)))
    normal = torch.randn(SAMPLES, d + 1, generator=generator, dtype=torch.float64)
    x = centres[rows] + scale * widths[columns, None] * normal[:, :d] / normal[:, d:]
    height = math.gamma((1 + d) / 2) / (math.pi ** ((1 + d) / 2) * float(scale.prod()))
    distance = torch.cdist(x / scale, centres / scale).square()
    kernels = [height / h**d * (1 + distance / h**2).pow(-(1 + d) / 2).mean(1) for h in widths.tolist()]
    return x, target.log_prob(x).exp() / torch.stack(kernels).mean(0)


CHECKS = (entropies, known_entropies, densities, scores, single_draws)
