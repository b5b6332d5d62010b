"""A suite: which models, targets, replicates, sizes and budget are compared. TOML in, validated objects out."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, with_config
from pydantic_core import ErrorDetails

from benchmarks.errors import UserError, unknown
from metrics import Sizes
from models.base import Budget

FORBID_UNKNOWN = ConfigDict(extra="forbid", frozen=True)
with_config(FORBID_UNKNOWN)(Sizes)
with_config(FORBID_UNKNOWN)(Budget)


class Limits(BaseModel):
    """What one cell may take before it is stopped: wall-clock seconds, and gigabytes of memory for its worker."""

    model_config = FORBID_UNKNOWN
    seconds: float = Field(default=1800, gt=0)
    memory_gb: float = Field(default=8, gt=0)


class Suite(BaseModel):
    """A validated suite. `train` is the number of training points; the other sizes are those of the metrics."""

    model_config = FORBID_UNKNOWN
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    description: str
    models: list[str] = Field(min_length=1)
    targets: list[str] = Field(min_length=1)
    replicates: int = Field(ge=1, le=1000)
    train: int = Field(default=20_000, ge=50)
    sizes: Sizes = Sizes()
    budget: Budget = Budget()
    limits: Limits = Limits()


UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
KEYS = {
    "": list(Suite.model_fields),
    "sizes": [field.name for field in dataclasses.fields(Sizes)],
    "budget": [field.name for field in dataclasses.fields(Budget)],
    "limits": list(Limits.model_fields),
}


def built_in() -> dict[str, Path]:
    """The suites that come with the package, by name."""
    folder = Path(str(resources.files("benchmarks") / "suites"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(name: str) -> Suite:
    """A suite by its name, or by the path of a TOML file.

    Raises UserError, with the file and the line, for whatever is wrong in it.
    """
    if not name.endswith(".toml"):
        suites = built_in()
        if name not in suites:
            raise unknown("suite", name, suites)
        return read(suites[name])
    return read(Path(name))


def read(path: Path) -> Suite:
    """Read and validate one TOML file. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from error
    try:
        content = tomllib.loads(text)
        _check_sizes(content, path, text)
        return Suite.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        # an unknown key first: the key that it was meant to be is then reported as missing
        first = min(error.errors(), key=lambda one: one["type"] not in UNKNOWN_KEY)
        raise UserError(f"{path}{_line(text, first['loc'])}: {_explain(first)}") from error


def _check_sizes(content: dict[str, object], path: Path, text: str) -> None:
    """Sizes are a plain dataclass of the metrics, which cannot say that they must be positive."""
    sizes = content.get("sizes")
    for key, value in sizes.items() if isinstance(sizes, dict) else ():
        if isinstance(value, int) and value < 1:
            raise UserError(f"{path}{_line(text, (key,))}: sizes.{key} = {value}: a size must be at least 1")


def _explain(error: ErrorDetails) -> str:
    """What is wrong with one value, in words; for an unknown key, with the nearest valid ones."""
    location = error["loc"]
    where = ".".join(str(part) for part in location)
    if error["type"] in UNKNOWN_KEY:
        table = str(location[0]) if len(location) > 1 else ""
        return str(unknown("key", str(location[-1]), KEYS[table]))
    return f"{where}: {error['msg']}" + ("" if error["type"] == "missing" else f", not {error['input']!r}")


def _line(text: str, location: tuple[int | str, ...]) -> str:
    """`:LINE` of the key that a validation error is about, or nothing where the key is absent."""
    names = [part for part in location if isinstance(part, str)]
    for number, line in enumerate(text.splitlines(), start=1):
        if names and re.match(rf"\s*\"?{re.escape(names[-1])}\"?\s*=", line):
            return f":{number}"
    return ""
