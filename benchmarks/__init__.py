"""The harness: what is compared, where it runs, what is kept, what is shown.

import benchmarks
scores = benchmarks.run("smoke", models=["normalizing_flow", "gaussian"])
"""

from benchmarks.execution import run

__all__ = ["run"]
