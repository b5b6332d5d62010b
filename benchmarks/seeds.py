"""A seed is a hash of named axes, so that "every model sees the same data" is a declaration and not a habit."""

from __future__ import annotations

import hashlib
import json

import torch


def seed(purpose: str, **axes: str | int) -> int:
    """A 63-bit seed from what the randomness is for and the axes it may depend on; the order of axes is irrelevant."""
    text = json.dumps([purpose, sorted(axes.items())])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(purpose: str, device: str = "cpu", **axes: str | int) -> torch.Generator:
    """A generator of its own for this purpose and these axes."""
    return torch.Generator(device=device).manual_seed(seed(purpose, **axes))
