"""What is found by name or by file, and how what cannot be used is refused."""

from __future__ import annotations

import pytest

from benchmarks import lookup
from benchmarks.errors import UserError


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("class Mine(ExactTarget):\n    def __init__(self, a): ...", "cannot be made without arguments: TypeError"),
        ("def Mine(): raise RuntimeError('no data')", "cannot be made without arguments: RuntimeError: no data"),
        ("Mine = 3", "is not a target"),
    ],
)
def test_what_is_no_target_is_said_in_one_line(code, why, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"from benchmarks.targets.base import ExactTarget\n{code}\n")
    with pytest.raises(UserError, match=why):
        lookup.find("target", f"{path}:Mine")
