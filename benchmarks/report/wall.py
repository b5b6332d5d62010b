"""The wall of densities and samples: targets down, models across, and what each one makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from benchmarks.report import style, text
from benchmarks.report.analysis import Analysis, analyse
from benchmarks.report.content import ORACLE, Array, Content, Picture, TargetInfo

CAPTION = (
    "Every target (left) and what each model makes of it, replicate 0. One dimension: the histogram of samples "
    "and the model’s density over the target’s (black). Two: the density as shade where it is known, else a "
    "smoothed histogram of samples, and samples as dots. More: samples on the first two coordinates, or on the "
    "target’s first two principal axes above ten dimensions. Images: samples. In the corner the median KL in nats "
    "or, where the density is unknown, the median debiased W2²; their intervals are in the tables."
)

#: Above this many dimensions two coordinates rarely show anything.
MANY = 10
DOTS = 350
ACROSS = 4  # images in a panel, per side


@dataclass(frozen=True, eq=False)
class _Row:
    """What the panels of one target share, so that they compare: the plane, the window, the height of full shade."""

    info: TargetInfo
    truth: Picture | None
    plane: Array  # (d, 2) or, in 1-D, (1, 1): picture = (samples − center) @ plane
    center: Array
    low: Array
    high: Array
    peak: float


def wall(content: Content, models: list[str]) -> Figure:
    """The wall of these models beside the target. A panel without a picture says why."""
    analysis = analyse(content)
    columns = [ORACLE, *(model for model in models if model != ORACLE)]
    tint = style.colours(content)
    left, top = 1.12, 0.42
    size = (style.WIDTH - left - 0.06) / len(columns)
    # Few columns must not make giants.
    size = min(size, 1.8)
    width = left + 0.06 + size * len(columns)
    height = top + size * len(content.targets) + 0.06
    font = 8.0 if size > 1.1 else 6.5
    with style.look():
        figure = style.canvas(height, max(width, 4.0))
        width = figure.get_figwidth()
        for i, target in enumerate(content.targets):
            row = _row(target, _finite(content.pictures(target.name, ORACLE)))
            bottom = height - top - (i + 1) * size
            middle = (bottom + size / 2) / height
            figure.text(left * 0.93 / width, middle, _label(target), ha="right", va="center", linespacing=1.15)
            for j, model in enumerate(columns):
                box = (left + j * size + 0.03, bottom + 0.03, size - 0.06, size - 0.06)
                axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
                picture = row.truth if model == ORACLE else _finite(content.pictures(target.name, model))
                _panel(axes, row, picture, tint[model], own=model == ORACLE)
                _note(axes, analysis, target.name, model, empty=picture is None)
        for j, model in enumerate(columns):
            name = "target" if model == ORACLE else model
            figure.text(
                (left + (j + 0.5) * size) / width,
                1 - top * 0.62 / height,
                text.broken(name, round(size / (0.0083 * font)) - 3),  # bold letters are 0.0083 inches a point wide
                ha="center",
                va="center",
                fontsize=font,
                fontweight="bold",
                linespacing=1.05,
            )
    return figure


def _finite(picture: Picture | None) -> Picture | None:
    """What can be drawn: a bad model may give infinite samples, and a density may have a pole."""
    if picture is None:
        return None
    samples, density = picture.samples[np.isfinite(picture.samples).all(axis=1)], picture.density
    if density is not None:
        highest = float(density.max(where=np.isfinite(density), initial=0.0))
        density = np.nan_to_num(density, nan=0.0, posinf=highest, neginf=0.0)
    return replace(picture, samples=samples, density=density)


def _row(info: TargetInfo, truth: Picture | None) -> _Row:
    d = info.dimension
    flat = np.eye(d, min(d, 2))
    if truth is None or not len(truth.samples):
        return _Row(info, None, flat, np.zeros(d), np.zeros(2), np.ones(2), math.nan)
    low, high, center = truth.low, truth.high, np.zeros(d)
    if d > MANY:
        center = truth.samples.mean(axis=0)
        _, _, axes = np.linalg.svd(truth.samples - center, full_matrices=False)
        # The sign of an axis is arbitrary: the same on every machine if its largest entry is positive.
        flat = (axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]).T
    if d > 2:
        low, high = np.quantile((truth.samples - center) @ flat, (0.005, 0.995), axis=0)
        low, high = low - 0.12 * (high - low), high + 0.12 * (high - low)
    # The highest hundredth of the density is a spike's: it must not bleach the rest.
    peak = math.nan if truth.density is None else float(np.quantile(truth.density, 0.99 if d == 1 else 0.995))
    return _Row(info, truth, flat, center, low, high, peak)


def _panel(axes: Axes, row: _Row, picture: Picture | None, colour: str, *, own: bool) -> None:
    axes.set(xticks=[], yticks=[])
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set(visible=True, color=style.FAINT, linewidth=0.8)
    if picture is None or not len(picture.samples):
        axes.set_facecolor("#f5f6f7")
    elif row.info.image is not None:
        _images(axes, row, picture)
    elif row.info.dimension == 1:
        _curve(axes, row, picture, colour, own=own)
    else:
        _plane(axes, row, picture, colour)


def _curve(axes: Axes, row: _Row, picture: Picture, colour: str, *, own: bool) -> None:
    low, high = float(row.low[0]), float(row.high[0])
    edges = np.linspace(low, high, 51)
    counts, _ = np.histogram(picture.samples[:, 0], edges)
    heights = counts / len(picture.samples) / (edges[1] - edges[0])
    axes.stairs(heights, edges, fill=True, color=colour, alpha=0.28, linewidth=0)
    if row.truth is not None and row.truth.density is not None:
        axes.plot(np.linspace(low, high, len(row.truth.density)), row.truth.density, color=style.INK, linewidth=0.8)
    if picture.density is not None and not own:
        axes.plot(np.linspace(low, high, len(picture.density)), picture.density, color=colour, linewidth=1.3)
    top = row.peak if math.isfinite(row.peak) else float(np.quantile(heights, 0.98))
    axes.set(xlim=(low, high), ylim=(0, 1.45 * max(top, 1e-12)))


def _plane(axes: Axes, row: _Row, picture: Picture, colour: str) -> None:
    points = (picture.samples - row.center) @ row.plane
    box = (row.low[0], row.high[0], row.low[1], row.high[1])
    shade = sns.blend_palette(["white", colour if colour != style.INK else "#3b4252"], as_cmap=True)
    density, peak = picture.density if row.info.dimension == 2 else None, row.peak
    if density is None and row.info.dimension == 2:
        density = _smooth(points, row)
        peak = peak if math.isfinite(peak) else float(np.quantile(density, 0.995))
    if density is not None:
        # A root lifts what is faint; the target's peak is full shade in the whole row.
        norm = PowerNorm(0.55, vmin=0.0, vmax=max(peak, 1e-300), clip=True)
        axes.imshow(
            density.T, origin="lower", extent=box, cmap=shade, norm=norm, aspect="auto", interpolation="bilinear"
        )
    x, y = points[:, 0], points[:, 1]
    if density is not None:
        axes.scatter(x[:DOTS], y[:DOTS], s=1.1, alpha=0.4, color=style.INK, linewidths=0, rasterized=True)
    else:
        axes.scatter(x[: 3 * DOTS], y[: 3 * DOTS], s=2.2, alpha=0.45, color=colour, linewidths=0, rasterized=True)
    axes.set(xlim=box[:2], ylim=box[2:])


def _smooth(points: Array, row: _Row) -> Array:
    """The density of samples: a histogram, blurred by what so many samples support."""
    bins = 96
    counts, _, _ = np.histogram2d(
        points[:, 0], points[:, 1], bins=bins, range=list(zip(row.low, row.high, strict=True))
    )
    area = float(np.prod((row.high - row.low) / bins))
    blur = 1.5 * (2_000 / max(len(points), 1)) ** (1 / 6)
    return gaussian_filter(counts / max(len(points), 1) / area, blur)


def _images(axes: Axes, row: _Row, picture: Picture) -> None:
    assert row.info.image is not None
    height, width = row.info.image
    truth = row.truth.samples if row.truth is not None else picture.samples
    low, high = np.quantile(truth, (0.01, 0.99))
    sheet = np.full((ACROSS * (height + 1) + 1, ACROSS * (width + 1) + 1), np.nan)
    for k, image in enumerate(picture.samples[: ACROSS * ACROSS]):
        i, j = divmod(k, ACROSS)
        y, x = 1 + i * (height + 1), 1 + j * (width + 1)
        sheet[y : y + height, x : x + width] = image.reshape(height, width)
    axes.imshow(sheet, cmap="gray_r", vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    axes.set_ylim(len(sheet) - 0.5, -0.17 * len(sheet))  # room above for the score


def _note(axes: Axes, analysis: Analysis, target: str, model: str, *, empty: bool) -> None:
    """The score in the corner; where there is no picture, the word in the middle."""
    words = []
    for metric, name in (("kl", "KL"), ("w2_squared", "W2²")):
        score = analysis.scores.get((metric, target, model))
        if score is None:
            continue
        if score.estimate is not None:
            words.append(f"{name} {text.interval(score.estimate)[0]}")
            break
        if score.word != "n/a":
            words.append(score.word)
            break
    word = words[0].replace(" -", " −") if words else ""
    if empty:
        axes.text(
            0.5, 0.5, word or "no picture", transform=axes.transAxes, ha="center", va="center", color=style.WARNING
        )
    elif word:
        axes.text(
            0.965,
            0.955,
            word,
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=style.SMALL,
            bbox={"facecolor": "white", "alpha": 0.82, "linewidth": 0, "boxstyle": "round,pad=0.18"},
        )


def _label(target: TargetInfo) -> str:
    return f"{text.broken(target.name, 15)}\n{target.dimension}-D"
