"""A score: a value with its error, or a word that says why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "n/a", "untrusted", "diverged", "failed", "timeout"]


@dataclass(frozen=True)
class Score:
    """One number with its standard error, or a status word with its reason; never inf, never nan, never imputed.

    value and error are None unless status is "ok" or "untrusted". An untrusted score keeps the value that its
    diagnostics reject, for whoever looks into it; tables show the word.
    """

    value: float | None
    error: float | None
    status: Status = "ok"
    reason: str = ""

    @classmethod
    def of(cls, value: float, error: float) -> Score:
        """A score, checked: a value or an error that is not finite becomes `untrusted`, with its reason."""
        if not (math.isfinite(value) and math.isfinite(error)):
            return cls(None, None, "untrusted", f"the estimate is not finite ({value:g} ± {error:g})")
        return cls(float(value), float(error))

    @classmethod
    def absent(cls, status: Status, reason: str) -> Score:
        """No number, and why."""
        return cls(None, None, status, reason)
