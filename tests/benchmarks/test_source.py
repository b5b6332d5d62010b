from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import source
from benchmarks.source import reached


def digest(file: Path) -> str:
    return source.source_digest([file])


def test_a_change_in_a_plugin_or_in_what_it_imports_changes_the_digest(tmp_path):
    helper, plugin, other = tmp_path / "helper.py", tmp_path / "plugin.py", tmp_path / "other.py"
    helper.write_text("x = 1\n")
    plugin.write_text("import helper\n")
    other.write_text("y = 1\n")
    before = digest(plugin)
    other.write_text("y = 2\n")
    assert digest(plugin) == before
    helper.write_text("x = 2\n")
    after = digest(plugin)
    assert after != before
    plugin.write_text("import helper  # changed\n")
    assert digest(plugin) != after


@pytest.mark.parametrize(
    ("statement", "files"),
    [
        ("from .near import x", {"near.py"}),
        ("from . import near", {"near.py"}),
        ("from ..far import x", {"../far.py"}),
        ("from ..other.deep import x", {"../other/__init__.py", "../other/deep.py"}),
        ("import package.other.deep", {"../other/__init__.py", "../other/deep.py"}),
        ("from package.other import deep", {"../other/__init__.py", "../other/deep.py"}),
        ("def fit():\n    import near", {"near.py"}),
        ("import json, numpy.linalg", set()),
        ("from . import nothing", set()),
    ],
)
def test_every_kind_of_import_is_followed_in_a_package(tmp_path, statement, files):
    inner = tmp_path / "package" / "inner"
    for name in ("__init__.py", "near.py", "../__init__.py", "../far.py", "../other/__init__.py", "../other/deep.py"):
        (inner / name).parent.mkdir(parents=True, exist_ok=True)
        (inner / name).resolve().write_text("x = 1\n")
    plugin = inner / "plugin.py"
    plugin.write_text(f"{statement}\n")
    own = {plugin, inner / "__init__.py", tmp_path / "package" / "__init__.py"}
    assert reached([plugin]) - own == {(inner / name).resolve() for name in files}


def test_the_digest_is_the_same_wherever_the_files_lie(tmp_path):
    for place in (tmp_path / "a", tmp_path / "b"):
        (place / "package").mkdir(parents=True)
        (place / "package" / "__init__.py").write_text("")
        (place / "package" / "plugin.py").write_text("from .helper import x\n")
        (place / "package" / "helper.py").write_text("x = 1\n")
    assert digest(tmp_path / "a/package/plugin.py") == digest(tmp_path / "b/package/plugin.py")


def test_what_an_installed_plugin_imports_is_followed_within_its_package_only():
    import filelock

    files = reached([Path(filelock.__file__)])
    assert len(files) > 1
    assert {source.root(file) for file in files} == {Path(filelock.__file__).parents[1]}
    assert {file.relative_to(source.root(file)).parts[0] for file in files} == {"filelock"}


def test_other_libraries_count_with_their_versions(tmp_path):
    (tmp_path / "helper.py").write_text("import rich.table\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import helper, json, torch\n")
    assert list(source.libraries([plugin])) == ["rich"]


def test_a_model_reaches_its_contract_and_its_training_loop():
    models = Path(source.__file__).parent.parent / "models"
    files = reached([models / "gaussian_vae.py"])
    assert {models / "base.py", models / "training.py", models / "networks.py"} <= files
    assert models / "l2_autoencoder.py" not in files


def test_a_cell_does_not_depend_on_where_it_runs_or_how_it_is_shown():
    names = {file.name for file in reached([Path(source.__file__).parent / "cell.py"])}
    assert {"evaluation.py", "wasserstein.py", "seeds.py", "training.py"} <= names
    assert not names & {"engine.py", "store.py", "cli.py", "content.py", "tables.py", "ot_map.py", "planar.py"}
