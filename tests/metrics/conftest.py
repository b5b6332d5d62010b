from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    """Metrics are evaluated without gradients, as `evaluation.score` does."""
    with torch.no_grad():
        yield
