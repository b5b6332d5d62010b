"""Fitted models: their densities have mass 1, their maps are what they say, and a Gaussian is no challenge to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from ot.gaussian import bures_wasserstein_mapping
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal, Normal

from benchmarks import lookup
from benchmarks.oracle import oracle
from benchmarks.targets.base import TransportTarget
from benchmarks.targets.quadrature import grid
from benchmarks.verify import closed_forms, draws
from benchmarks.verify.check import Check, Kind
from metrics import likelihood
from metrics.maps import map_scores
from metrics.modes import Bank
from models.base import Budget, DensityModel, LatentModel, Model, TransportModel, draw
from models.gaussian import Gaussian
from models.normalizing_flow import NormalizingFlow
from models.ot_map import OTMap

GROUP = "models"
STATED = "stated bound"


def flow(generator: Generator) -> list[Check]:
    """A trained flow on the line and in the plane: mass 1, and a log-determinant that is autograd's."""
    checks = []
    for d in (1, 2):
        model = NormalizingFlow()
        with torch.enable_grad():
            model.fit(_skewed(4_000, d, generator), generator, Budget(effort=0.2))
        z, name = _noise(200, d, generator), f"flow, trained, d = {d}"
        checks += [_mass(name, model, d), _determinant(name, model, z, _by_autograd(model, z), "autograd")]
    return checks


def ot_map(generator: Generator) -> list[Check]:
    """A fitted OT map: mass 1, the determinant of its differences, a symmetric positive Jacobian and monotonicity."""
    checks = []
    source = "the gradient of a convex function (Brenier 1991)"
    for d in (1, 2):
        model = OTMap()
        with torch.enable_grad():
            model.fit(_skewed(4_000, d, generator), generator, Budget(effort=0.1))
        z, name = _noise(400, d, generator), f"OT map, fitted, d = {d}"
        jacobian = _by_differences(model, z)
        skew = float((jacobian - jacobian.mT).abs().max())
        rows, columns = linear_sum_assignment(cdist(z, model.transport(z), "sqeuclidean"))
        mismatched = float((rows != columns).sum())
        checks += [
            _mass(name, model, d),
            _determinant(name, model, z, jacobian, "differences of the map"),
            Check(GROUP, f"{name}: asymmetry of ∇T", 1e-8, skew, 0.0, source, "at most"),
            Check(GROUP, f"{name}: least eigenvalue of ∇T", 0.0, _least(jacobian), 0.0, source, "at least"),
            Check(GROUP, f"{name}: points better matched otherwise", 0.0, mismatched, 0.0, source),
        ]
    return checks


def maps(generator: Generator) -> list[Check]:
    """L2-UVP and cosine: of the oracle on known maps, and of linear maps in closed form."""
    checks = []
    for target_name in ("brenier_2d", "brenier_8d", "brenier_32d"):
        target: TransportTarget = lookup.find("target", target_name).load()()
        model = oracle(target)
        assert isinstance(model, TransportModel)
        z = _noise(2_000, target.dimension, generator)
        uvp, cosine = map_scores(model.transport(z), target.transport(z), z)
        name, source = f"oracle on {target_name}: ", "the map itself"
        checks.append(Check(GROUP, f"{name}L2-UVP, %", 0.0, uvp.value or 0.0, uvp.error or 0.0, source, tolerance=1e-9))
        checks.append(
            Check(GROUP, f"{name}cosine", 1.0, cosine.value or 0.0, cosine.error or 0.0, source, tolerance=1e-9)
        )
    for d in (2, 8, 32):
        linear, exact = np.eye(d) + 0.3 * draws.normal(generator, 2, d, d) / np.sqrt(d)
        shift, exact_shift = 0.3 * draws.normal(generator, 2, d) / np.sqrt(d)
        forms = linear, shift, exact, exact_shift
        z = _noise(20_000, d, generator)
        mapped, meant = (
            z @ torch.from_numpy(m).T + torch.from_numpy(b) for m, b in ((linear, shift), (exact, exact_shift))
        )
        truths = closed_forms.uvp_of_linear_maps(*forms), closed_forms.cosine_of_linear_maps(*forms)
        for metric, truth, score in zip(("L2-UVP, %", "cosine"), truths, map_scores(mapped, meant, z), strict=True):
            assert score.value is not None
            assert score.error is not None
            checks.append(
                Check(GROUP, f"linear maps, d = {d}: {metric}", truth, score.value, score.error, "closed form")
            )
    return checks


def gaussian_maps(generator: Generator) -> list[Check]:
    """On a Gaussian target: `gaussian` transports as POT says, and the OT map is nearly the closed form m + Σ^½ z."""
    checks = []
    for d in (1, 2, 8):
        law = _law(d, generator)
        x = draw(law, (4_000,), generator)
        z = _noise(2_000, d, generator)
        model = Gaussian()
        model.fit(x, generator)
        moments = model.mean, model.scale_tril @ model.scale_tril.T
        eye = torch.eye(d, dtype=torch.float64)
        linear, shift = bures_wasserstein_mapping(torch.zeros(d, dtype=torch.float64), moments[0], eye, moments[1])
        off = float((model.transport(z) - (z @ linear + shift)).abs().max())
        source = "ot.gaussian.bures_wasserstein_mapping"
        checks.append(Check(GROUP, f"gaussian's map, d = {d}: largest difference", 1e-8, off, 0.0, source, "at most"))
        fitted = OTMap()
        with torch.enable_grad():
            fitted.fit(x, generator, Budget(effort=0.1))
        values, vectors = torch.linalg.eigh(law.covariance_matrix)
        exact = law.loc + z @ (vectors * values.sqrt()) @ vectors.T
        uvp, _ = map_scores(fitted.transport(z), exact, z)
        assert uvp.value is not None
        assert uvp.error is not None
        name = f"OT map on a Gaussian, d = {d}: L2-UVP, %"
        checks.append(Check(GROUP, name, 0.5, uvp.value, uvp.error, f"{STATED}, from 4,000 points", "at most"))
    return checks


