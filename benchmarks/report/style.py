"""How every figure looks: one colour and one marker per model, one type scale, the same bytes for the same content."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.content import FRAME, GAUSSIAN, ORACLE, Content

#: Shown 900 pixels wide: 9 inches, so that a point is 1.4 pixels and 8 points are small print.
WIDTH = 9.0
DPI = 200
SMALL, BODY, TITLE = 7.5, 8.5, 11.0
INK, MUTED, FAINT, WARNING = "#1b1f24", "#6b7280", "#d9dce1", "#9a3412"

# seaborn's colour-blind palette without its grey, which is the frame's, and without its pale yellow and pink.
_COLOURS = [sns.color_palette("colorblind").as_hex()[i] for i in (0, 1, 2, 4, 3, 9, 5)]
_MARKERS = "oDs^vPX"


def colours(content: Content) -> dict[str, str]:
    """The colour of each model, the same in every figure; the frame is grey."""
    models = {model: _COLOURS[i % len(_COLOURS)] for i, model in enumerate(content.contenders)}
    return {**models, ORACLE: INK, GAUSSIAN: MUTED}


def markers(content: Content) -> dict[str, str]:
    """The marker of each model: colour is never the only thing that tells two apart."""
    models = {model: _MARKERS[i % len(_MARKERS)] for i, model in enumerate(content.contenders)}
    return {**models, ORACLE: "|", GAUSSIAN: "|"}


@contextmanager
def look() -> Iterator[None]:
    """The settings under which figures are made and saved; everything is as before when it ends."""
    # Matplotlib types its keys one by one; seaborn returns plain strings.
    settings: Any = {
        **sns.axes_style("white"),
        "font.family": ["DejaVu Sans"],
        "font.size": BODY,
        "axes.titlesize": BODY,
        "axes.labelsize": BODY,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": BODY,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": INK,
        "xtick.bottom": False,
        "ytick.left": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "#eceef1",
        "grid.linewidth": 0.8,
        "axes.unicode_minus": True,
        "hatch.linewidth": 0.8,
        # Names come from plug-ins and data files: a dollar sign in one is a dollar sign.
        "text.parse_math": False,
        "svg.hashsalt": "pushforward",
        "figure.dpi": DPI,
        "savefig.dpi": DPI,
    }
    with mpl.rc_context(settings):
        yield


def canvas(height: float, width: float = WIDTH) -> Figure:
    """An empty figure that pyplot does not know of."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def legend(figure: Figure, content: Content, *, frame: bool = True, y: float = 1.0) -> None:
    """One legend for the whole figure, on top."""
    tint, shape = colours(content), markers(content)
    shown = [model for model in content.columns if frame or model not in FRAME]
    handles = [
        Line2D(
            [], [], color=tint[m], marker=shape[m], linestyle="", markersize=5, markeredgewidth=1.6 if m in FRAME else 0
        )
        for m in shown
    ]
    figure.legend(
        handles, shown, loc="upper center", bbox_to_anchor=(0.5, y), ncols=len(shown), frameon=False, handletextpad=0.3
    )


def nothing(message: str) -> Figure:
    """A figure that says that there is nothing to see."""
    figure = canvas(1.2)
    figure.text(0.5, 0.5, message, ha="center", va="center", color=MUTED, fontsize=BODY)
    return figure


def encode(figure: Figure, suffix: str) -> bytes:
    """The figure as a PNG or SVG file: no date and no version in it, so the same figure is the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": None} if suffix == "png" else {"Date": None, "Creator": None}
    with look():
        figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()
