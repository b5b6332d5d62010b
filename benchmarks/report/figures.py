"""The figures of a report and their captions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.files import write_bytes
from benchmarks.report import dots, gaps, wall
from benchmarks.report.content import Content
from benchmarks.report.style import encode

#: Name to (title, caption, the function that draws it), in the order of the page.
FIGURES: dict[str, tuple[str, str, Callable[[Content], Figure]]] = {
    "wall": ("Densities and samples", wall.CAPTION, wall.wall),
    "kl": ("KL by target", dots.CAPTIONS["kl"], lambda content: dots.by_target(content, "kl")),
    "w2": ("Wasserstein distance by target", dots.CAPTIONS["w2_squared"], lambda c: dots.by_target(c, "w2_squared")),
    "elbo_gap": ("The ELBO gap and its parts", gaps.CAPTION, gaps.gaps),
    "cost": ("Score against cost", dots.CAPTIONS["cost"], dots.against_cost),
}


def draw(content: Content) -> dict[str, dict[str, bytes]]:
    """Every figure as PNG and SVG: name to suffix to bytes."""
    return {name: _encode(make(content)) for name, (_, _, make) in FIGURES.items()}


def write_figures(content: Content, folder: Path) -> list[Path]:
    """Every figure as PNG and SVG in this folder. The paths that were written."""
    return save(draw(content), folder)


def write_hero(content: Content, folder: Path) -> Path:
    """The wall of the two-dimensional targets alone, which opens the README; of all, where there are none."""
    plane = [target for target in content.targets if target.dimension == 2]
    figure = wall.wall(replace(content, targets=plane or content.targets))
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
