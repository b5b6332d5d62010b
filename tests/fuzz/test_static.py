"""What the package may not do at all, read from its source: no test has to find the way there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmarks", "metrics", "models")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

#: Modules that execute what they read, start programs, or open what is on the network.
MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "code", "codeop", "runpy"),
    *("subprocess", "pty", "ctypes", "webbrowser", "urllib", "requests", "http", "socket", "xml", "pathos"),
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.hub.load", "torch.jit.load"),
    *("os.system", "os.popen", "os.execv", "os.spawnv", "pd.read_pickle", "pandas.read_pickle", "pd.eval", "np.loads"),
    *("yaml.load", "joblib.load", "jinja2.Template", "np.fromfile", "np.memmap"),
}
METHODS = {"to_pickle", "read_pickle", "exec_module", "import_module", "import_string"}
ALLOWED = {
    ("benchmarks/loading.py", "exec_module"),  # plug-ins, which the user has named by path
    ("benchmarks/loading.py", "import_module"),  # or the package that they are part of
    ("benchmarks/lookup.py", "import_module"),  # or by an entry point
    ("benchmarks/speed/rivals.py", "import_module"),  # pythae, which need not be installed
    ("benchmarks/machine.py", "ctypes"),  # glibc is asked to give freed memory back
}
#: What makes a report of what a run holds, which others may have made.
READING = (
    *("content", "kept_metrics", "store", "csv_tables", "manifest"),
    *("names", "spreadsheet", "files", "compare", "merge"),
)
REPORT = [
    *sorted((ROOT / "benchmarks" / "report").glob("*.py")),
    *(ROOT / "benchmarks" / f"{name}.py" for name in READING),
]


def used(path: Path) -> list[str]:
    """What a file uses that it may not."""
    found = []
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names if alias.name.split(".")[0] in MODULES]
                found += [module for module in imported if (name, module) not in ALLOWED]
            case ast.ImportFrom(module=str(module)):
                found += [module] if module.split(".")[0] in MODULES else []
            case ast.Call(func=func, keywords=keywords):
                called = ast.unparse(func)
                last = called.rpartition(".")[2]
                if called in CALLS or (last in METHODS and (name, last) not in ALLOWED):
                    found.append(called)
                if called in ("np.load", "numpy.load", "np.lib.format.read_array"):
                    safe = [one for one in keywords if one.arg == "allow_pickle" and ast.unparse(one.value) == "False"]
                    found += [] if safe else [f"{called} without allow_pickle=False"]
                found += [f"{called}(allow_pickle=…)" for one in keywords if one.arg == "allow_pickle"
                          and ast.unparse(one.value) != "False"]  # fmt: skip
                found += [f"{called}(shell=True)" for one in keywords if one.arg == "shell"]
    return found


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(ROOT).as_posix() for path in FILES])
def test_nothing_unpickles_evaluates_or_starts_a_program(path: Path) -> None:
    assert used(path) == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.test_static.ROOT", tmp_path)
    path = tmp_path / "bad.py"
    path.write_text(
        "import pickle, subprocess\nfrom yaml import load\neval('1')\ntorch.load('x')\nnp.load('x')\n"
        "np.load('x', allow_pickle=True)\nimportlib.import_module('x')\nspec.loader.exec_module(m)\n"
    )
    assert len(used(path)) == 10


@pytest.mark.parametrize("path", REPORT, ids=[path.relative_to(ROOT).as_posix() for path in REPORT])
def test_what_reads_a_run_imports_no_plugin(path: Path) -> None:
    """Reports, comparisons and merges are made from what the store holds, without the code that made it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert not {name for name in names if name.startswith(("benchmarks.lookup", "benchmarks.again", "importlib.util"))}


def test_weights_are_read_by_safetensors_alone() -> None:
    """It is the one reader of arrays beside the one of NPY files; a check of models holds them to it."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        for word in ("safe_open", "safetensors.torch.load", "read_array", "np.load", "torch.load", "frombuffer")
        if word in path.read_text(encoding="utf-8")
    }
    assert readers == {"benchmarks/store.py", "benchmarks/targets/user_data.py", "benchmarks/checks/randomness.py"}
