"""The debiased squared distance of two laws from two samples of each, its error and its bias.

With P, P′ of the model and Q, Q′ of the target,

    D = ½ [W(P,Q) + W(P′,Q′) − W(P,P′) − W(Q,Q′)],

whose mean is that of W(P,Q) − ½ W(P,P′) − ½ W(Q,Q′) and whose noise is smaller, because all four samples take part in
the cross terms. At equal laws its mean is exactly zero, for a shift exactly the squared distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm, t

from metrics.transport import Array


@dataclass(frozen=True)
class Costs:
    """What transport costs between the samples of the model and of the target in each batch, all (B,)."""

    pq: Array
    p2q2: Array
    pp2: Array
    qq2: Array

    @property
    def crossed(self) -> Array:
        """The mean of both distances between model and target, sampling noise included."""
        return (self.pq + self.p2q2) / 2

    @property
    def noise(self) -> Array:
        """½ W(P,P′) + ½ W(Q,Q′)."""
        return (self.pp2 + self.qq2) / 2

    @property
    def debiased(self) -> Array:
        """D."""
        return self.crossed - self.noise


def jackknife_error(of_model: Array, of_target: Array, n: int) -> float:
    """The standard error of D, or of its cross terms, √(½ [Var w_P + Var w_Q] / n), for n points a sample.

    w_P = ½ (f_PQ + f_P′Q′) at the points of P and of P′ (2n,), w_Q = ½ (g_PQ + g_P′Q′) at those of Q and of Q′ (2n,):
    dual potentials are the derivatives of a cost in the weights of its points (del Barrio and Loubes 2019), so w_P(x)
    is half of what a point x of P and a point x of P′ do to the cross terms together.

    The infinitesimal jackknife takes each sample's influence by itself, and at equal laws that is twice the variance.
    Near them D = (p − q′)·(p′ − q), with p, p′, q, q′ the samples' means in a Hilbert space: a product (Δ + u)·(Δ + v)
    of independent u, v with one covariance Σ and the variance 2 Δ'ΣΔ + tr Σ². The influence on P is p′ − q, on P′ it
    is p − q′: the jackknife has u'Σu + v'Σv, with Δ in them, whose mean is 2 Δ'ΣΔ + 2 tr Σ². Their sum over both
    samples, ½ (u + v)'Σ(u + v), has the right one; and in that sum the influences of the self terms cancel.
    """
    return math.sqrt((float(of_model.var()) + float(of_target.var())) / (2 * n))


def error_of_batches(values: Array) -> float:
    """The standard error of the mean of independent estimates (B,), widened so that ±1.96 of it are Student's 95 %."""
    widening = float(t.ppf(0.975, len(values) - 1) / norm.ppf(0.975))
    return widening * float(values.std(ddof=1)) / math.sqrt(len(values))


def shrinkage(value: float, noise: float, p: Array, q: Array) -> float:
    """By how much D falls short of the truth because n is finite, where the laws differ in spread.

    If P is Q scaled about its mean, E D = |Δm|² + (W − |Δm|²)(1 − ρ), W the squared distance, Δm that of the means and
    ρ = (½ W(P,P′) + ½ W(Q,Q′)) / (V_P + V_Q), V the total variances: the cross terms are noisy along the geometric mean
    of both spreads, the self terms along their arithmetic mean. noise: ½ W(P,P′) + ½ W(Q,Q′); p and q: samples (n, d).
    """
    apart = p.mean(axis=0) - q.mean(axis=0)
    sampling = float((p.var(axis=0) / len(p) + q.var(axis=0) / len(q)).sum())
    shift = max(float(apart @ apart) - sampling, 0.0)
    rho = _noise_share(noise, p, q)
    return max(value - shift, 0.0) * rho / (1 - rho)


def error_with_shortfall(error: float, value: float, noise: float, p: Array, q: Array) -> float:
    """An error such that ±1.96 of it hold the truth, by which D may fall short, as often as they say or more.

    The truth is D + shrinkage at most, and that has the error of D over 1 − ρ.
    """
    return error / (1 - _noise_share(noise, p, q)) + shrinkage(value, noise, p, q) / float(norm.ppf(0.975))


def _noise_share(noise: float, p: Array, q: Array) -> float:
    """ρ of `shrinkage`, zero for samples without spread."""
    spread = float(p.var(axis=0).sum() + q.var(axis=0).sum())
    return min(noise / spread, 0.9) if spread > 0 else 0.0
