from __future__ import annotations

from pathlib import Path

import pytest

TINY = """
name = "tiny"
description = "For tests."
models = ["oracle", "gaussian"]
targets = ["bimodal", "eight_gaussians"]
replicates = 2
train = 200

[sizes]
wasserstein = 50
sliced = 100
projections = 8
likelihood = 100
latent = 20
importance_samples = 50

[limits]
seconds = {seconds}
memory_gb = {memory_gb}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """The path of a suite that runs in a second."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.format(seconds=120, memory_gb=4))
    return str(path)
