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


def test_the_example_metrics_score_a_run(tmp_path):
    text = (ROOT / "metrics" / "README.md").read_text(encoding="utf-8")
    example = next(
        block for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "def spread" in block
    )
    (tmp_path / "my_metrics.py").write_text(example, encoding="utf-8")
    (tmp_path / "short.toml").write_text(
        'name = "short"\ndescription = ""\nmodels = ["oracle", "gaussian_vae", "gaussian"]\ntargets = ["two_moons"]\n'
        "replicates = 1\ntrain = 500\n[budget]\neffort = 0.02\n"
        "[sizes]\nwasserstein = 50\nsliced = 2_000\nlatent = 20\nimportance_samples = 20\ngaps = 2\n"
    )
    benchmarks.run(str(tmp_path / "short.toml"), out=tmp_path / "run")
    metrics = [f"{tmp_path}/my_metrics.py:{name}" for name in ("spread[draws=100]", "active_latents")]
    rows = benchmarks.score(tmp_path / "run", metrics).set_index(["metric", "model"])
    for model in ("oracle", "gaussian"):  # the moment-matched Gaussian has the target's spread too
        spread = rows.loc[("spread[draws=100]", model)]
        assert abs(spread["value"] - 1) < 0.1
        assert 0 < spread["error"] < 0.05
    latents = rows.loc["active_latents"]
    assert list(latents["status"]) == ["n/a", "ok", "n/a"]
    assert latents.loc["gaussian_vae", "value"] in (0, 1, 2)


@pytest.mark.parametrize(
    "name", ["README.md", *(f"{folder}/README.md" for folder in ("models", "metrics", "benchmarks"))]
)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / name).parent.joinpath(link).exists(), link
