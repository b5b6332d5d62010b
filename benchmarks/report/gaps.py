"""The ELBO gap and its parts as stacked bars: one panel per target, because gaps add up only on a linear scale."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from benchmarks.report import panels, style, text
from benchmarks.report.analysis import Analysis, analyse
from benchmarks.report.content import Content

CAPTION = (
    "The ELBO gap E[log p* − ELBO] in nats and its parts: the fit gap, what the model’s density misses (solid); the "
    "approximation gap, what a Gaussian posterior costs even at its best (lines); the amortisation gap, what one "
    "encoder for all points costs on top (dots). Where a run does not know these two apart, the inference gap is their "
    "sum (crossed); grey: the total alone is known. For a model with an exact density the fit gap is all of it. The "
    "number is the median total over replicates, the line its 95 % interval, cut with an arrow where it leaves the "
    "panel. Medians of parts need not add up to the median of the total, and a part that is not above zero is not "
    "drawn. Every target has its own scale; targets without a known density are left out."
)

BAR = 0.72  # of the distance between bars

#: The parts in the order in which they are stacked: metric and hatch. Told apart without colour and on paper: full,
#: lines, dots; crossed where two are not known apart.
KINDS = {
    "fit gap": ("fit_gap", ""),
    "approximation gap": ("approximation_gap", "//////"),
    "amortisation gap": ("amortisation_gap", "....."),
    "inference gap": ("inference_gap", "xxxxx"),
}


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
    with style.look():
        figure, axes = panels.panels(content, names, right=0.62)
        for name, panel in axes.items():
            _panel(panel, analysis, name, models)
        panels.unit(figure, "nats")
        stacks = [part for name in names for model in models for part in _stack(analysis, name, model)]
        drawn = {"fit gap", *(kind for kind, value in stacks if value > 0)}
        handles = [_patch(kind, "#6b7280") for kind in KINDS if kind in drawn]
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.02 / figure.get_figheight()),
            ncols=max(len(handles), 1),
            frameon=False,
            handlelength=2.4,
            handleheight=1.1,
        )
    return figure


def _panel(axes: Axes, analysis: Analysis, target: str, models: list[str]) -> None:
    tint = style.colours(analysis.content)
    known = [value for model in models if (value := _part(analysis, "elbo_gap", target, model)) is not None]
    reach, least = max([*known, 1e-9]), min([*known, 0.0])
    edge = reach * 1.25
    axes.set_xlim(least * 1.2 if least < 0 else 0, edge)
    for y, model in enumerate(models):
        total = analysis.scores["elbo_gap", target, model].estimate
        if total is None:
            word = analysis.scores["elbo_gap", target, model].word
            axes.text(reach * 0.02, y, word, va="center", fontsize=style.SMALL, color=style.WARNING)
            continue
        parts = _stack(analysis, target, model)
        if not parts:
            axes.barh(y, total.value, height=BAR, color=style.FAINT)
        left = 0.0
        for kind, value in parts:
            if kind == "fit gap" or value > 0:
                axes.barh(y, value, left=left, height=BAR, **_face(kind, tint[model]))
                left += max(value, 0.0)
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
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _stack(analysis: Analysis, target: str, model: str) -> list[tuple[str, float]]:
    """The parts of a bar, each with its median: three, or two where the inference gap is not known in parts."""
    known = {kind: _part(analysis, metric, target, model) for kind, (metric, _) in KINDS.items()}
    split = known["approximation gap"] is not None and known["amortisation gap"] is not None
    unused = {"inference gap"} if split else {"approximation gap", "amortisation gap"}
    parts = [(kind, value) for kind, value in known.items() if value is not None and kind not in unused]
    return parts if known["fit gap"] is not None else []


def _face(kind: str, colour: str) -> dict[str, Any]:
    """How a part is filled, for any patch."""
    hatch = KINDS[kind][1]
    if not hatch:
        return {"facecolor": colour, "edgecolor": colour, "linewidth": 0.6}
    return {"facecolor": "white", "edgecolor": colour, "hatch": hatch, "linewidth": 0.6}


def _patch(kind: str, colour: str) -> Patch:
    return Patch(label="inference gap (not split)" if kind == "inference gap" else kind, **_face(kind, colour))


def _part(analysis: Analysis, metric: str, target: str, model: str) -> float | None:
    score = analysis.scores.get((metric, target, model))
    return score.estimate.value if score is not None and score.estimate is not None else None
