"""The scores, each with its error."""

from metrics.catalogue import METRICS, Metric
from metrics.distances import Reference, reference
from metrics.evaluation import Scores, score
from metrics.held_out import HeldOut, Sizes
from metrics.integral import Rule
from metrics.score import Score

__all__ = ["METRICS", "HeldOut", "Metric", "Reference", "Rule", "Score", "Scores", "Sizes", "reference", "score"]
