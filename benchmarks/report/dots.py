"""Scores by target as dots with intervals, and scores against cost."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from benchmarks.report import machines, panels, style
from benchmarks.report.analysis import Analysis, analyse
from benchmarks.report.content import COSTS, FRAME, GAUSSIAN, ORACLE, Content

CAPTIONS = {
    "kl": (
        "KL(p* ‖ model) by target, in nats: the median over replicates with its 95 % interval. The grey band reaches "
        "from the oracle (the target itself, black) to the moment-matched Gaussian (grey): what there is to gain. "
        "Filled: the best, and those not distinguishably worse; open: worse. An interval or a value that leaves its "
        "panel is cut off at the edge, the value with an arrow. Every target has its own scale, logarithmic away from "
        "zero."
    ),
    "w2_squared": (
        "Debiased W2² by target, in the target’s own squared units: compare within a panel. Band, dots and words as "
        "for KL; a value around the oracle’s, which is zero but for noise, is as close as this sample size can "
        "tell."
    ),
    "cost": (
        "Score against cost: one small marker per target, one large marker at the model’s median over the targets "
        "where every compared model has a number. To the left is cheaper, down is closer. Costs are CPU seconds "
        "of fitting on the machine named below."
    ),
}

FAR = 3_000.0  # times the Gaussian's score: beyond, a panel ends, or one bad model would press all others together


def by_target(content: Content, metric: str) -> Figure:
    """One panel per target, one dot per model, the frame as a grey band."""
    analysis = analyse(content)
    shown = [target.name for target in content.targets] if analysis.has_numbers(metric) else []
    names = [
        name for name in shown if any(analysis.score(metric, name, model).estimate for model in content.contenders)
    ]
    if not names:
        return style.nothing(f"{content.info(metric).title}: no cell of this run has a number")
    with style.look():
        figure, axes = panels.panels(content, names, right=0.22)
        for target, panel in axes.items():
            _scale(panel, "x", _values(analysis, metric, target), most=4)
            _frame(panel, analysis, metric, target)
            _dots(panel, analysis, metric, target)
        panels.unit(figure, _title(content, metric))
        _key(figure, content)
    return figure


def _dots(axes: Axes, analysis: Analysis, metric: str, target: str) -> None:
    """Every model's median and interval in its lane, or the word for it."""
    tint, shape = style.colours(analysis.content), style.markers(analysis.content)
    edge = axes.get_xlim()[1]
    for y, model in enumerate(analysis.content.contenders):
        axes.axhline(y, color="#f1f2f4", linewidth=0.7, zorder=0.5)
        score, colour = analysis.score(metric, target, model), tint[model]
        known = score.estimate
        if known is None:
            place = axes.get_yaxis_transform()
            axes.text(0.07, y, score.word, transform=place, va="center", fontsize=6.8, color=style.WARNING)
            continue
        if math.isfinite(known.low):
            axes.plot([known.low, known.high], [y, y], color=colour, linewidth=1.6, alpha=0.65, zorder=3)
        outside = known.value > edge
        best = model in analysis.leaders[metric, target]
        axes.plot(
            min(known.value, edge),
            y,
            marker=">" if outside else shape[model],
            markersize=5.2,
            color=colour,
            markerfacecolor=colour if best else "white",
            markeredgewidth=1.2,
            clip_on=False,
            zorder=4,
        )


def _key(figure: Figure, content: Content) -> None:
    """What the marks mean that are not models."""
    lines = [
        Line2D([], [], color=colour, marker="|", linestyle="", markersize=9, markeredgewidth=1.8, label=model)
        for model, colour in ((ORACLE, style.INK), (GAUSSIAN, style.MUTED))
        if model in content.models
    ]
    dots = [
        Line2D([], [], color=style.MUTED, marker="o", linestyle="", markersize=5.2, markeredgewidth=1.2,
               markerfacecolor=face, label=label)
        for face, label in ((style.MUTED, "best, or not distinguishably worse"), ("white", "worse"))
    ]  # fmt: skip
    figure.legend(
        handles=[*lines, *dots],
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.02 / figure.get_figheight()),
        ncols=len(lines) + len(dots),
        frameon=False,
        handletextpad=0.3,
    )


