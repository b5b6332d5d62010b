"""What the harness itself costs: the share of a run that is neither fit, nor score, nor sample."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import execution
from benchmarks.speed.measurement import Extent, Row, single

HARNESS = "harness"
GOAL = "< 2 %"


def harness_rows(extent: Extent, model: str = "normalizing_flow", target: str = "eight_gaussians") -> list[Row]:
    """A small run in this process, against what its own costs.csv says of fits, scores and samples.

    Another model runs first, and so the held-out samples and the target's own distances, which all models of a target
    share, are there already. The rest is drawing training data, the picture, hashing the sources, writing the store.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run(extent, "gaussian", target, Path(folder) / "first")
        wall, cpu = time.perf_counter(), time.process_time()
        plan = _run(extent, model, target, Path(folder) / "second")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        costs = plan.store.costs().groupby("metric")["value"].sum()
    sampling = costs["sample_seconds_per_1000"]
    # Fit and sample are kept in wall-clock seconds too, the score in CPU seconds only.
    rest_cpu = cpu - costs["fit_cpu_seconds"] - costs["score_cpu_seconds"] - sampling
    rest_wall = wall - costs["fit_seconds"] - costs["score_cpu_seconds"] - sampling
    case = f"{model}, {target}, {extent.replicates} replicates"
    return [
        single(HARNESS, case, ("all the rest", rest), ("the run", whole), unit, rest / whole, goal)
        for unit, rest, whole, goal in (("CPU s", rest_cpu, cpu, GOAL), ("wall-clock s", rest_wall, wall, ""))
    ]


def _run(extent: Extent, model: str, target: str, folder: Path) -> execution.Plan:
    plan = execution.plan(extent.suite, models=[model], targets=[target], replicates=extent.replicates, out=str(folder))
    execution.carry_out(plan, workers=0)
    return plan
