"""The summary: one row per model, and what can be said of it across all targets."""

from __future__ import annotations

import math

from benchmarks.report import machines, text
from benchmarks.report.analysis import Analysis, analyse, typical
from benchmarks.report.content import FRAME, Content, MetricInfo
from benchmarks.report.tables import Cell, Table, cost_cell, cost_table, metric_table

#: What the summary shows: mean ranks, on how many targets a model is best, and medians over the ranked targets.
RANKED = ("kl", "w2_squared", "sliced_w2_squared")
COUNTED = ("kl", "w2_squared")
INFERENCE = ("approximation_gap", "amortisation_gap", "inference_gap")
TYPICAL = ("kl", *INFERENCE)

RANKS = (
    "Rank: the mean over the targets where every compared model has a complete number, with its 95 % interval over "
    "targets and replicates drawn anew (where there are enough targets). A model that lacks one on more than a third "
    "of the targets where others have one is not compared, or it would take those targets from all of them. On a "
    "target it is the expected rank, one plus the sum over the others of how probably each is better: models that "
    "cannot be told apart at all share their ranks, and where a difference is less than its error both ranks are drawn "
    "towards the middle. Bold: the best, and those that cannot be told from it."
)
REST = (
    "Best: the number of targets where the model is the best or not distinguishably worse. Medians are over the "
    "ranked targets, those of the inference gap and its parts over the targets where all of them are ranked, with the "
    "95 % interval that the errors on these targets leave; of the fit’s cost over all targets [least, most]. Nothing "
    "is filled in."
)


def summary_table(content: Content) -> Table:
    """Model × what matters across targets: ranks, wins, typical values, cost."""
    analysis = analyse(content)
    ranked = [metric for metric in RANKED if metric in content.headline]
    counted = [metric for metric in COUNTED if metric in content.headline]
    shown = [metric for metric in TYPICAL if metric in content.headline]
    targets = _targets(analysis, shown)
    places = list(machines.machines(content)) or [""]
    columns = [
        "model",
        *(f"rank by {text.inline(content.info(metric).title)}" for metric in ranked),
        *(f"best by {text.inline(content.info(metric).title)}" for metric in counted),
        *(f"median {text.inline(_with_unit(content.info(metric)))}" for metric in shown),
        *(f"fit, CPU s {place}".strip() for place in places),
    ]
    rows = []
    for model in content.columns:
        frame = model in FRAME
        cells = [Cell(model, mark="frame" if frame else "")]
        cells += [Cell("frame", mark="frame") if frame else _rank(analysis, metric, model) for metric in ranked]
        cells += [Cell("frame", mark="frame") if frame else _wins(analysis, metric, model) for metric in counted]
        cells += [_typical(analysis, metric, model, targets[metric]) for metric in shown]
        cells += [cost_cell(content, "fit_cpu_seconds", model, place) for place in places]
        rows.append(tuple(cells))
    caption = _caption(analysis, ranked, shown)
    caption = f"{caption} {machines.explained(content)}".strip()
    return Table("summary", "Across all targets", caption, tuple(columns), tuple(rows))


def all_tables(content: Content) -> list[Table]:
    """Every table that compares models: the summary, one per headline metric, the costs."""
    metrics = [*content.headline, "fit_cpu_seconds"]
    return [summary_table(content), *(metric_table(content, metric) for metric in metrics), cost_table(content)]


def _rank(analysis: Analysis, metric: str, model: str) -> Cell:
    ranks = analysis.rankings[metric]
    if model not in ranks.mean:
        return Cell("n/a", mark="word")
    this = ranks.mean[model]
    known = math.isfinite(this.low)
    note = f"[{this.low:.2f}, {this.high:.2f}]" if known else ""
    return Cell(f"{this.value:.2f}", note, "best" if known and model in ranks.level else "", this.value)


def _wins(analysis: Analysis, metric: str, model: str) -> Cell:
    if all(analysis.score(metric, target.name, model).estimate is None for target in analysis.content.targets):
        return Cell("n/a", mark="word")
    tried = [target.name for target in analysis.content.targets if analysis.leaders[metric, target.name]]
    won = sum(model in analysis.leaders[metric, target] for target in tried)
    return Cell(f"{won} of {len(tried)}", sort=won)


def _targets(analysis: Analysis, shown: list[str]) -> dict[str, tuple[str, ...]]:
    """Over which targets each median is: those that are ranked. Parts of one gap share theirs, so that they compare."""
    ranked = {metric: analysis.rankings[metric].targets for metric in shown}
    parts = [targets for metric, targets in ranked.items() if metric in INFERENCE]
    common = tuple(target for target in (parts[0] if parts else ()) if all(target in part for part in parts))
    return {metric: common if metric in INFERENCE else targets for metric, targets in ranked.items()}


def _typical(analysis: Analysis, metric: str, model: str, targets: tuple[str, ...]) -> Cell:
    this = typical(analysis, metric, model, targets)
    return Cell("n/a", mark="word") if this is None else Cell(*text.interval(this), sort=this.value)


def _caption(analysis: Analysis, ranked: list[str], shown: list[str]) -> str:
    parts = [RANKS, REST]
    for metric in dict.fromkeys([*ranked, *shown]):
        ranks, title = analysis.rankings[metric], text.inline(analysis.content.info(metric).title)
        left_out = [*ranks.excluded, *(f"the model {name}" for name in ranks.absent)]
        if left_out:
            parts.append(f"Left out by {title}: {', '.join(left_out)}.")
    return " ".join(parts)


def _with_unit(info: MetricInfo) -> str:
    return f"{info.title} ({info.unit})" if info.unit else info.title
