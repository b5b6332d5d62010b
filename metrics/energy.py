"""The energy distance between two laws, from a sample of each: the metric that shows how metrics are added."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from metrics.custom import sample_metric
from metrics.debiasing import error_of_batches


@sample_metric(unit="data units", better="lower")
def energy_distance(
    samples: Tensor,
    held_out: Tensor,
    generator: Generator,  # noqa: ARG001 (nothing here is random)
    batches: int = 8,
) -> tuple[float, float]:
    """Energy distance to the target, 2 E|X − Y| − E|X − X′| − E|Y − Y′|, unbiased.

    It is zero between equal laws and positive between any others (Székely and Rizzo 2013, "Energy statistics"), in the
    units of the data. The estimate has the right mean at any sample size, so near zero it falls on either side of it.

    samples (n, d), held_out (m, d): the first min(n, m) points of each make `batches` batches, and each batch a half P
    and P′, Q and Q′. With e(A, B) the mean |a − b| over all pairs, a batch says

        e(P, Q) + e(P′, Q′) − e(P, P′) − e(Q, Q′),

    whose mean is right because all four are independent, and whose law is symmetric between equal laws (as in
    debiasing.py): a product of independent differences where the U-statistic has a square, and so a long tail, and
    ±1.96 of its errors cover 82 to 100 %. The value is the mean over the batches, the error that of their spread.

    Raises ValueError for fewer than two batches, or fewer than two points in one.
    """
    half = min(len(samples), len(held_out)) // (2 * max(batches, 1))
    if half < 1 or batches < 2:
        raise ValueError(f"{batches} batches of {2 * half} points: at least two of at least two are needed")
    p, p2, q, q2 = (
        part for points in (samples, held_out) for part in points[: 2 * batches * half].reshape(2, batches, half, -1)
    )
    values = _apart(p, q) + _apart(p2, q2) - _apart(p, p2) - _apart(q, q2)
    return float(values.mean()), error_of_batches(values.numpy())


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """e(A, B) in each batch, (B,), for a and b (B, n, d).

    By differences, not by products: with those, near points that are far from the origin lose their distance.
    """
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").mean((1, 2))
