"""Runs to be damaged: a small one that never ran, its cells as the store keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from benchmarks import store as stores
from benchmarks.content import content_of
from benchmarks.store import Store
from metrics import METRICS

TARGETS = {"bimodal": 1, "rings": 2}
MODELS = ("oracle", "gaussian_vae", "gaussian")
REPLICATES = 2
MACHINE = {"cores": "2", "system": "Linux"}
MANIFEST: dict[str, Any] = {
    "suite": "tiny",
    "description": {
        "name": "tiny",
        "description": "For tests.",
        "train": 200,
        "sizes": {"wasserstein": 50, "latent": 20},
        "budget": {"effort": 1.0, "cpu_seconds": None, "parameters": None},
        "limits": {"seconds": 60.0, "memory_gb": 4},
        "models": list(MODELS),
        "targets": list(TARGETS),
    },
    "targets": [
        {"name": name, "summary": "a law", "dimension": d, "image": None, "source": "benchmarks.targets.planar:Rings"}
        for name, d in TARGETS.items()
    ],
    "models": list(MODELS),
    "model_sources": {name: {"source": "models.gaussian:Gaussian"} for name in MODELS},
    "replicates": REPLICATES,
    "command": "pushforward run tiny.toml",
    "versions": {"torch": "2"},
    "machine": MACHINE,
    "device": "cpu",
}


def rows(target: str, model: str) -> list[dict[str, Any]]:
    return [
        {"target": target, "model": model, "replicate": r, "metric": name, "value": 0.5 + r, "error": 0.1}
        | {"status": "ok", "reason": ""}
        for r in range(REPLICATES)
        for name in METRICS
    ]


def header(target: str, model: str) -> dict[str, str]:
    costs = [
        {"target": target, "model": model, "replicate": r, "metric": "fit_cpu_seconds", "value": 1.5}
        for r in range(REPLICATES)
    ]
    return {
        "key": "0" * 64,
        "status": "ok",
        "reason": "",
        "scores": json.dumps(rows(target, model)),
        "costs": json.dumps(costs),
        "machine": json.dumps(MACHINE),
    }


def arrays(dimension: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "0/samples": torch.randn(20, dimension, generator=generator),
        "0/window": torch.stack([-torch.ones(dimension), torch.ones(dimension)]),
        "0/history/step": torch.arange(3.0),
        "0/history/training": torch.ones(3),
        "0/weights/weight": torch.ones(2, 2),
    }


def cell(head: dict[str, str], tensors: dict[str, torch.Tensor]) -> bytes:
    """A cell's file whose checksum is right, whatever it says."""
    return safetensors.torch.save(tensors, head | {"checksum": stores._checksum(head, tensors)})


def make(folder: Path) -> Path:
    """A whole run in this folder."""
    store = Store(folder)
    store.create()
    store.write_manifest(MANIFEST)
    for target, dimension in TARGETS.items():
        for model in MODELS:
            path = store.path(target, model)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cell(header(target, model), arrays(dimension)))
    store.renew_tables()
    return folder


def read_all(run: Path) -> None:
    """All that a report reads of a run."""
    content = content_of(Store(run))
    for target in content.targets:
        for model in content.models:
            content.pictures(target.name, model)
            content.curves(target.name, model)
