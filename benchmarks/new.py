"""`pushforward new`: a model or a target to start from, with its test, written from a template that works."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import os
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Literal

from benchmarks import lookup
from benchmarks.errors import UserError
from benchmarks.files import write_text

Kind = Literal["model", "target"]


def create(kind: Kind, name: str, folder: Path) -> list[Path]:
    """Write NAME.py and test_NAME.py; their paths.

    name: as tables and the command line shall call it, in lower case with underscores. Raises UserError for another
    name, for one that is taken or that Python needs for something else, and where a file of that name is there: nothing
    is overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise UserError(f"{name!r}: a {kind}'s name is lower-case letters, digits and _, at most 40, as in my_{kind}")
    if name in {*lookup.available(kind), lookup.ORACLE}:
        raise UserError(f"there is a {kind} {name} already; choose another name")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise UserError(f"{name}.py would hide the Python package {name}; choose another name")
    if not os.path.isdir(folder):
        raise UserError(f"there is no directory {folder}")
    written = {folder / f"{name}.py": f"new_{kind}.py", folder / f"test_{name}.py": f"test_new_{kind}.py"}
    for path in written:
        if path.exists():
            raise UserError(f"{path} is there already, and nothing is overwritten")
    templates = resources.files("benchmarks") / "templates"
    texts = {path: (templates / template).read_text(encoding="utf-8") for path, template in written.items()}
    placeholder = f"New{kind.capitalize()}"
    if class_name(name) in set().union(*map(_imported, texts.values())) - {placeholder}:
        raise UserError(f"{name}: its class would hide {class_name(name)}, which its file needs; choose another name")
    for path, text in texts.items():
        write_text(path, text.replace(f"new_{kind}", name).replace(placeholder, class_name(name)))
    return list(written)


def class_name(name: str) -> str:
    """The class of a model or a target called so: `my_model` is MyModel."""
    return "".join(word.capitalize() for word in name.split("_"))


def _imported(code: str) -> set[str]:
    """The names that a file takes from others."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports for alias in node.names}
