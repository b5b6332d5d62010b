"""The analysis of bias and spread: its numbers against closed forms, and its files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import sample_size


def test_bias_is_plain_before_and_as_allowed_for_after_debiasing() -> None:
    runs = sample_size.measure(2, 60, 200)
    table = sample_size.summary(runs).set_index("scale")
    noise = table["debiased_spread"] / 200**0.5
    assert abs(table["debiased_bias"][1.0]) < 4 * noise[1.0]
    short = table["allowance"][1.1]
    assert abs(table["debiased_bias"][1.1] + short) < 4 * noise[1.1]
    assert table["plain_bias"][1.0] > 20 * table["plain_spread"][1.0] / 200**0.5
    assert table["floor_bias"][1.1] > 0


def test_it_writes_a_table_and_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_size, "POINTS", {1: 500, 2: 500})
    monkeypatch.setattr(sample_size, "LARGEST", {1: 125, 2: 125})
    sample_size.run(tmp_path)
    assert len(pd.read_csv(tmp_path / "tables" / "sample_size.csv")) == 4
    assert (tmp_path / "figures" / "sample_size.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "figures" / "sample_size.svg").read_bytes()
