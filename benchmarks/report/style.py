"""How every figure looks: one colour and one marker per model, one type scale, the same bytes for the same content."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.content import FRAME, ORACLE, Content
from benchmarks.report.families import FAMILIES, family

#: Shown 900 pixels wide: 9 inches, so that a point is 1.4 pixels and 8 points are small print.
WIDTH = 9.0
DPI = 200
SMALL, BODY, TITLE = 7.5, 8.5, 11.0
LEGEND_COLUMNS = 5
INK, MUTED, FAINT, WARNING = "#1b1f24", "#6b7280", "#d9dce1", "#9a3412"

# A hue for each family, those of seaborn's colour-blind palette where it has enough; its grey is the frame's.
_HUES = {
    "variational autoencoders": "#0173b2",
    "autoencoders": "#de8f05",
    "flows": "#029e73",
    "transport maps": "#b85fa6",
    "mixtures": "#96173a",
}
_OTHER_HUES = ("#d55e00", "#7d7200", "#56b4e9", "#5b4a8a", "#ca9161")
# Within a family: towards white where positive, towards black where negative; the first member has the hue itself.
_SHADES = (0.0, 0.5, -0.5, 0.27, -0.28, 0.68, 0.39, -0.14)
_MARKERS = {
    "variational autoencoders": "ov<*ph.>",
    "autoencoders": "Dd",
    "flows": "sX",
    "transport maps": "^P8",
    "mixtures": "H",
}
_OTHER_MARKERS = "hXdP<p"


def colour(model: str) -> str:
    """The colour of a built-in model: a hue a family, the frame grey. Raises KeyError for any other model."""
    if model in FRAME:
        return INK if model == ORACLE else MUTED
    name = family(model)
    return _shaded(_HUES[name], _SHADES[FAMILIES[name].index(model) % len(_SHADES)])


def marker(model: str) -> str:
    """The marker of a built-in model. Raises KeyError for any other."""
    name = family(model)
    return "|" if model in FRAME else _MARKERS[name][FAMILIES[name].index(model)]


def colours(content: Content) -> dict[str, str]:
    """The colour of each model, the same in every figure and every run; those of no family take what is left."""
    return _of_each(content, colour, _OTHER_HUES)


def markers(content: Content) -> dict[str, str]:
    """The marker of each model: colour is never the only thing that tells two apart."""
    return _of_each(content, marker, _OTHER_MARKERS)


def _of_each(content: Content, known: Callable[[str], str], left: Sequence[str]) -> dict[str, str]:
    others = [model for model in content.contenders if family(model) not in FAMILIES]
    found = {model: left[others.index(model) % len(left)] if model in others else known(model)
             for model in content.contenders}  # fmt: skip
    return found | {model: known(model) for model in FRAME}


def _shaded(hue: str, shade: float) -> str:
    """The hue mixed with this share of white, or of black where it is negative."""
    end = 1.0 if shade > 0 else 0.0
    red, green, blue = ((1 - abs(shade)) * part + abs(shade) * end for part in to_rgb(hue))
    return to_hex((red, green, blue))


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


def legend(figure: Figure, content: Content) -> None:
    """One legend of the contenders for the whole figure, on top, in as many rows as it needs."""
    tint, shape, names = colours(content), markers(content), content.contenders
    handles = [Line2D([], [], color=tint[m], marker=shape[m], linestyle="", markersize=5.5) for m in names]
    figure.legend(
        handles,
        names,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.04 / figure.get_figheight()),
        ncols=min(len(names), LEGEND_COLUMNS),
        frameon=False,
        handletextpad=0.3,
    )


def legend_height(content: Content) -> float:
    """What `legend` takes, in inches."""
    return 0.2 + 0.18 * math.ceil(len(content.contenders) / LEGEND_COLUMNS)


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
