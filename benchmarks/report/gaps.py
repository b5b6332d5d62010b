"""The ELBO gap and its parts as stacked bars: one panel per target, because gaps add up only on a linear scale."""

from __future__ import annotations

import math

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from benchmarks.report import style, text
from benchmarks.report.analysis import Analysis, analyse
from benchmarks.report.content import Content

CAPTION = (
    "The ELBO gap E[log p* − ELBO] in nats and its two parts: the fit gap, what the model’s density misses "
    "(solid), and the inference gap, what its Gaussian posterior costs on top (hatched). For a model with an "
    "exact density the fit gap is all of it. The number is the median total over replicates, the line its 95 % "
    "interval, cut with an arrow where it leaves the panel. Medians of parts need not add up to the median of the "
    "total. Every target has its own scale; targets without a known density are left out."
)

ACROSS = 3


def gaps(content: Content) -> Figure:
    """One panel per target with a known density, one stacked bar per model."""
    analysis = analyse(content)
    names = [
        target.name
        for target in content.targets
        if any(_part(analysis, "elbo_gap", target.name, model) is not None for model in content.contenders)
    ]
    if not names:
        return style.nothing("ELBO gap: no cell of this run has a number")
    models = content.contenders
    across = min(ACROSS, len(names))
    down = math.ceil(len(names) / across)
    left, top, foot = 1.4, 0.36, 0.16
    panel = 0.62 + 0.19 * len(models)
    height = top + foot + panel * down
    span = (style.WIDTH - left - 0.1) / across
    with style.look():
        figure = style.canvas(height)
        for k, name in enumerate(names):
            i, j = divmod(k, across)
            y = height - top - (i + 1) * panel + 0.26
            axes = figure.add_axes(
                ((left + j * span) / style.WIDTH, y / height, (span - 0.78) / style.WIDTH, (panel - 0.54) / height)
            )
            _panel(axes, analysis, name, models)
            axes.set_yticklabels([m if len(m) <= 20 else m[:19] + "…" for m in models] if j == 0 else [])
        figure.text(
            (left + 0.5 * (style.WIDTH - left)) / style.WIDTH, 0.05 / height, "nats", ha="center", color=style.MUTED
        )
        handles = [
            Patch(facecolor="#8b93a1", label="fit gap"),
            Patch(facecolor="white", edgecolor="#8b93a1", hatch="/////", label="inference gap"),
        ]
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.04 / height),
            ncols=2,
            frameon=False,
            handlelength=1.6,
        )
    return figure


def _panel(axes: Axes, analysis: Analysis, target: str, models: list[str]) -> None:
    tint = style.colours(analysis.content)
    known = [value for model in models if (value := _part(analysis, "elbo_gap", target, model)) is not None]
    reach, least = max([*known, 1e-9]), min([*known, 0.0])
    edge = reach * 1.25
    axes.set(xlim=(least * 1.2 if least < 0 else 0, edge), ylim=(len(models) - 0.45, -0.55), yticks=range(len(models)))
    for y, model in enumerate(models):
        total = analysis.scores["elbo_gap", target, model].estimate
        if total is None:
            word = analysis.scores["elbo_gap", target, model].word
            axes.text(reach * 0.02, y, word, va="center", fontsize=style.SMALL, color=style.WARNING)
            continue
        fit, inference = (_part(analysis, part, target, model) for part in ("fit_gap", "inference_gap"))
        if fit is None:
            axes.barh(y, total.value, height=0.68, color=style.FAINT)
        else:
            axes.barh(y, fit, height=0.68, color=tint[model], linewidth=0)
            if inference:
                axes.barh(
                    y,
                    inference,
                    left=max(fit, 0.0),
                    height=0.68,
                    facecolor="white",
                    edgecolor=tint[model],
                    hatch="/////",
                    linewidth=0.8,
                )
        if math.isfinite(total.low):
            axes.plot([total.low, min(total.high, edge)], [y, y], color=style.INK, linewidth=0.9, zorder=4)
        if total.high > edge:
            axes.plot(edge * 0.995, y, marker=">", color=style.INK, markersize=3, clip_on=False, zorder=4)
        axes.annotate(
            text.interval(total)[0].replace("-", "−"),
            (1.0, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(33, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=style.SMALL,
            annotation_clip=False,
        )
    axes.set_title(target if len(target) <= 32 else target[:31] + "…", loc="left", fontweight="bold", pad=3)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="x")
    axes.tick_params(axis="x", pad=1)
    sns.despine(ax=axes, left=True)


def _part(analysis: Analysis, metric: str, target: str, model: str) -> float | None:
    score = analysis.scores.get((metric, target, model))
    return score.estimate.value if score is not None and score.estimate is not None else None
