"""Whether density, sampler and map are those of one law. A latent model's density is the harness's estimate of it."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from benchmarks.checks.check import Make, check, fail
from benchmarks.checks.fits import LONGER, SAMPLES, fitted, log_prob, nodes, normal, own_samples
from benchmarks.checks.nodes import Nodes
from models.base import DensityModel, LatentModel, TransportModel

LATTICE_ERROR = 2e-3
Z_LIMIT = 4.0  # standard errors
LEVEL = 1e-4  # of a Kolmogorov–Smirnov test
PLANE = (1, 2)


@check(DensityModel | LatentModel, after=("shapes", "finite"))
def mass(make: Make) -> None:
    """The density integrates to 1, on the line and in the plane."""
    for d in PLANE:
        found = nodes(make, d)
        value, error = found.integral(torch.ones_like(found.log_prob))
        if not abs(value - 1) < Z_LIMIT * error + LATTICE_ERROR:
            fail(make, "log_prob", f"∫ p = 1 in {d} dimensions", f"{value:.5g} ± {error:.1g}")
        if not error < 0.03:
            fail(make, "log_prob", f"a density in {d} dimensions whose integral a lattice finds", f"± {error:.2g}")


@check(DensityModel | LatentModel, after=("shapes", "finite", "mass"))
def sampler_and_density(make: Make) -> None:
    """Samples have the entropy, the expectations and the distribution function of the density."""
    for d in PLANE:
        found, samples = nodes(make, d), own_samples(make, d)
        total, _ = found.integral(torch.ones_like(found.log_prob))
        entropy, error = (part / total for part in found.integral(-found.log_prob.clamp_min(-700)))
        own = -log_prob(make, d, samples[-1000:])
        error = math.hypot(error, float(own.std()) / math.sqrt(len(own)))
        if not abs(float(own.mean()) - entropy) < Z_LIMIT * error + LATTICE_ERROR:
            got = f"{float(own.mean()):.4g} over samples and {entropy:.4g} ± {error:.1g} by the density"
            fail(make, "sample", f"one value of −E log p in {d} dimensions", got)
        assert_same_law(make, "sample", samples, found)
        if found.axes is None:
            continue
        for i, (points, distribution) in enumerate(found.marginals()):
            at = points.numpy(), (distribution / total).numpy()
            p_value = stats.kstest(samples[:, i], lambda x, at=at: np.interp(x, *at)).pvalue
            if not p_value > LEVEL:
                expected = f"coordinate {i} of {SAMPLES:,} samples in {d} dimensions to have the density's distribution"
                fail(make, "sample", expected, f"a Kolmogorov–Smirnov test says no (p = {p_value:.1g})")


def assert_same_law(make: Make, method: str, samples: Tensor, found: Nodes) -> None:
    """Bounded statistics of samples (n, d) and of the density: location, spread, dependence and tails."""
    centre, spread = samples.mean(0), samples.std(0)
    deciles = samples[:2000].quantile(torch.tensor([0.1, 0.5, 0.9], dtype=samples.dtype), dim=0)

    def statistics(x: Tensor) -> Tensor:
        u = (x - centre) / spread
        below = [torch.special.ndtr((cut - x) / (0.3 * spread)) for cut in deciles]
        return torch.cat([u.tanh(), u.cos(), u.tanh() * u.tanh().roll(1, 1), *below], dim=1)

    total, _ = found.integral(torch.ones_like(found.log_prob))
    for own, at_nodes in zip(statistics(samples).unbind(1), statistics(found.x).unbind(1), strict=True):
        value, error = (part / total for part in found.integral(at_nodes))
        error = math.hypot(error, float(own.std()) / math.sqrt(len(own)))
        if not abs(float(own.mean()) - value) < Z_LIMIT * error + LATTICE_ERROR:
            got = f"{float(own.mean()):.4g} over samples and {value:.4g} ± {error:.1g} by the density"
            fail(make, method, f"expectations that agree, in {samples.shape[1]} dimensions", got)


@check(DensityModel, TransportModel, after=("shapes", "finite"))
def log_determinant(make: Make) -> None:
    """log p(T(z)) = log N(z; 0, I) − log |det ∂T/∂z|, with autograd's Jacobian, in 1, 2 and 5 dimensions."""
    for d in (1, 2, 5):
        model = fitted(make, d, LONGER)
        assert isinstance(model, DensityModel)
        assert isinstance(model, TransportModel)
        z = normal(50, d, seed=4)
        log_det = torch.linalg.slogdet(_jacobian(model, z)).logabsdet
        expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) - log_det
        apart = float((model.log_prob(model.transport(z)) - expected).abs().max())
        if not apart < 1e-4:
            claim = f"log N(z; 0, I) − log |det ∂T/∂z| at T(z) in {d} dimensions"
            fail(make, "log_prob", claim, f"log-densities up to {apart:.2g} nats off")


def _jacobian(model: TransportModel, z: Tensor) -> Tensor:
    """∂T/∂z (n, d, d) at z (n, d): by autograd, or by central differences where the map does not record gradients."""
    with torch.enable_grad():
        at = z.clone().requires_grad_()
        x = model.transport(at)
        if x.requires_grad:
            rows = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in x.unbind(1)]
            return torch.stack(rows, dim=1)
    step = 1e-6 * torch.eye(z.shape[1], dtype=z.dtype)
    columns = [(model.transport(z + h) - model.transport(z - h)) / 2e-6 for h in step]
    return torch.stack(columns, dim=-1)


@check(TransportModel, after=("shapes", "finite"))
def map_and_sampler(make: Make) -> None:
    """T(z), z ~ N(0, I), has the law of the model's own samples."""
    for d in (1, 2, 5):
        model = fitted(make, d, LONGER)
        assert isinstance(model, TransportModel)
        mapped, samples = model.transport(normal(4000, d, seed=15)).double(), own_samples(make, d)[:4000]
        directions = torch.cat([torch.eye(d), normal(d, 3, seed=17)], dim=1) / samples.std(0)[:, None]
        p_value = min(stats.ks_2samp(mapped @ w, samples @ w).pvalue for w in directions.T) * directions.shape[1]
        if not p_value > LEVEL:
            expected = f"4,000 samples and 4,000 T(z) in {d} dimensions to have one law"
            fail(make, "transport", expected, f"a Kolmogorov–Smirnov test says no (p = {p_value:.1g})")


CHECKS = (mass, sampler_and_density, log_determinant, map_and_sampler)
