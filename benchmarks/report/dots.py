"""Scores by target as dots with intervals, and scores against cost."""

from __future__ import annotations

import math

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from benchmarks.report import style
from benchmarks.report.analysis import Analysis, analyse
from benchmarks.report.content import COSTS, FRAME, GAUSSIAN, ORACLE, Content

CAPTIONS = {
    "kl": (
        "KL(p* ‖ model) by target, in nats: the median over replicates with its 95 % interval. The grey bar "
        "reaches from the oracle (the target itself) to the moment-matched Gaussian: what there is to gain. "
        "Filled: the best, and those not distinguishably worse; open: worse. An interval that leaves the figure "
        "is cut off at its edge; what has no number is named at the right."
    ),
    "w2_squared": (
        "Debiased W2² by target, in the target’s own squared units: compare within a row. Bar, dots and words as "
        "for KL; a value around the oracle’s, which is zero but for noise, is as close as this sample size can "
        "tell."
    ),
    "cost": (
        "Score against cost: one small marker per target, one large marker at the model’s median over the targets "
        "where every compared model has a number. To the left is cheaper, down is closer. Costs are CPU seconds "
        "of fitting on the machine named below."
    ),
}

STEP = 0.15  # inches between the dots of one target


def by_target(content: Content, metric: str) -> Figure:
    """One row per target, one dot per model, the frame as a grey bar."""
    analysis = analyse(content)
    targets, models = content.targets, content.contenders
    if not analysis.has_numbers(metric):
        return style.nothing(f"{content.info(metric).title}: no cell of this run has a number")
    tint, shape = style.colours(content), style.markers(content)
    row = STEP * (len(models) + 1.4)
    top, bottom = 0.42, 0.55
    height = top + bottom + row * len(targets)
    with style.look():
        figure = style.canvas(height)
        left, right = 1.55, 1.45
        axes = figure.add_axes(
            (left / style.WIDTH, bottom / height, 1 - (left + right) / style.WIDTH, 1 - (top + bottom) / height)
        )
        _scale(axes, "x", _values(analysis, metric))
        for i, target in enumerate(targets):
            if i % 2 == 0:
                axes.axhspan(i - 0.5, i + 0.5, color="#f7f8f9", linewidth=0, zorder=0)
            _frame(axes, analysis, metric, target.name, i)
            lost = []
            for j, model in enumerate(models):
                y = i + ((j + 0.5) / len(models) - 0.5) * len(models) / (len(models) + 1.4)
                score = analysis.score(metric, target.name, model)
                if score.estimate is None:
                    lost.append((y, model, score.word))
                    continue
                known = score.estimate
                if math.isfinite(known.low):
                    axes.plot([known.low, known.high], [y, y], color=tint[model], linewidth=1.5, alpha=0.6, zorder=3)
                best = model in analysis.leaders[metric, target.name]
                axes.plot(
                    known.value,
                    y,
                    marker=shape[model],
                    markersize=5.4,
                    color=tint[model],
                    markerfacecolor=tint[model] if best else "white",
                    markeredgewidth=1.2,
                    zorder=4,
                )
            _words(axes, lost, tint, len(models), i)
        axes.set(yticks=range(len(targets)), ylim=(len(targets) - 0.5, -0.5))
        axes.set_yticklabels([_short(target.name) for target in targets])
        axes.set_xlabel(_title(content, metric))
        axes.grid(axis="x")
        sns.despine(ax=axes, left=True)
        style.legend(figure, content, y=1 - 0.04 / height)
    return figure


