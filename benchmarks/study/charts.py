"""The figures of a study: lines with intervals, labelled where they end; dots with intervals, named on their axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.report.statistics import Estimate
from benchmarks.report.style import BODY, INK, MUTED, SMALL, WIDTH, canvas, look, nothing
from benchmarks.report.style import colour as colour_of
from benchmarks.report.style import marker as marker_of

Point = tuple[float, Estimate | None]
End = tuple[float, float, str, str]
Dot = tuple[str, Estimate | None, str]

#: Seaborn's colour-blind palette, in an order in which neighbours differ most.
COLOURS = ("#0173b2", "#de8f05", "#029e73", "#96173a", "#56b4e9", "#5b4a8a", "#7d7200", "#6b7280")
MARKERS = "osD^vPX*"


@dataclass(frozen=True)
class Line:
    """A series: x with the estimate there; what is None is left out.

    style: for colour and marker, a model, which looks the same in every figure, or a number for what is none.
    """

    name: str
    points: Sequence[Point]
    style: int | str
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes. levels: horizontal lines, by their names."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log_x: bool = True
    log_y: bool = True
    levels: dict[str, float] = field(default_factory=dict)


def curves(panels: Sequence[Panel], height: float = 3.1) -> Figure:
    """The panels side by side, three a row."""
    panels = [panel for panel in panels if any(_known(line, panel) for line in panel.lines)]
    if not panels:
        return nothing("no cell of this experiment has a number")
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    with look():
        figure = canvas(height * rows)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        ends = [_draw(panel, axis) for panel, axis in zip(panels, axes.flat, strict=False)]
        room = 0.062 * max(len(name) for axis in ends for _, _, name, _ in axis)  # inches, for the names at the ends
        figure.tight_layout(w_pad=room * 72 / BODY, h_pad=2.0, rect=(0, 0, 1 - room / WIDTH, 1))
        for found, axis in zip(ends, axes.flat, strict=False):
            _label(axis, found)
    return figure


def _draw(panel: Panel, axis: Axes) -> list[End]:
    """The lines of a panel; where they end, with their names and colours."""
    axis.set_title(panel.title, loc="left", color=INK, fontweight="bold")
    axis.set_xlabel(panel.x)
    axis.set_ylabel(panel.y)
    if panel.log_x:
        axis.set_xscale("log")
    if panel.log_y:
        axis.set_yscale("log")
    axis.grid(True, axis="y")
    ends: list[End] = []
    for line in panel.lines:
        known = _known(line, panel)
        if not known:
            continue
        known.sort(key=lambda point: point[0])
        x, y = [point for point, _ in known], [value.value for _, value in known]
        colour, marker = _look(line.style)
        axis.plot(x, y, color=colour, lw=1.4, ls="--" if line.dashed else "-", marker=marker, ms=3.5)
        for at, value in known:
            low = max(value.low, 0.2 * value.value) if panel.log_y else value.low
            if math.isfinite(low) and math.isfinite(value.high):
                axis.plot([at, at], [low, value.high], color=colour, lw=1, alpha=0.6, solid_capstyle="butt")
        ends.append((x[-1], y[-1], line.name, colour))
    for name, level in panel.levels.items():
        axis.axhline(level, color=MUTED, lw=0.8, ls=":")
        axis.annotate(name, (0.01, level), xycoords=("axes fraction", "data"), fontsize=SMALL, color=MUTED, va="bottom")
    ticks = sorted({point for line in panel.lines for point, _ in _known(line, panel)})
    if 1 < len(ticks) <= 7:
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    elif panel.log_x:
        _plain(axis.xaxis)
    if panel.log_y:
        _plain(axis.yaxis)
    return ends


def _look(style: int | str) -> tuple[str, str]:
    """Colour and marker."""
    if isinstance(style, str):
        return colour_of(style), marker_of(style)
    return COLOURS[style % len(COLOURS)], MARKERS[style % len(MARKERS)]


def _plain(axis: Axis) -> None:
    """Ticks of a logarithmic axis as 0.01, 0.1, 1: where it spans less than a decade, 0.02 and 0.05 between them."""
    low, high = axis.get_view_interval()
    few = high / low < 50
    axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _label(axis: Axes, ends: Sequence[End]) -> None:
    """The names beside the ends of their lines, pushed apart so that none covers another."""
    to_pixels = axis.transData.transform
    gap = 1.25 * SMALL / 72 * axis.figure.dpi  # type: ignore[union-attr]
    placed: list[tuple[float, float, float, str, str]] = []
    for x, y, name, colour in sorted(ends, key=lambda end: end[1]):
        _, at = to_pixels((x, y))
        if placed and at - placed[-1][0] < gap:
            at = placed[-1][0] + gap
        placed.append((at, x, y, name, colour))
    for at, x, y, name, colour in placed:
        _, origin = to_pixels((x, y))
        axis.annotate(
            name, (x, y), xytext=(5, (at - origin) * 72 / axis.figure.dpi), textcoords="offset points",  # type: ignore[union-attr]
            fontsize=SMALL, color=colour, va="center", annotation_clip=False,
        )  # fmt: skip


def dots(groups: Sequence[tuple[str, Sequence[Dot]]], x: str, log: bool = True) -> Figure:
    """A panel a group; in it a row for each name, with its estimate, in the colour of its model."""
    groups = [(title, rows) for title, rows in groups if any(value is not None for _, value, _ in rows)]
    if not groups:
        return nothing("no cell of this experiment has a number")
    count = max(len(rows) for _, rows in groups)
    with look():
        figure = canvas(0.8 + 0.26 * count)
        axes = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
        for axis, (title, rows) in zip(axes, groups, strict=True):
            axis.set_title(title, loc="left", color=INK, fontweight="bold")
            axis.set_xlabel(x)
            axis.grid(True, axis="x")
            if log:
                axis.set_xscale("log")
            for row, (_, value, model) in enumerate(rows):
                if value is None or (log and value.value <= 0):
                    continue
                colour, marker = _look(model.partition("[")[0])
                low = max(value.low, 0.2 * value.value) if log else value.low
                if math.isfinite(low):
                    axis.plot([low, value.high], [row, row], color=colour, lw=1.2)
                axis.plot([value.value], [row], color=colour, marker=marker, ms=4.5)
            if log:
                _plain(axis.xaxis)
            axis.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=BODY)
            axis.set_ylim(len(rows) - 0.5, -0.5)
        figure.tight_layout(w_pad=1.5)
    return figure


def _known(line: Line, panel: Panel) -> list[tuple[float, Estimate]]:
    return [
        (x, value)
        for x, value in line.points
        if value is not None and (value.value > 0 or not panel.log_y) and math.isfinite(x)
    ]


__all__ = ["Line", "Panel", "curves", "dots"]
