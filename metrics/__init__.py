"""The scores, each with its error."""

from metrics.catalogue import METRICS, Metric
from metrics.evaluation import HeldOut, Reference, Scores, Sizes, reference, score
from metrics.score import Score

__all__ = ["METRICS", "HeldOut", "Metric", "Reference", "Score", "Scores", "Sizes", "reference", "score"]
