"""Studies: falsifiable predictions, the cells that decide them, and the page that says how they came out."""

from __future__ import annotations

from benchmarks.study.planning import STUDIES, plan, study_of
from benchmarks.study.report import made, write

__all__ = ["STUDIES", "made", "plan", "study_of", "write"]
