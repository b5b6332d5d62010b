"""What a run.json has to say. It may come from anywhere: what is read of it is checked before anything follows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from benchmarks import names
from benchmarks.errors import UserError
from benchmarks.suite import LARGEST, MOST_REPLICATES

MOST_DIMENSIONS = 1_000_000


def _name(name: str) -> str:
    if why := names.problem(name):
        raise ValueError(f"it cannot be the name of a file: {why}")
    return name


def _once(found: list[Any]) -> list[Any]:
    counts = Counter(each.name if isinstance(each, Target) else each for each in found)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is named twice")
    return found


Name = Annotated[StrictStr, AfterValidator(_name)]
Words = dict[StrictStr, StrictStr]
Side = Annotated[StrictInt, Field(ge=1, le=MOST_DIMENSIONS)]
Size = Annotated[StrictInt, Field(ge=1, le=LARGEST)]


class Target(BaseModel):
    """A target of a run."""

    name: Name
    summary: StrictStr = ""
    dimension: Annotated[StrictInt, Field(ge=1, le=MOST_DIMENSIONS)] | None = None
    image: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    source: StrictStr = ""
    sha256: StrictStr = ""


class Description(BaseModel):
    """The suite of a run."""

    description: StrictStr | None = None
    train: Size | None = None
    models: list[StrictStr] = []
    targets: list[StrictStr] = []
    sizes: dict[StrictStr, Size] | None = None
    budget: dict[StrictStr, StrictInt | StrictFloat | None] = {}
    limits: dict[StrictStr, StrictInt | StrictFloat | None] = {}


class Source(BaseModel):
    """Where a model was."""

    source: StrictStr = ""
    sha256: StrictStr = ""


class Manifest(BaseModel):
    """A run.json. Every part may be missing; one that is there is what it should be."""

    suite: StrictStr | None = None
    description: Description = Description()
    targets: Annotated[list[Target], Field(min_length=1), AfterValidator(_once)] | None = None
    models: Annotated[list[Name], Field(min_length=1), AfterValidator(_once)] | None = None
    model_sources: dict[StrictStr, Source] = {}
    replicates: Annotated[StrictInt, Field(ge=1, le=MOST_REPLICATES)] | None = None
    command: StrictStr | None = None
    versions: Words | None = None
    machine: Words | None = None
    device: StrictStr | None = None


def check(content: Mapping[str, Any], path: Path, *, whole: bool = False) -> None:
    """Raise UserError where the content of this run.json is not a run's; whole: it also has to be complete."""
    try:
        found = Manifest.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise UserError(f"{path} is not a run's: {_first(error)}") from error
    if not whole:
        return
    about = found.description
    parts: dict[str, object] = {key: getattr(found, key) for key in Manifest.model_fields}
    parts |= {f"description.{key}": getattr(about, key) for key in ("description", "train", "sizes")}
    parts |= {f"targets.{i}.dimension": target.dimension for i, target in enumerate(found.targets or ())}
    missing = [key for key, value in parts.items() if value is None]
    if missing:
        raise UserError(
            f"{path} is not a run's, or of another version: it lacks {missing[0]}; `pushforward run` writes it anew"
        )
    for target in found.targets or ():
        if target.image is not None and target.image[0] * target.image[1] != target.dimension:
            raise UserError(f"{path} is not a run's: an image of {target.name} is not {target.dimension} numbers")


def _first(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
