"""A cell's key is complete: whatever its scores depend on changes it, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
KEYS = """
import importlib.metadata, json, sys
from pathlib import Path
from benchmarks import execution, source

suite, folder, data = sys.argv[1:]
models = ["gaussian", "gaussian_vae", f"{folder}/alone.py:Alone", f"{folder}/package/part.py:Part"]
targets = ["bimodal", "eight_gaussians"]
real = importlib.metadata.version

def keys(**options):
    plan = execution.plan(suite, models=models, targets=targets, data=data, **options)
    return {cell.name: cell.key() for cell in plan.cells}

before = keys()
found = {}
for path in json.loads(sys.stdin.read()):
    old = Path(path).read_bytes()
    Path(path).write_bytes(old + (b"\\n# changed\\n" if path.endswith(".py") else old.splitlines()[-1] + b"\\n"))
    found[path] = keys()
    Path(path).write_bytes(old)
for library in ("torch", "POT", "rich", "pandas", "mypy"):
    importlib.metadata.version = lambda name: "0.0" if name == library else real(name)
    source.versions.cache_clear()
    source._known.clear()
    found[library] = keys()
importlib.metadata.version = real
source.versions.cache_clear()
source._known.clear()
found["replicates"] = keys(replicates=3)
text = Path(suite).read_text()
for change in ("wasserstein = 50", "train = 200"):
    Path(suite).write_text(text.replace(change, f"{change}1"))
    found[change] = keys()
Path(suite).write_text(text)
found["nothing"] = keys()
print(json.dumps({what: [name for name in before if before[name] != key[name]] for what, key in found.items()}))
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory) -> dict[str, list[str]]:
    """Which cells got another key, by what was changed: in a copy of the project, one thing at a time."""
    tmp_path = tmp_path_factory.mktemp("key")
    copy, mine = tmp_path / "copy", tmp_path / "mine"
    for package in ("models", "metrics", "benchmarks"):
        shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    (mine / "package").mkdir(parents=True)
    model = "from models.gaussian_ot import GaussianOT\n\n\nclass {}(GaussianOT):\n    pass\n"
    (mine / "alone.py").write_text("import helper\n" + model.format("Alone"))
    (mine / "helper.py").write_text("import rich\n")
    (mine / "package" / "__init__.py").write_text("")
    (mine / "package" / "part.py").write_text("from .deep import x\n" + model.format("Part"))
    (mine / "package" / "deep.py").write_text("x = 1\n")
    (mine / "unused.py").write_text("x = 1\n")
    data = mine / "measured.csv"
    np.savetxt(data, np.random.default_rng(0).normal(size=(100, 2)), delimiter=",", header="a,b", comments="")
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        'name = "tiny"\ndescription = ""\nmodels = ["gaussian"]\ntargets = ["bimodal"]\nreplicates = 2\n'
        "train = 200\n[sizes]\nwasserstein = 50\n"
    )
    paths = [str(copy / name) for name in PROJECT] + [str(mine / name) for name in MINE]
    result = subprocess.run(
        [sys.executable, "-c", KEYS, str(suite), str(mine), str(data)],
        input=json.dumps(paths),
        env={**os.environ, "PYTHONPATH": str(copy)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    return {what.removeprefix(f"{copy}/").removeprefix(f"{mine}/"): cells for what, cells in found.items()}


TARGETS = ("bimodal", "eight_gaussians", "measured")
MODELS = ("gaussian", "gaussian_vae", "Alone", "Part")
ALL = {f"{target} × {model}" for target in TARGETS for model in MODELS}
PROJECT = {
    "models/gaussian_vae.py": {f"{target} × gaussian_vae" for target in TARGETS},
    "models/networks.py": {f"{target} × gaussian_vae" for target in TARGETS},
    "models/gaussian_ot.py": {f"{target} × {model}" for target in TARGETS for model in ("Alone", "Part")},
    "models/ot_map.py": set(),
    "models/training.py": ALL,
    "metrics/wasserstein.py": ALL,
    "benchmarks/cell.py": ALL,
    "benchmarks/seeds.py": ALL,
    "benchmarks/targets/planar.py": {f"eight_gaussians × {model}" for model in MODELS},
    "benchmarks/engine.py": set(),
    "benchmarks/report/tables.py": set(),
}
MINE = {
    "alone.py": {f"{target} × Alone" for target in TARGETS},
    "helper.py": {f"{target} × Alone" for target in TARGETS},
    "package/deep.py": {f"{target} × Part" for target in TARGETS},
    "package/__init__.py": {f"{target} × Part" for target in TARGETS},
    "measured.csv": {f"measured × {model}" for model in MODELS},
    "unused.py": set(),
}
OTHER = {
    "torch": ALL,
    "POT": ALL,
    "rich": {f"{target} × Alone" for target in TARGETS},
    "pandas": {f"measured × {model}" for model in MODELS},
    "mypy": set(),
    "replicates": ALL,
    "wasserstein = 50": ALL,
    "train = 200": ALL,
    "nothing": set(),
}


@pytest.mark.parametrize("what", [*PROJECT, *MINE, *OTHER])
def test_a_change_gives_exactly_the_cells_that_depend_on_it_another_key(changed, what):
    assert set(changed[what]) == (PROJECT | MINE | OTHER)[what]
