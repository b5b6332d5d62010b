"""The training curves: one small panel a target and model, for the eye to find what has not converged."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import style
from benchmarks.report.content import Content, Curve
from benchmarks.report.text import broken

CAPTION = (
    "The loss against the step of training, a line for each replicate, every panel on a scale of its own (its first "
    "tenth, where losses fall from anywhere, may leave the panel). Look for lines that still fall steeply at their "
    "end, or that part from one another; where training has stages the line jumps from one loss to the next. Models "
    "without a training loop are left out."
)
_LABEL, _HEAD, _HEIGHT = 1.25, 0.62, 0.5


def trained(content: Content) -> list[str]:
    """The models that left a curve on some target."""
    return [m for m in content.contenders if any(content.curves(target.name, m) for target in content.targets)]


def training(content: Content) -> Figure:
    """Rows of targets, columns of models."""
    models, tint = trained(content), style.colours(content)
    if not models:
        return style.nothing("no model of this run left a training curve")
    rows, columns = len(content.targets), len(models)
    with style.look():
        figure = style.canvas(_HEAD + _HEIGHT * rows)
        axes = figure.subplots(rows, columns, squeeze=False)
        height = figure.get_figheight()
        figure.subplots_adjust(
            left=_LABEL / style.WIDTH, right=0.995, top=1 - _HEAD / height, bottom=0.01, wspace=0.12, hspace=0.12
        )
        for i, target in enumerate(content.targets):
            axes[i, 0].set_ylabel(broken(target.name, 14), rotation=0, ha="right", va="center", labelpad=6)
            for j, model in enumerate(models):
                _panel(axes[i, j], content.curves(target.name, model), tint[model])
        for j, model in enumerate(models):
            axes[0, j].set_title(broken(model, 11), fontsize=style.SMALL - 1, color=tint[model], fontweight="bold")
    return figure


def _panel(axes: Axes, curves: list[Curve], colour: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(True)
    kept = [(step, loss) for step, loss in curves if len(step) > 1 and np.isfinite(loss).any()]
    if not kept:
        axes.set_facecolor("#f5f6f7")
        return
    for step, loss in kept:
        axes.plot(step / step[-1], loss, color=colour, lw=0.7)
    settled = np.concatenate([loss[step > step[-1] / 10] for step, loss in kept])
    settled = settled[np.isfinite(settled)]
    if len(settled):
        low, high = float(settled.min()), float(settled.max())
        margin = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
