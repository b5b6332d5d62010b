"""The grid that figures of scores share: a panel for every target, in it a lane for every model, named at the left."""

from __future__ import annotations

import math

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import style
from benchmarks.report.content import Content

ACROSS = 3
LANE = 0.165  # inches
TITLE, TICKS = 0.25, 0.33  # above and under the lanes of a panel
TOP, FOOT = 0.36, 0.18  # of the figure: a legend, and the unit
LEFT = 1.78  # where the longest name of a model ends


def panels(content: Content, targets: list[str], *, right: float) -> tuple[Figure, dict[str, Axes]]:
    """An empty figure with the axes of each target; model i has its lane at y = i, the first on top.

    right: inches beside each panel, for what is written there. To be called, and drawn upon, within `style.look`.
    """
    models = content.contenders
    across = min(ACROSS, len(targets))
    panel = TITLE + TICKS + LANE * len(models)
    height = TOP + FOOT + panel * math.ceil(len(targets) / across)
    span = (style.WIDTH - LEFT - 0.05) / across
    figure = style.canvas(height)
    found = {}
    for k, target in enumerate(targets):
        i, j = divmod(k, across)
        y = height - TOP - (i + 1) * panel + TICKS
        box = (LEFT + j * span) / style.WIDTH, y / height, (span - right) / style.WIDTH, LANE * len(models) / height
        axes = figure.add_axes(box)
        axes.set(ylim=(len(models) - 0.5, -0.5), yticks=range(len(models)))
        axes.set_yticklabels([short(model) for model in models] if j == 0 else [])
        axes.set_title(short(target, 32), loc="left", fontweight="bold", pad=3)
        axes.grid(axis="x")
        axes.tick_params(axis="x", pad=1)
        sns.despine(ax=axes, left=True)
        found[target] = axes
    return figure, found


def unit(figure: Figure, words: str) -> None:
    """What the panels measure, in one line under all of them."""
    middle = (LEFT + 0.5 * (style.WIDTH - LEFT)) / style.WIDTH
    figure.text(middle, 0.05 / figure.get_figheight(), words, ha="center", color=style.MUTED)


def short(name: str, width: int = 26) -> str:
    """A name that fits."""
    return name if len(name) <= width else name[: width - 1] + "…"
