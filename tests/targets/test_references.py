"""Densities against someone else's: scipy's, or an integral done another way."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor

from benchmarks.targets.hierarchical import Banana, Funnel, Funnel10D
from benchmarks.targets.higher import GaussianMixture16D, IllConditionedGaussian16D, StudentT8D
from benchmarks.targets.manifolds import NoisyManifold8D, Spiral, TwoMoons
from benchmarks.targets.planar import EightGaussians, Pinwheel, Rings
from benchmarks.targets.univariate import Bimodal, Claw, Laplace, StudentT2, Uniform


def spread(target, n: int = 200) -> Tensor:
    """Samples, and samples thrown well off the target."""
    generator = torch.Generator().manual_seed(11)
    x = target.sample(n, generator)
    return torch.cat([x, x + torch.randn(x.shape, generator=generator, dtype=torch.float64)])


def mixture(components):
    return lambda x: np.log(sum(w * scipy.stats.norm.pdf(x, m, s) for w, m, s in components))


UNIVARIATE = [
    (Laplace, scipy.stats.laplace.logpdf, scipy.stats.laplace.entropy()),
    (StudentT2, scipy.stats.t(2).logpdf, scipy.stats.t(2).entropy()),
    (Uniform, scipy.stats.uniform(-1, 2).logpdf, scipy.stats.uniform(-1, 2).entropy()),
    (Bimodal, mixture([(0.5, -2, 0.25), (0.5, 2, 0.25)]), None),
    (Claw, mixture([(0.5, 0, 1)] + [(0.1, spike / 2 - 1, 0.1) for spike in range(5)]), None),
]


@pytest.mark.parametrize(("target", "reference", "entropy"), UNIVARIATE, ids=lambda case: getattr(case, "name", ""))
def test_on_the_line(target, reference, entropy):
    x = spread(target())
    torch.testing.assert_close(
        target().log_prob(x), torch.from_numpy(reference(x[:, 0].numpy())), rtol=1e-10, atol=1e-10
    )
    if entropy is None:
        edges = np.linspace(-10, 10, 401)
        integrand = lambda t: -math.exp(reference(t)) * reference(t)  # noqa: E731
        entropy = sum(scipy.integrate.quad(integrand, *ends)[0] for ends in itertools.pairwise(edges))
    assert target().entropy() == pytest.approx(float(entropy), abs=1e-8)


@pytest.mark.parametrize("target", [Laplace, StudentT2, Uniform])
def test_samplers_on_the_line(target):
    reference = {"laplace": scipy.stats.laplace, "student_t2": scipy.stats.t(2), "uniform": scipy.stats.uniform(-1, 2)}
    x = target().sample(20_000, torch.Generator().manual_seed(3))[:, 0].numpy()
    assert scipy.stats.kstest(x, reference[target.name].cdf).pvalue > 1e-3


def test_gaussians_and_t_against_scipy():
    gaussian = IllConditionedGaussian16D()
    reference = scipy.stats.multivariate_normal(np.zeros(16), gaussian.covariance.numpy())
    x = spread(gaussian)
    torch.testing.assert_close(
        gaussian.log_prob(x), torch.from_numpy(reference.logpdf(x.numpy())), rtol=1e-9, atol=1e-9
    )
    assert gaussian.entropy() == pytest.approx(reference.entropy(), abs=1e-9)
    assert np.linalg.cond(gaussian.covariance.numpy()) == pytest.approx(1e4, rel=1e-6)

    student = StudentT8D()
    scale = 0.8 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    reference = scipy.stats.multivariate_t(np.zeros(8), scale, df=5)
    x = spread(student)
    torch.testing.assert_close(student.log_prob(x), torch.from_numpy(reference.logpdf(x.numpy())), rtol=1e-9, atol=1e-9)
    assert student.entropy() == pytest.approx(float(reference.entropy()), abs=1e-9)

    clusters = GaussianMixture16D()
    x = spread(clusters)
    total = sum(
        scipy.stats.multivariate_normal(mean.numpy(), (scale @ scale.T).numpy()).pdf(x.numpy()) / 8
        for mean, scale in zip(clusters.means, clusters.scales, strict=True)
    )
    torch.testing.assert_close(clusters.log_prob(x), torch.from_numpy(np.log(total)), rtol=1e-9, atol=1e-9)


def test_conditional_gaussians_against_scipy():
    norm = scipy.stats.norm
    x = spread(Banana())
    first, second = x.numpy().T
    reference = norm.logpdf(first, 0, 2) + norm.logpdf(second, first**2 / 4, 0.5)
    torch.testing.assert_close(Banana().log_prob(x), torch.from_numpy(reference))
    for funnel in (Funnel(), Funnel10D()):
        x = spread(funnel)
        v, rest = x[:, :1].numpy(), x[:, 1:].numpy()
        reference = norm.logpdf(v, 0, 1.5)[:, 0] + norm.logpdf(rest, 0, np.exp(v / 2)).sum(axis=1)
        torch.testing.assert_close(funnel.log_prob(x), torch.from_numpy(reference))


def test_eight_gaussians_against_scipy():
    x = spread(EightGaussians())
    angles = np.arange(8) * np.pi / 4
    total = sum(
        scipy.stats.multivariate_normal([2 * np.cos(a), 2 * np.sin(a)], 0.04).pdf(x.numpy()) / 8 for a in angles
    )
    torch.testing.assert_close(EightGaussians().log_prob(x), torch.from_numpy(np.log(total)), rtol=1e-10, atol=1e-10)


def log_blur(x: Tensor, curve: Tensor, deviation: float) -> Tensor:
    """log of the mean over equally likely points of a curve (m, d) of N(x; point, deviation²I), for x (n, d)."""
    squared = (x[:, None] - curve).square().sum(dim=2)
    constant = 0.5 * curve.shape[1] * math.log(2 * math.pi * deviation**2) + math.log(len(curve))
    return (-0.5 * squared / deviation**2).logsumexp(dim=1) - constant


def midpoints(n: int) -> Tensor:
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def test_noisy_curves_against_a_plain_sum_over_many_points():
    """The midpoint rule needs a hundred thousand points for what Gauss and Legendre do with a few hundred."""
    x = spread(TwoMoons(), 25)
    angle = math.pi * midpoints(40_000)
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    torch.testing.assert_close(TwoMoons().log_prob(x), log_blur(x, torch.cat([upper, lower]), 0.1), rtol=0, atol=2e-5)

    x = spread(Spiral(), 25)
    time = midpoints(80_000).sqrt()
    arm = 3 * time[:, None] * torch.stack([(4 * math.pi * time).cos(), (4 * math.pi * time).sin()], dim=1)
    torch.testing.assert_close(Spiral().log_prob(x), log_blur(x, arm, 0.1), rtol=0, atol=2e-5)


def test_noisy_curves_against_adaptive_quadrature():
    """To 1e-8 on the curve and in its surroundings."""
    for target, weight in ((TwoMoons(), lambda _: 1.0), (Spiral(), lambda t: 2 * t)):
        for point in spread(target, 6):
            highest = float(target.log_prob(point[None]))

            def integrand(t, point=point, target=target, weight=weight, highest=highest):
                time = torch.tensor([t], dtype=torch.float64)
                if isinstance(target, Spiral):
                    near = [target._arm(time)]
                else:
                    near = [target._moon(math.pi * time, torch.tensor([side])) for side in (False, True)]
                squares = [float((point - place).square().sum()) for place in near]
                heights = [math.exp(-square / 0.02 - math.log(0.02 * math.pi) - highest) for square in squares]
                return weight(t) * sum(heights) / len(heights)

            edges = np.linspace(0, 1, 17)
            ratio = sum(
                scipy.integrate.quad(integrand, a, b, epsabs=1e-11, epsrel=1e-11)[0]
                for a, b in itertools.pairwise(edges)
            )
            assert math.log(ratio) == pytest.approx(0, abs=1e-8)


def test_rings_and_torus_against_a_plain_sum():
    """Periodic: the plain sum over equally spaced angles converges exponentially too, and knows no Bessel function."""
    angle = 2 * math.pi * midpoints(600)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    x = spread(Rings(), 100)
    rings = torch.cat([radius * circle for radius in (1, 2, 3)])
    torch.testing.assert_close(Rings().log_prob(x), log_blur(x, rings, 0.1), rtol=0, atol=1e-9)

    manifold = NoisyManifold8D()
    angle = 2 * math.pi * midpoints(240)
    s, t = (part.flatten() for part in torch.meshgrid(angle, angle, indexing="ij"))
    torus = torch.stack([f(u) for u in (s, t, s + t, s - t) for f in (torch.cos, torch.sin)], dim=1)
    generator = torch.Generator().manual_seed(2)
    x = manifold.sample(20, generator)
    x = torch.cat([x, x + 0.2 * torch.randn(x.shape, generator=generator, dtype=torch.float64)])
    reference = torch.cat([log_blur(part, torus, 0.1) for part in x.split(10)])
    torch.testing.assert_close(manifold.log_prob(x), reference, rtol=0, atol=1e-8)


def test_the_torus_is_curved_and_spans_all_eight_dimensions():
    angles = 2 * math.pi * torch.rand(2, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = NoisyManifold8D.manifold(*angles)
    assert torch.linalg.svdvals(points - points.mean(dim=0)).min() > 10
    tangent = torch.func.vmap(torch.func.jacrev(lambda pair: NoisyManifold8D.manifold(pair[:1], pair[1:])[0]))(angles.T)
    assert (torch.linalg.matrix_rank(tangent) == 2).all()


def test_the_pinwheel_preserves_volume():
    """Its density is right only if the twist's Jacobian determinant is one; autograd says so."""
    x = spread(Pinwheel(), 50)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda point: Pinwheel._twist(point[None], 1)[0]))(x)
    torch.testing.assert_close(
        torch.linalg.det(jacobian), torch.ones(len(x), dtype=torch.float64), rtol=1e-10, atol=1e-10
    )
    torch.testing.assert_close(Pinwheel._twist(Pinwheel._twist(x, 1), -1), x)
