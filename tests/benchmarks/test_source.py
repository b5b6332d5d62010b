from __future__ import annotations

from pathlib import Path

from benchmarks import source


def digest(file: Path) -> str:
    source._imports.cache_clear()
    return source.source_digest([file])


def reached_from(file: Path) -> set[Path]:
    """This file and all of the project's that it imports, directly or not."""
    reached, waiting = set(), [file]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting += source._imports(file)
    return reached


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


def test_a_model_reaches_its_contract_and_its_training_loop():
    models = Path(source.__file__).parent.parent / "models"
    reached = reached_from(models / "gaussian_vae.py")
    assert {models / "base.py", models / "training.py", models / "networks.py"} <= reached
    assert models / "l2_autoencoder.py" not in reached


def test_a_cell_does_not_depend_on_where_it_runs_or_how_it_is_shown():
    names = {file.name for file in reached_from(Path(source.__file__).parent / "cell.py")}
    assert {"evaluation.py", "wasserstein.py", "seeds.py", "training.py"} <= names
    assert not names & {"engine.py", "store.py", "cli.py", "content.py", "tables.py", "ot_map.py", "planar.py"}
