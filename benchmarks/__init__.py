"""The harness: what is compared, where it runs, what is kept, what is shown.

import benchmarks
scores = benchmarks.run("smoke", models=["normalizing_flow", "gaussian"])
more = benchmarks.score("results/smoke", ["energy_distance"])
"""

from benchmarks.execution import run
from benchmarks.scoring import score

__all__ = ["run", "score"]
