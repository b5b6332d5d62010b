from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import TINY


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """The path of a suite that runs in a second."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.format(seconds=120, memory_gb=4))
    return str(path)
