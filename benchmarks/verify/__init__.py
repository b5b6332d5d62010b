"""The ledger: every estimator of the suite against answers that were known before (`pushforward verify`)."""

from benchmarks.verify.check import FAIL, PASS, Check
from benchmarks.verify.ledger import GROUPS, checks_of, frame_of, table_of, verify, write

__all__ = ["FAIL", "GROUPS", "PASS", "Check", "checks_of", "frame_of", "table_of", "verify", "write"]