def against_cost(content: Content, cost: str = "fit_cpu_seconds") -> Figure:
    """KL and debiased W2² against the CPU seconds of fitting."""
    analysis = analyse(content)
    shown = [
        metric
        for metric in ("kl", "w2_squared")
        if analysis.has_numbers(metric) and len(_pairs(analysis, metric, cost))
    ]
    if not shown:
        return style.nothing("Score against cost: no cell of this run has both")
    tint, shape = style.colours(content), style.markers(content)
    with style.look():
        height = 3.9
        figure = style.canvas(height)
        span = (style.WIDTH - 0.15) / len(shown)
        for k, metric in enumerate(shown):
            box = ((0.52 + k * span) / style.WIDTH, 0.5 / height, (span - 0.68) / style.WIDTH, (height - 1.2) / height)
            axes = figure.add_axes(box)
            pairs = _pairs(analysis, metric, cost)
            _scale(axes, "y", pairs[:, 1].astype(float))
            axes.set_xscale("log")
            for model, x, y in zip(pairs[:, 2], pairs[:, 0].astype(float), pairs[:, 1].astype(float), strict=True):
                axes.plot(x, y, marker=shape[model], color=tint[model], alpha=0.45, markersize=4, markeredgewidth=0)
            for model in content.contenders:
                middle = _middle(analysis, metric, cost, model)
                if middle is not None:
                    axes.plot(
                        *middle,
                        marker=shape[model],
                        color=tint[model],
                        markersize=10,
                        markeredgecolor="white",
                        markeredgewidth=1.3,
                        zorder=5,
                    )
            axes.set_xlabel(f"{COSTS[cost].title} ({COSTS[cost].unit})")
            axes.set_title(_title(content, metric), loc="left", pad=8)
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_minor_locator(FixedLocator([]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.grid()
        style.legend(figure, content, frame=False, y=1 - 0.04 / height)
    return figure


def _frame(axes: Axes, analysis: Analysis, metric: str, target: str, y: float) -> None:
    """The grey bar between the oracle and the gaussian, with a mark at each that is known."""
    ends = []
    for model, colour in ((ORACLE, style.INK), (GAUSSIAN, style.MUTED)):
        score = analysis.scores.get((metric, target, model))
        if score is not None and score.estimate is not None:
            ends.append(score.estimate.value)
            axes.plot([ends[-1]] * 2, [y - 0.4, y + 0.4], color=colour, linewidth=1.6, zorder=2, solid_capstyle="butt")
    if len(ends) == len(FRAME):
        axes.fill_betweenx([y - 0.4, y + 0.4], min(ends), max(ends), color="#e4e7eb", linewidth=0, zorder=1)


def _words(axes: Axes, lost: list[tuple[float, str, str]], tint: dict[str, str], models: int, row: int) -> None:
    """What has no number, at the right of its row; one line where all models say the same."""
    if lost and len(lost) == models and len({word for _, _, word in lost}) == 1:
        lost = [(float(row), "", lost[0][2])]
    for y, model, word in lost:
        says = f"{_short(model, 17)}: {word}" if model else f"all: {word}"
        axes.annotate(
            says,
            (1.0, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.8,
            color=tint.get(model, style.MUTED),
            annotation_clip=False,
        )


def _scale(axes: Axes, axis: str, values: np.ndarray) -> None:
    """Logarithmic where the numbers are far from zero, linear around it: noise puts some below zero."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    largest = float(sizes.max()) if len(sizes) else 1.0
    typical = float(np.quantile(sizes, 0.15)) if len(sizes) else 0.1
    # At most five decades beside zero, or no tick could be read.
    threshold = 10.0 ** max(math.floor(math.log10(typical)), math.ceil(math.log10(largest)) - 5)
    getattr(axes, f"set_{axis}scale")("symlog", linthresh=threshold, linscale=0.5)
    low, high = float(np.nanmin(values, initial=0.0)), float(np.nanmax(values, initial=0.0))
    decades = range(round(math.log10(threshold)), math.ceil(math.log10(largest)) + 1)
    ticks = [0.0, *(10.0**k for k in decades)]
    ticks += [-tick for tick in ticks if tick > 0 and -tick >= low]
    ruler = axes.xaxis if axis == "x" else axes.yaxis
    ruler.set_major_locator(FixedLocator(sorted(ticks)))
    ruler.set_minor_locator(FixedLocator([]))
    ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    reach = (low * 1.4 if low < 0 else -threshold * 0.25, high * 1.4 if high > 0 else threshold * 0.25)
    getattr(axes, f"set_{axis}lim")(*reach)


def _values(analysis: Analysis, metric: str) -> np.ndarray:
    """Every value and interval end that a figure must hold.

    An end far beyond all values is cut off at the edge: below zero lies only noise, which would take half of the space.
    """
    known = [s.estimate for (name, _, _), s in analysis.scores.items() if name == metric and s.estimate is not None]
    values = np.array([this.value for this in known])
    ends = np.array([end for this in known for end in (this.low, this.high) if math.isfinite(end)])
    return np.concatenate([values, np.clip(ends, min(values.min(), 0.0), 2 * max(values.max(), 0.0))])


def _pairs(analysis: Analysis, metric: str, cost: str) -> np.ndarray:
    """(cost, score, model) of every contender's cell that has both; a cost of zero has no place on a logarithm."""
    rows = [
        (analysis.value(cost, target.name, model), analysis.value(metric, target.name, model), model)
        for target in analysis.content.targets
        for model in analysis.content.contenders
    ]
    good = [row for row in rows if row[0] > 0 and math.isfinite(row[1])]
    return np.array(good, dtype=object).reshape(-1, 3)


def _middle(analysis: Analysis, metric: str, cost: str, model: str) -> tuple[float, float] | None:
    """The model's median cost and score over the targets that are ranked."""
    targets = analysis.rankings[metric].targets
    costs = np.array([analysis.value(cost, target, model) for target in targets])
    scores = np.array([analysis.value(metric, target, model) for target in targets])
    if not len(targets) or not np.isfinite(costs).all() or not np.isfinite(scores).all() or np.median(costs) <= 0:
        return None
    return float(np.median(costs)), float(np.median(scores))


def _title(content: Content, metric: str) -> str:
    info = content.info(metric)
    return (
        f"{info.title} ({info.unit}), {info.better} is better"
        if info.unit
        else f"{info.title}, {info.better} is better"
    )


def _short(name: str, width: int = 22) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"
