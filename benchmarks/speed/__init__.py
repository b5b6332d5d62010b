"""What the suite costs beside the plain way of doing the same work with the same libraries (`pushforward speed`).

One process, one thread, CPU seconds by `time.process_time`; what is compared is measured in turn, and shown with the
range of the ratio over the repetitions, because a shared machine has moods. Ratios are to be trusted, seconds are the
machine's.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from benchmarks.cell import single_threaded
from benchmarks.errors import UserError
from benchmarks.speed.estimators import likelihood_rows, w2_rows
from benchmarks.speed.harness import harness_rows
from benchmarks.speed.measurement import FULL, QUICK, Extent
from benchmarks.speed.report import frame_of, markdown, write
from benchmarks.speed.rivals import pythae_is_installed
from benchmarks.speed.script import script_rows
from benchmarks.speed.training import training_rows

__all__ = ["FULL", "QUICK", "Extent", "check_device", "frame_of", "markdown", "measure", "write"]

RUN = Path("results/published")


def measure(extent: Extent = FULL, device: str = "cpu", run: Path = RUN) -> tuple[pd.DataFrame, list[str]]:
    """All measurements as one table, and what could not be measured, in words.

    device: where models train; on "cuda" the training steps alone are measured, in wall-clock seconds. run: the run
    whose own costs the suite is represented by. Raises UserError for a device that is not there.
    """
    check_device(device)
    with single_threaded(), torch.no_grad():
        rows = training_rows(extent, device)
        if device != "cpu":
            return frame_of(rows), [f"On {device}, in wall-clock seconds: training steps alone."]
        rows += w2_rows(extent)
        rows += likelihood_rows(extent)
        of_script = script_rows(extent, run)
        rows += of_script
        rows += harness_rows(extent)
    notes = []
    if not pythae_is_installed():
        notes.append("pythae is not installed (`pip install --no-deps pythae imageio`): its trainer was not measured.")
    if not of_script:
        notes.append(f"{run} holds no run made on this machine: the suite was not held against the script.")
    return frame_of(rows), notes


def check_device(device: str) -> None:
    """Raise UserError, in one line, for a device that is not there or that this cannot be measured on."""
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UserError(f"--device {device}: {str(error).splitlines()[0]}; use cpu or cuda") from error
    if kind not in ("cpu", "cuda"):
        raise UserError(f"--device {device}: speed is measured on cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {device}: this installation of torch sees no CUDA device; `cpu` always works")
