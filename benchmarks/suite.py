"""A suite: which models, targets, replicates, sizes and budget are compared. TOML in, validated objects out."""

from __future__ import annotations

import dataclasses
import re
import sys
import tomllib
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, with_config
from pydantic_core import ErrorDetails

from benchmarks.errors import UserError, short, unknown
from benchmarks.files import is_file
from metrics import Sizes
from models.base import Budget

#: More than this of anything, points or parameters, is a slip of the hand: no machine holds it.
LARGEST = 100_000_000
MOST_REPLICATES = 1_000
MOST_BYTES = 100_000
MOST_DOTS = 100  # of a key: the time that a TOML parser takes grows with their square

FORBID_UNKNOWN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
with_config(FORBID_UNKNOWN)(Sizes)
with_config(FORBID_UNKNOWN)(Budget)


class Limits(BaseModel):
    """What one cell may take before it is stopped: wall-clock seconds, and gigabytes of memory for its worker."""

    model_config = FORBID_UNKNOWN
    seconds: float = Field(default=1800, gt=0, le=1e8)
    memory_gb: float = Field(default=8, gt=0, le=1e6)


class Suite(BaseModel):
    """A validated suite. `train` is the number of training points; the other sizes are those of the metrics."""

    model_config = FORBID_UNKNOWN
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    description: str
    models: list[str] = Field(min_length=1)
    targets: list[str] = Field(min_length=1)
    replicates: int = Field(ge=1, le=MOST_REPLICATES)
    train: int = Field(default=20_000, ge=50, le=LARGEST)
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
    if not is_file(name):
        raise UserError(f"{short(name)}: there is no such file")
    return read(Path(name))


def read(path: Path) -> Suite:
    """Read and validate one TOML file. Raises UserError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from error
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: a suite has at most {MOST_BYTES:,} bytes")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.partition("=")[0].count(".") > MOST_DOTS:
            raise UserError(f"{path}:{number}: a key with more than {MOST_DOTS} dots")
    try:
        suite = Suite.model_validate(tomllib.loads(text))
    except RecursionError as error:
        raise UserError(f"{path}: not a suite: it is nested too deeply") from error
    except ValidationError as error:
        # an unknown key first: the key that it was meant to be is then reported as missing
        first = min(error.errors(), key=lambda one: one["type"] not in UNKNOWN_KEY)
        raise UserError(f"{path}{_line(text, first['loc'])}: {_explain(first)}") from error
    except ValueError as error:  # TOMLDecodeError, and a number of more digits than Python reads
        raise UserError(f"{path}: not valid TOML: {error}") from error
    _check_numbers(suite, path, text)
    return suite


def _check_numbers(suite: Suite, path: Path, text: str) -> None:
    """Sizes and the budget are plain dataclasses, of the metrics and the models, which cannot say what they may be."""
    for key, value in vars(suite.sizes).items():
        if not 1 <= value <= LARGEST:
            limits = "at least 1" if value < 1 else f"at most {LARGEST:,}"
            raise UserError(f"{path}{_line(text, (key,))}: sizes.{key} = {_quoted(value)}: a size must be {limits}")
    for key, value in vars(suite.budget).items():
        if value is not None and not 0 < value <= sys.float_info.max:  # also for whole numbers, which have no infinity
            said = _quoted(value)
            raise UserError(f"{path}{_line(text, (key,))}: budget.{key} = {said}: it must be positive, and finite")


def _explain(error: ErrorDetails) -> str:
    """What is wrong with one value, in words; for an unknown key, with the nearest valid ones."""
    location = error["loc"]
    where = ".".join(str(part) for part in location)
    if error["type"] in UNKNOWN_KEY:
        table = str(location[0]) if len(location) > 1 else ""
        return str(unknown("key", str(location[-1]), KEYS[table]))
    return f"{where}: {error['msg']}" + ("" if error["type"] == "missing" else f", not {_quoted(error['input'])}")


def _quoted(value: object) -> str:
    """A value as it was written; no more than its kind where it is a table, a list or a number without end."""
    if isinstance(value, dict | list) or (isinstance(value, int) and value.bit_length() > 256):
        return f"this {type(value).__name__}"
    return repr(short(value) if isinstance(value, str) else value)


def _line(text: str, location: tuple[int | str, ...]) -> str:
    """`:LINE` of the key that a validation error is about, or nothing where the key is absent."""
    names = [part for part in location if isinstance(part, str)]
    for number, line in enumerate(text.splitlines(), start=1):
        if names and re.match(rf"\s*\"?{re.escape(names[-1])}\"?\s*=", line):
            return f":{number}"
    return ""
