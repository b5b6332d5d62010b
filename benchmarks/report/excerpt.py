"""What a report shows of a run that is too large to be looked at: some of its models and targets, and it says so."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.report.content import FRAME, Content

MODELS = 40
TARGETS = 40
FIRST = ("w2_squared", "kl", "sliced_w2_squared", "w1")


def excerpt(content: Content) -> Content:
    """The same run where it is small enough. Otherwise its frame, the models that rank best, and the first targets.

    Models are ranked by the median over targets and replicates of their rank in the first of FIRST that has numbers.
    """
    if len(content.models) <= MODELS and len(content.targets) <= TARGETS:
        return content
    models, word = content.models, "all"
    if len(models) > MODELS:
        models, word = _best(content)
    targets = content.targets[:TARGETS]
    names = [target.name for target in targets]
    scores, costs = (
        table[table["model"].isin(models) & table["target"].isin(names)].reset_index(drop=True)
        for table in (content.scores, content.costs)
    )
    shown = (
        f"{len(models):,} of {len(content.models):,} models ({word}) and {len(targets):,} of "
        f"{len(content.targets):,} targets (the first ones): the run is too large to be shown. scores.csv has all of it"
    )
    return replace(
        content,
        scores=scores,
        costs=costs,
        targets=targets,
        models=models,
        provenance={"shown here": shown, **content.provenance},
    )


def _best(content: Content) -> tuple[list[str], str]:
    """The frame and the best models, in the order of the run, and how they were chosen."""
    frame = [model for model in content.models if model in FRAME]
    good = content.scores[(content.scores["status"] == "ok") & ~content.scores["model"].isin(FRAME)]
    metric = next((name for name in FIRST if (good["metric"] == name).any()), None)
    if metric is None:
        return content.models[:MODELS], "the first ones"
    rows = good[good["metric"] == metric]
    ranks = rows.groupby(["target", "replicate"])["value"].rank().groupby(rows["model"]).median()
    best = set(ranks.sort_values(kind="stable").index[: MODELS - len(frame)]) | set(frame)
    return [
        model for model in content.models if model in best
    ], f"those with the best ranks by {content.metrics[metric].title}"
