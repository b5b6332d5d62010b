"""The energy distance between two laws, from a sample of each: the metric that shows how metrics are added."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from metrics.custom import sample_metric
from metrics.debiasing import error_of_batches

FOLD = 4  # held-out points to a sample: they are there, and the noise of a zero distance falls by three eighths


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

    samples (n, d), held_out (m, d): all samples, and four times as many held-out points where there are, make `batches`
    batches, each of two halves P and P′, Q and Q′. With e(A, B) the mean |a − b| over all pairs, a batch says

        e(P, Q) + e(P′, Q′) − e(P, P′) − e(Q, Q′),

    whose mean is right because all four are independent, and whose law is symmetric between equal laws (as in
    debiasing.py): a product of independent differences. The U-statistic of all points has a square there, whose low
    values come with low errors, and ±1.96 of them cover 82 to 100 %. The value is the mean over the batches, the error
    that of their spread; ±1.96 of it cover 94 to 98 %, the most between equal laws.

    Raises ValueError for fewer than two batches, or fewer than two points of either sample in one.
    """
    shares = 2 * max(batches, 1)
    n = len(samples) // shares
    m = min(FOLD * n, len(held_out) // shares)
    if batches < 2 or n < 1 or m < 1:
        raise ValueError(
            f"{len(samples)} samples and {len(held_out)} held-out points do not make {batches} batches: "
            "there have to be two or more, with two or more points of each in every one"
        )
    p, p2 = samples[: n * shares].reshape(2, batches, n, -1)
    q, q2 = held_out[: m * shares].reshape(2, batches, m, -1)
    values = _apart(p, q) + _apart(p2, q2) - _apart(p, p2) - _apart(q, q2)
    return float(values.mean()), error_of_batches(values.numpy())


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """e(A, B) in each batch, (B,), for a and b (B, n, d).

    By differences, not by products: with those, near points that are far from the origin lose their distance.
    """
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").mean((1, 2))
