"""The least KL that any law blurred by a given noise can have: what no decoder with that σ can undercut."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks import lookup
from benchmarks.targets.quadrature import Integrable

Array = NDArray[np.float64]

GAP = 1e-5  # nats: how far above the least KL the value may be
_PER_SIGMA, _FEWEST = 4, 1_001
_WARM, _STEPS = 50, 200
_SPREAD = 1e-6  # of the weight stays everywhere, or the derivative says nothing in the target's tails
_NEGLIGIBLE = 1e-9  # of a node's weight: what it could change is far below GAP


@cache
def floor(target: str, noise: float) -> float:
    """min over laws ν of KL(p* ‖ ν ∗ N(0, σ²)), in nats: no decoder with this σ does better, however large.

    σ is `noise` of the target's standard deviations. ν lives on a fine grid of atoms, which leaves its weights
    to be chosen: a convex problem. E_p* is a sum over the target's nodes, so there is no sample in it. Raises
    RuntimeError if the minimum is not reached to 1e-5 nats.
    """
    law = lookup.find("target", target).load()()
    assert isinstance(law, Integrable)
    x, weight = law.nodes(1.0)
    counts = weight > _NEGLIGIBLE * weight.max()
    x, weight = x[counts], weight[counts] / weight[counts].sum()
    most = float(weight @ law.log_prob(x))  # by Gibbs' inequality
    x = x[:, 0]
    sigma = noise * float((weight @ (x - weight @ x).square()).sqrt())
    low, high = float(x.min()), float(x.max())
    count = max(_FEWEST, math.ceil(_PER_SIGMA * (high - low) / sigma))
    atoms = torch.linspace(low, high, count, dtype=torch.float64)
    kernel = torch.exp(-((x[:, None] - atoms) / sigma).square() / 2) / (sigma * math.sqrt(2 * math.pi))
    densities, shares = kernel.clamp_min(1e-300).numpy(), weight.numpy()
    least = most - float(shares @ np.log(densities @ most_likely(densities, shares, most)))
    return max(0.0, round(least, 5))  # what lies beyond is not known


def most_likely(kernel: Array, share: Array, most: float) -> Array:
    """argmax over weights p (A,) of Σ_i share_i log(kernel p)_i, for kernel (n, A) and shares (n,) that sum to 1.

    most: what that sum cannot exceed. By constrained Newton steps on the atoms that have weight and those where the
    derivative has a maximum (Wang 2007, the CNM algorithm), after some of expectation–maximisation. The largest
    derivative, less 1, bounds what is left (Lindsay 1983), and so does `most`: below 1e-5 it stops.
    """
    weights = np.full(kernel.shape[1], 1 / kernel.shape[1])
    for _ in range(_WARM):
        weights *= (share / (kernel @ weights)) @ kernel
    for _ in range(_STEPS):
        density = kernel @ weights
        ratios = kernel / density[:, None]
        derivative = share @ ratios
        if min(derivative.max() - 1, most - share @ np.log(density)) < GAP:
            return weights
        chosen = (weights > 1e-4 / len(weights)) | _is_peak(derivative)
        weights = _climbed(kernel, share, weights, _newton(ratios[:, chosen], share, chosen))
        weights = (1 - _SPREAD) * weights + _SPREAD / len(weights)
    raise RuntimeError(f"deconvolution did not come within {GAP} nats of its minimum in {_STEPS} steps")


def _newton(ratios: Array, share: Array, chosen: NDArray[np.bool_]) -> Array:
    """The weights that minimise Σ_i share_i (ratios_i p − 2)², the second-order model of −2 log(kernel p)."""
    root = np.sqrt(share)
    rows = np.vstack([root[:, None] * ratios, np.ones(ratios.shape[1])])
    found, _ = nnls(rows, np.append(2 * root, 1.0), maxiter=30 * ratios.shape[1])
    weights = np.zeros(len(chosen))
    weights[chosen] = found / found.sum()
    return weights


def _climbed(kernel: Array, share: Array, start: Array, end: Array) -> Array:
    """The point of the way from start to end, halved until the likelihood is larger there."""
    before, step = share @ np.log(kernel @ start), 1.0
    while step > 1e-9:
        there = (1 - step) * start + step * end
        if share @ np.log(kernel @ there) > before:
            return there
        step /= 2
    return start


def _is_peak(values: Array) -> NDArray[np.bool_]:
    """Where a value is no less than its neighbours."""
    framed = np.concatenate([[-np.inf], values, [-np.inf]])
    peaks: NDArray[np.bool_] = (values >= framed[:-2]) & (values >= framed[2:])
    return peaks
