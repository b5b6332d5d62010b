"""The figures of a report and their captions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.files import write_bytes
from benchmarks.report import dots, families, gaps, machines, training, wall
from benchmarks.report.content import GAUSSIAN, Content
from benchmarks.report.style import encode

#: How many models one wall shows beside the target: more would be too small to see.
ON_A_WALL = 8


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn, its title and its caption."""

    title: str
    caption: str
    make: Callable[[], Figure]


def figures(content: Content) -> dict[str, Drawing]:
    """The figures of a run by name, in the order of the page: first the walls, one where all models fit on it."""
    return (
        walls(content)
        | {
            "kl": Drawing("KL by target", dots.CAPTIONS["kl"], partial(dots.by_target, content, "kl")),
            "w2": Drawing(
                "Wasserstein distance by target",
                dots.CAPTIONS["w2_squared"],
                partial(dots.by_target, content, "w2_squared"),
            ),
            "elbo_gap": Drawing("The ELBO gap and its parts", gaps.CAPTION, partial(gaps.gaps, content)),
        }
        | _costs(content)
        | _training(content)
    )


def _costs(content: Content) -> dict[str, Drawing]:
    """Score against cost: one figure, or "cost", "cost_2" and so on for the machines of a run, one each."""
    title, caption, found = "Score against cost", dots.CAPTIONS["cost"], {}
    for i, label in enumerate(list(machines.machines(content)) or [""]):
        found["cost" if i == 0 else f"cost_{i + 1}"] = Drawing(
            f"{title}: {label}" if label else title,
            f"{caption} {machines.explained(content)}".strip(),
            partial(dots.against_cost, content, machine=label),
        )
    return found


def _training(content: Content) -> dict[str, Drawing]:
    if not training.trained(content):
        return {}
    return {"training": Drawing("Training curves", training.CAPTION, partial(training.training, content))}


def walls(content: Content) -> dict[str, Drawing]:
    """The walls of densities and samples, whole families together: "wall", "wall_2" and so on."""
    sheets = families.sheets(content, ON_A_WALL)
    if GAUSSIAN in content.models:
        # Where the last wall is full, the frame would make it a little narrower, not a wall of its own.
        sheets[-1] = [*sheets[-1], GAUSSIAN]
    found = {}
    for i, models in enumerate(sheets):
        title = "Densities and samples"
        if len(sheets) > 1:
            title += f": {', '.join(dict.fromkeys(families.family(model) for model in models if model != GAUSSIAN))}"
        name = f"wall_{i + 1}" if i else "wall"
        found[name] = Drawing(title, wall.CAPTION, partial(wall.wall, content, models))
    return found


def draw(content: Content) -> dict[str, dict[str, bytes]]:
    """Every figure as PNG and SVG: name to suffix to bytes."""
    return {name: _encode(drawing.make()) for name, drawing in figures(content).items()}


def write_figures(content: Content, folder: Path) -> list[Path]:
    """Every figure as PNG and SVG in this folder. The paths that were written."""
    return save(draw(content), folder)


def write_hero(content: Content, folder: Path) -> Path:
    """The wall of the two-dimensional targets and the four machines, which opens the README; of all targets, where
    there are none in the plane."""
    plane = [target for target in content.targets if target.dimension == 2]
    shown = [*families.machines(content), *([GAUSSIAN] if GAUSSIAN in content.models else [])]
    figure = wall.wall(replace(content, targets=plane or content.targets), shown)
    return write_bytes(folder / "hero.png", encode(figure, "png"))


def save(drawn: dict[str, dict[str, bytes]], folder: Path) -> list[Path]:
    """Write what `draw` drew."""
    return [
        write_bytes(folder / f"{name}.{suffix}", data)
        for name, files in drawn.items()
        for suffix, data in files.items()
    ]


def _encode(figure: Figure) -> dict[str, bytes]:
    return {suffix: encode(figure, suffix) for suffix in ("png", "svg")}
