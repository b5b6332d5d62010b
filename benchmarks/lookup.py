"""How models, targets and custom metrics are found: by entry point, by file, or, for data, by the file that holds it.

Built-in ones use the same doors as everyone's: the entry points `pushforward.models`, `pushforward.targets` and
`pushforward.metrics`. A name that contains ".py:" is a file and an object in it. Either may be followed by arguments
for its constructor, as in `gaussian_vae[hidden=16]`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from benchmarks import arguments, names
from benchmarks.arguments import Arguments
from benchmarks.errors import UserError, short, unknown
from benchmarks.files import is_file
from benchmarks.loading import module_from_file
from benchmarks.targets.base import Target
from benchmarks.targets.user_data import load_data
from metrics.custom import CustomMetric
from models.base import Model

ORACLE = "oracle"
Kind = Literal["model", "target", "metric"]


@dataclass(frozen=True)
class Plugin:
    """Where one of a kind comes from: "package.module:Object", "/path/file.py:Object" or a data file.

    name: with the arguments, where there are any.
    """

    kind: Kind
    name: str
    source: str
    arguments: Arguments = ()

    def file(self) -> Path:
        """The file that defines it, or, for data, the data themselves."""
        path, _, attribute = self.source.rpartition(":")
        if not attribute.isidentifier():
            return Path(self.source)
        if path.endswith(".py"):
            return Path(path)
        found = importlib.util.find_spec(path)
        if found is None or found.origin is None:
            raise UserError(f"{self.kind} {self.name}: there is no module {path}")
        return Path(found.origin)

    def load(self) -> Any:
        """What makes the model or the target when it is called: with the plug-in's arguments, so without any.

        A metric is itself what is called, on what it is to score.
        """
        return partial(self.found(), **dict(self.arguments)) if self.arguments else self.found()

    def found(self) -> Any:
        """The object itself: a `Model` class, a callable that returns a `Target`, or a `CustomMetric`."""
        path, _, attribute = self.source.rpartition(":")
        if not attribute.isidentifier():
            return lambda: load_data(self.source)
        module = module_from_file(Path(path)) if path.endswith(".py") else importlib.import_module(path)
        if not hasattr(module, attribute):
            valid = [name for name in vars(module) if not name.startswith("_")]
            raise UserError(f"{path} has no {attribute!r}; it has {', '.join(valid)}")
        return getattr(module, attribute)


def available(kind: Kind) -> dict[str, Plugin]:
    """Everything that is installed, by name."""
    return {
        entry.name: Plugin(kind, entry.name, f"{entry.module}:{entry.attr}")
        for entry in entry_points(group=f"pushforward.{kind}s")
    }


def kind_of(name: str) -> Kind:
    """Whether a name is that of a model or of a target. Raises UserError if it is neither's."""
    bare, _ = arguments.split(name)
    if ".py:" in bare:
        path, _, attribute = bare.rpartition(":")
        if not is_file(path):
            raise UserError(f"{short(name)!r}: there is no file {short(path)}")
        found = _imported(Plugin("model", attribute, f"{Path(path).resolve()}:{attribute}"))
        return "model" if inspect.isclass(found) and issubclass(found, Model) else "target"
    models, targets = available("model"), available("target")
    if bare not in {*models, *targets, ORACLE}:
        raise unknown("model or target", bare, {*models, *targets})
    return "target" if bare in targets else "model"


def find(kind: Kind, name: str) -> Plugin:
    """The plug-in called `name`, with its arguments. Raises UserError if there is none, or if it is a sweep of them."""
    found = sweep(kind, name)
    if len(found) > 1:
        raise UserError(f"{kind} {name!r} is {len(found)} {kind}s; one is needed here")
    return found[0]


def find_all(kind: Kind, called: Sequence[str]) -> list[Plugin]:
    """The plug-ins called so, in this order. Raises UserError as `sweep` does, and where one is named twice."""
    return distinct([plugin for name in called for plugin in sweep(kind, name)])


def distinct(plugins: list[Plugin]) -> list[Plugin]:
    """The same ones. Raises UserError where two of a kind have one name: a run could not tell their cells apart."""
    written = Counter(plugin.name for plugin in plugins)
    twice = {plugin.name: plugin.kind for plugin in plugins if written[plugin.name] > 1}
    for name, kind in sorted(twice.items()):
        raise UserError(f"{kind} {name} is named twice")
    return plugins


def sweep(kind: Kind, name: str) -> list[Plugin]:
    """The plug-ins that `name` means: one, or one for each of the listed values of its arguments.

    Raises UserError if there is none, with the nearest valid names, and for arguments that it does not take.
    """
    bare, choices = arguments.split(name)
    plugin = _find(kind, bare)
    if choices == [()]:
        return [plugin]
    if plugin.name == ORACLE:
        raise UserError(f"{kind} {name!r}: {ORACLE} has no arguments")
    found = plugin.found()
    checked = [arguments.check(kind, plugin.name, found, each) for each in choices]
    written = [names.checked(kind, arguments.written(plugin.name, each)) for each in checked]
    plugins = [replace(plugin, name=one, arguments=each) for one, each in zip(written, checked, strict=True)]
    for each in plugins if kind != "metric" else ():
        try:
            each.load()()
        except (Exception, SystemExit) as error:
            raise UserError(f"{kind} {each.name}: {error or type(error).__name__}") from error
    return plugins


def _find(kind: Kind, name: str) -> Plugin:
    if kind == "model" and name == ORACLE:
        return Plugin("model", ORACLE, "benchmarks.oracle:oracle")
    if ".py:" in name:
        path, _, attribute = name.rpartition(":")
        if not is_file(path):
            raise UserError(f"{kind} {short(name)!r}: there is no file {short(path)}")
        plugin = Plugin(kind, names.checked(kind, attribute), f"{Path(path).resolve()}:{attribute}")
        _check(plugin)
        return plugin
    installed = available(kind)
    if name not in installed:
        raise unknown(kind, name, installed)
    names.checked(kind, name)
    return installed[name]


def data(path: str) -> Plugin:
    """A user's file as a target. Raises DataFileError if it cannot be one, UserError if its name cannot be."""
    target = load_data(path)
    return Plugin("target", names.checked("target", target.name), str(Path(path).resolve()))


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _imported(plugin: Plugin) -> Any:
    """The object itself. Raises UserError, with what went wrong, where its file cannot be imported."""
    try:
        return plugin.found()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{plugin.source} cannot be imported: {type(error).__name__}: {error}") from error


def _check(plugin: Plugin) -> None:
    found = _imported(plugin)
    if plugin.kind == "model" and not (inspect.isclass(found) and issubclass(found, Model)):
        raise UserError(f"{plugin.source} is not a model: it must be a class that inherits from models.base.Model")
    if plugin.kind == "metric" and not isinstance(found, CustomMetric):
        raise UserError(f"{plugin.source} is not a metric: it must be a function under @sample_metric or @model_metric")
    if plugin.kind == "target" and not (callable(found) and isinstance(_made(plugin, found), Target)):
        raise UserError(f"{plugin.source} is not a target: calling it must give a benchmarks.targets.base.Target")


def _made(plugin: Plugin, found: Callable[[], object]) -> object:
    """What it gives when it is called. Raises UserError, with what went wrong, where that fails."""
    try:
        return found()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{plugin.source} cannot be made without arguments: {type(error).__name__}: {error}") from error
