"""What is known in closed form, written without the estimators that it is held against."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.stats import norm, rv_continuous

Array = NDArray[np.float64]


def bures_wasserstein(mean: Array, covariance: Array, mean2: Array, covariance2: Array) -> float:
    """W2² = |m₁ − m₂|² + tr(A + B − 2 (A^½ B A^½)^½) of N(m₁, A) and N(m₂, B) (Dowson and Landau 1982)."""
    root = sqrtm(covariance).real
    cross = sqrtm(root @ covariance2 @ root).real
    apart = mean - mean2
    return float(apart @ apart + np.trace(covariance + covariance2 - 2 * cross))


def projected_gaussians(mean: Array, covariance: Array, mean2: Array, covariance2: Array, directions: Array) -> Array:
    """W2² of N(m₁, A) and N(m₂, B) along unit directions (d, L), (L,): (θ·(m₁ − m₂))² + (√θ'Aθ − √θ'Bθ)²."""
    spread, spread2 = (np.sqrt(np.einsum("dl,de,el->l", directions, c, directions)) for c in (covariance, covariance2))
    return np.asarray(((mean - mean2) @ directions) ** 2 + (spread - spread2) ** 2)


def quantile_distance(p: rv_continuous, q: rv_continuous, power: int) -> float:
    """∫₀¹ |F⁻¹(u) − G⁻¹(u)|^r du of two laws of scipy.stats, W_r^r on the line, by adaptive quadrature in u = Φ(t)."""

    def apart(t: float) -> float:
        near, far = (law.ppf(norm.cdf(t)) if t < 0 else law.isf(norm.sf(t)) for law in (p, q))
        return float(abs(near - far) ** power * norm.pdf(t))

    return sum(quad(apart, low, low + 2, limit=200, epsabs=1e-12)[0] for low in range(-12, 12, 2))


def uvp_of_linear_maps(linear: Array, shift: Array, exact: Array, exact_shift: Array) -> float:
    """L2-UVP in per cent of z ↦ Az + a against z ↦ Bz + b on N(0, I): 100 (‖A − B‖² + |a − b|²) / ‖B‖², Frobenius."""
    off = np.square(linear - exact).sum() + np.square(shift - exact_shift).sum()
    return float(100 * off / np.square(exact).sum())


def cosine_of_linear_maps(linear: Array, shift: Array, exact: Array, exact_shift: Array) -> float:
    """The cosine between both displacements, Az + a − z and Bz + b − z, in L2 of N(0, I)."""
    eye = np.eye(len(shift))
    moved, meant = linear - eye, exact - eye
    product = (moved * meant).sum() + shift @ exact_shift
    lengths = [math.sqrt(np.square(m).sum() + s @ s) for m, s in ((moved, shift), (meant, exact_shift))]
    return float(product / math.prod(lengths))


def principal_components(x: Array, k: int) -> tuple[Array, float]:
    """The covariance W Wᵀ + σ² I and σ² of probabilistic PCA at its maximum likelihood (Tipping and Bishop 1999)."""
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    sigma2 = float(values[k:].mean())
    weight = vectors[:, :k] * np.sqrt(values[:k] - sigma2)
    return weight @ weight.T + sigma2 * np.eye(len(values)), sigma2


def gaussian_entropy(covariance: Array) -> float:
    """½ log det 2πe Σ in nats."""
    return float(np.linalg.slogdet(2 * math.pi * math.e * covariance)[1] / 2)
