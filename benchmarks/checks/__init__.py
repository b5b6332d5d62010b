"""Is my model right? Checks of the mathematics that a model or a target promises, by what it says it can do.

`pushforward check path/to/file.py:Class` runs them, and `parametrize_with_checks` makes one test of each. A check is a
function in `contract`, `randomness`, `data`, `density` and `latent`, for models, or in `targets`; it raises a
`CheckError` that says what was expected, what came, and where to look.
"""

from benchmarks.checks.catalogue import CHECKS
from benchmarks.checks.check import Check, CheckError
from benchmarks.checks.examination import Examination, Outcome, chosen, examine, expectations
from benchmarks.checks.parametrize import parametrize_with_checks

__all__ = [
    "CHECKS",
    "Check",
    "CheckError",
    "Examination",
    "Outcome",
    "chosen",
    "examine",
    "expectations",
    "parametrize_with_checks",
]