def against_cost(content: Content, cost: str = "fit_cpu_seconds", machine: str = "") -> Figure:
    """KL and debiased W2² against the CPU seconds of fitting; machine: of the cells of this one alone, by its label."""
    analysis = analyse(content)
    shown = [
        metric
        for metric in ("kl", "w2_squared")
        if analysis.has_numbers(metric) and len(_pairs(analysis, metric, cost, machine))
    ]
    if not shown:
        return style.nothing("Score against cost: no cell of this run has both")
    tint, shape = style.colours(content), style.markers(content)
    with style.look():
        top = style.legend_height(content)
        height = 3.3 + top
        figure = style.canvas(height)
        span = (style.WIDTH - 0.15) / len(shown)
        for k, metric in enumerate(shown):
            box = (
                (0.52 + k * span) / style.WIDTH,
                0.5 / height,
                (span - 0.68) / style.WIDTH,
                (height - top - 0.8) / height,
            )
            axes = figure.add_axes(box)
            pairs = _pairs(analysis, metric, cost, machine)
            _scale(axes, "y", pairs[:, 1].astype(float))
            axes.set_xscale("log")
            for model, x, y in zip(pairs[:, 2], pairs[:, 0].astype(float), pairs[:, 1].astype(float), strict=True):
                axes.plot(x, y, marker=shape[model], color=tint[model], alpha=0.35, markersize=3.4, markeredgewidth=0)
            for model in content.contenders:
                middle = _middle(analysis, metric, cost, model, machine)
                if middle is not None:
                    axes.plot(
                        *middle,
                        marker=shape[model],
                        color=tint[model],
                        markersize=9,
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
        style.legend(figure, content)
    return figure


def _frame(axes: Axes, analysis: Analysis, metric: str, target: str) -> None:
    """The grey band between the oracle and the gaussian, with a line at each that is known."""
    ends = []
    for model, colour in ((ORACLE, style.INK), (GAUSSIAN, style.MUTED)):
        score = analysis.scores.get((metric, target, model))
        if score is not None and score.estimate is not None:
            ends.append(score.estimate.value)
            axes.axvline(ends[-1], color=colour, linewidth=1.4, zorder=2)
    if len(ends) == len(FRAME):
        axes.axvspan(min(ends), max(ends), color="#eaecef", linewidth=0, zorder=0)


def _scale(axes: Axes, axis: str, values: np.ndarray, most: int = 5) -> None:
    """Logarithmic where the numbers are far from zero, linear around it: noise puts some below zero.

    At most `most` decades beside zero, or no tick could be read.
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    largest = float(sizes.max()) if len(sizes) else 1.0
    typical = float(np.quantile(sizes, 0.15)) if len(sizes) else 0.1
    threshold = 10.0 ** max(math.floor(math.log10(typical)), math.ceil(math.log10(largest)) - most)
    getattr(axes, f"set_{axis}scale")("symlog", linthresh=threshold, linscale=0.5)
    low, high = float(np.nanmin(values, initial=0.0)), float(np.nanmax(values, initial=0.0))
    decades = range(round(math.log10(threshold)), math.ceil(math.log10(largest)) + 1)
    ticks = [0.0, *(10.0**k for k in decades)]
    ticks += [-tick for tick in ticks if tick > threshold and -tick >= low]
    ruler = axes.xaxis if axis == "x" else axes.yaxis
    ruler.set_major_locator(FixedLocator(sorted(ticks)))
    ruler.set_minor_locator(FixedLocator([]))
    ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    reach = (low * 1.4 if low < 0 else -threshold * 0.25, high * 1.4 if high > 0 else threshold * 0.25)
    getattr(axes, f"set_{axis}lim")(*reach)


def _values(analysis: Analysis, metric: str, target: str) -> np.ndarray:
    """Every value and interval end that a panel must hold.

    A value far beyond the Gaussian's, and an end far beyond all values, is cut off at the edge: below zero lies only
    noise, which would take half of the space.
    """
    scores = {model: analysis.score(metric, target, model).estimate for model in analysis.content.columns}
    known = [score for score in scores.values() if score is not None]
    gaussian = scores.get(GAUSSIAN)
    far = FAR * gaussian.value if gaussian is not None and gaussian.value > 0 else math.inf
    values = np.array([this.value for this in known if this.value <= far])
    ends = np.array([end for this in known for end in (this.low, this.high) if math.isfinite(end)])
    return np.concatenate([values, np.clip(ends, values.min(initial=0.0), min(far, 2 * values.max(initial=0.0)))])


def _pairs(analysis: Analysis, metric: str, cost: str, machine: str) -> np.ndarray:
    """(cost, score, model) of every contender's cell that has both; a cost of zero has no place on a logarithm."""
    where = machines.labels(analysis.content)
    rows = [
        (analysis.value(cost, target.name, model), analysis.value(metric, target.name, model), model)
        for target in analysis.content.targets
        for model in analysis.content.contenders
        if where.get((target.name, model), "") == machine
    ]
    good = [row for row in rows if row[0] > 0 and math.isfinite(row[1])]
    return np.array(good, dtype=object).reshape(-1, 3)


def _middle(analysis: Analysis, metric: str, cost: str, model: str, machine: str) -> tuple[float, float] | None:
    """The model's median cost and score over the ranked targets; of several machines, over those that this one did."""
    where = machines.labels(analysis.content)
    did = {target for (target, _), label in where.items() if label == machine}
    targets = [target for target in analysis.rankings[metric].targets if target in did or not where]
    if any(where.get((target, model), "") != machine for target in targets):
        return None
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