def brenier_map(generator: Generator) -> list[Check]:
    """On a target whose Brenier map is known: the fitted OT map is nearly that map, the best linear one far from it."""
    target: TransportTarget = lookup.find("target", "brenier_2d").load()()
    x, z = target.sample(4_000, generator), _noise(4_000, 2, generator)
    checks = []
    bounds: tuple[tuple[OTMap | Gaussian, float, Kind], ...] = (
        (OTMap(), 0.5, "at most"),
        (Gaussian(), 5.0, "at least"),
    )
    for model, bound, kind in bounds:
        with torch.enable_grad():
            model.fit(x, generator, Budget(effort=0.5))
        uvp, _ = map_scores(model.transport(z), target.transport(z), z)
        assert uvp.value is not None
        assert uvp.error is not None
        name = f"{type(model).__name__} on brenier_2d: L2-UVP, %"
        checks.append(Check(GROUP, name, bound, uvp.value, uvp.error, f"{STATED}, from 4,000 points", kind))
    return checks


def gaussian_target(generator: Generator) -> list[Check]:
    """Every model contains the Gaussian: fitted to one, its divergence is small."""
    checks = []
    law = _law(2, generator)
    x, test = draw(law, (4_000,), generator), draw(law, (1_000,), generator)
    for name, plugin in lookup.available("model").items():
        model: Model = plugin.load()()
        with torch.enable_grad():
            model.fit(x, generator, Budget(effort=0.2))
        match model:
            case DensityModel():
                points = likelihood.of_density(model, test)
            case LatentModel():
                points = likelihood.of_latent(model, test, 300, 8, Bank.of(model, generator), generator)
            case _:
                continue
        kl = likelihood.scores(points, law.log_prob(test))["kl"]
        assert kl.value is not None
        assert kl.error is not None
        source = f"{STATED}: 4,000 points, a fifth of the steps"
        checks.append(Check(GROUP, f"{name} on a Gaussian, d = 2: KL", 0.05, kl.value, kl.error, source, "at most"))
    return checks


def _noise(n: int, d: int, generator: Generator) -> Tensor:
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def _law(d: int, generator: Generator) -> MultivariateNormal:
    root = torch.eye(d, dtype=torch.float64) + 0.5 * _noise(d, d, generator) / d**0.5
    return MultivariateNormal(torch.ones(d, dtype=torch.float64), root @ root.T)


def _skewed(n: int, d: int, generator: Generator) -> Tensor:
    """A correlated, skewed cloud off the origin, (n, d)."""
    z = _noise(n, d, generator)
    return 3 + z + 0.5 * z.roll(1, dims=1) + 0.1 * z.square()


def _mass(name: str, model: DensityModel, d: int) -> Check:
    """∫ p_θ, by midpoints, over a box that holds the cloud and its tails."""
    points, volume = grid((-4.0,) * d, (13.0,) * d, step=0.002 if d == 1 else 0.08)
    mass = volume * float(model.log_prob(points).exp().sum())
    return Check(GROUP, f"{name}: mass", 1.0, mass, 0.0, "a sum over a grid", tolerance=2e-3)


def _determinant(name: str, model: DensityModel, z: Tensor, jacobian: Tensor, source: str) -> Check:
    """log p(T(z)) against log N(z; 0, I) − log |det ∇T(z)|, for z (n, d) and ∇T (n, d, d)."""
    assert isinstance(model, TransportModel)
    expected = Normal(0.0, 1.0).log_prob(z).sum(1) - torch.linalg.slogdet(jacobian).logabsdet
    off = float((model.log_prob(model.transport(z)) - expected).abs().max())
    return Check(GROUP, f"{name}: log-determinant, largest difference", 1e-6, off, 0.0, source, "at most")


def _by_autograd(model: NormalizingFlow, z: Tensor) -> Tensor:
    """∇T (n, d, d) at z (n, d), of the composition that `transport` is: it keeps no graph itself.

    Rows do not mix, so the gradient of a column's sum is the row's own.
    """
    with torch.enable_grad():
        z = z.clone().requires_grad_()
        x = model.whitening.inverse(model.compression.inverse(model.transform.inverse(z)[0]))
        return torch.stack([torch.autograd.grad(column.sum(), z, retain_graph=True)[0] for column in x.T], dim=1)


def _by_differences(model: TransportModel, z: Tensor, step: float = 1e-5) -> Tensor:
    """∇T (n, d, d) at z (n, d) by central differences of `transport` alone."""
    steps = step * torch.eye(z.shape[1], dtype=z.dtype)
    return torch.stack([(model.transport(z + h) - model.transport(z - h)) / (2 * step) for h in steps], dim=2)


def _least(symmetric: Tensor) -> float:
    return float(torch.linalg.eigvalsh((symmetric + symmetric.mT) / 2).min())


CHECKS: tuple[Callable[[Generator], list[Check]], ...] = (
    flow,
    ot_map,
    maps,
    gaussian_maps,
    brenier_map,
    gaussian_target,
)
