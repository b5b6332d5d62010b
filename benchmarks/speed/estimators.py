"""The scores' own estimators against the plain ones: exact W2 against POT, log p against IWAE."""

from __future__ import annotations

from functools import partial

import numpy as np
import ot

from benchmarks import efficiency
from benchmarks.seeds import seed
from benchmarks.speed.measurement import Clock, Extent, Row, compared, interleaved, single
from metrics.transport import Array, solve

W2, LIKELIHOOD = "exact W2", "log-likelihood"
ITERATIONS = 10**8  # POT's own default stops short from n ≈ 4,000 on


def plain_w2_squared(x: Array, y: Array) -> float:
    """W2² between samples (n, d), as POT's documentation computes it."""
    n, m = len(x), len(y)
    return float(ot.emd2(np.full(n, 1 / n), np.full(m, 1 / m), ot.dist(x, y), numItermax=ITERATIONS))


def plain_sliced_w2_squared(x: Array, y: Array, projections: int) -> float:
    """Sliced W2² between samples (n, d), by POT."""
    return float(ot.sliced_wasserstein_distance(x, y, n_projections=projections, seed=0)) ** 2


def w2_rows(extent: Extent) -> list[Row]:
    """One transport as the suite solves it, with plan, potentials and certificate, against POT's value alone."""
    clock = Clock("cpu")
    rows = []
    for d in (2, 16):
        for n in extent.points:
            x, y = np.random.default_rng(seed("speed", d=d, n=n)).standard_normal((2, n, d))
            ways = {
                "ours": partial(clock.of, partial(solve, x, y)),
                "POT": partial(clock.of, partial(plain_w2_squared, x, y)),
            }
            seconds = interleaved(ways, extent.repetitions)
            case = f"N(0, I), d = {d}, n = {n:,}"
            pair = ("certified", seconds["ours"]), ("ot.dist, ot.emd2", seconds["POT"])
            rows.append(compared(W2, case, *pair, "CPU ms", 1e3))
    return rows


def likelihood_rows(extent: Extent, points: int = 30) -> list[Row]:
    """The suite's estimates of log p_θ(x) against IWAE-1000; the ratio is of CPU times to equal squared error."""
    cases = [
        partial(efficiency.linear_case, "linear, good encoder", 16, 64, points, widen=1.2),
        partial(efficiency.linear_case, "linear, diagonal encoder", 16, 64, points, diagonal=True),
        partial(efficiency.linear_case, "linear, shifted diagonal encoder", 16, 64, points, shift=2.5, diagonal=True),
        partial(efficiency.trained_case, points),
    ]
    efficiency.compare([efficiency.linear_case("first calls", 16, 64, 4)], (10,), 100)  # they load libraries
    table = efficiency.compare([make() for make in cases[: extent.cases]], sizes=(1_000,))
    cost = table.set_index(["case", "method"])["ms/point"]
    ours = table[table["method"] != efficiency.RIVAL]
    rows = []
    for case, method, milliseconds, ratio in ours[["case", "method", "ms/point", "× efficiency"]].to_numpy():
        sides = (method, milliseconds), (efficiency.RIVAL, cost[case, efficiency.RIVAL])
        rows.append(single(LIKELIHOOD, case, *sides, "CPU ms a point", ratio))
    return rows
