"""What the README shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import benchmarks

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_quickstart_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quickstart = next(block for block in BLOCKS if "benchmarks.run" in block)
    exec(quickstart, {})
    assert "normalizing_flow" in capsys.readouterr().out


def test_the_example_model_is_a_model(tmp_path):
    example = next(block for block in BLOCKS if "class KernelDensity" in block)
    assert len(example.strip().splitlines()) <= 40
    path = tmp_path / "my_model.py"
    path.write_text(example, encoding="utf-8")
    scores = benchmarks.run(
        "smoke", models=[f"{path}:KernelDensity", "gaussian"], targets=["bimodal"], out=tmp_path / "run", workers=0
    )
    assert set(scores["status"]) <= {"ok", "n/a"}
    kl = scores[scores["metric"] == "kl"].groupby("model")["value"].median()
    assert kl["KernelDensity"] < 0.5 * kl["gaussian"]


@pytest.mark.parametrize(
    "name", ["README.md", *(f"{folder}/README.md" for folder in ("models", "metrics", "benchmarks"))]
)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / name).parent.joinpath(link).exists(), link
