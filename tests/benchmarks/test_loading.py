from __future__ import annotations

import sys

import pytest

from benchmarks.loading import module_from_file


@pytest.fixture
def folder(tmp_path):
    """Somewhere that Python does not look for modules; what was loaded from there is forgotten afterwards."""
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def test_what_lies_beside_a_plugin_is_found_and_is_the_newest(folder):
    plugin, helper = folder / "plugin.py", folder / "beside_the_plugin.py"
    plugin.write_text("import beside_the_plugin\nvalue = beside_the_plugin.value\n")
    helper.write_text("value = 1\n")
    assert module_from_file(plugin).value == 1
    helper.write_text("value = 2\n")
    assert module_from_file(plugin).value == 2
    assert not list(folder.rglob("__pycache__"))


def test_two_plugins_have_each_its_own_helper_of_the_same_name(folder):
    for value in (1, 2):
        place = folder / str(value)
        place.mkdir()
        (place / "helper_of_both.py").write_text(f"value = {value}\n")
        (place / "plugin.py").write_text("from helper_of_both import value\n")
    assert [module_from_file(folder / each / "plugin.py").value for each in ("1", "2", "1")] == [1, 2, 1]


def test_a_part_of_a_package_has_its_relative_imports(folder):
    package = folder / "a_package" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package.parent / "far.py").write_text("value = 1\n")
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text("from ..far import value\nimport a_package.far\n")
    assert module_from_file(package / "plugin.py").value == 1


def test_a_helper_imported_only_when_it_is_needed_is_found(folder):
    (folder / "late_helper.py").write_text("value = 1\n")
    (folder / "plugin.py").write_text("def late():\n    import late_helper\n    return late_helper.value\n")
    assert module_from_file(folder / "plugin.py").late() == 1


def test_a_module_of_the_same_name_from_elsewhere_stays(folder):
    import colorsys

    (folder / "colorsys.py").write_text("value = 1\n")
    (folder / "plugin.py").write_text("from colorsys import value\n")
    assert module_from_file(folder / "plugin.py").value == 1
    assert sys.modules["colorsys"] is colorsys
