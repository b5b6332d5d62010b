"""The short answer: sentences that a run's numbers and their intervals support, and no others."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.report import text
from benchmarks.report.analysis import Analysis, analyse, typical
from benchmarks.report.content import GAUSSIAN, ORACLE, SPLIT, Content
from benchmarks.report.families import REPLACED, machines
from benchmarks.report.statistics import Estimate, difference, seed

MOST = 12  # names in a row: of more than that nobody reads the last
QUESTION = "How well can a Gaussian be morphed into anything, and which Gaussian is the bottleneck?"


def short_answer(content: Content) -> list[str]:
    """Three to eight sentences or pairs of them, as plain text."""
    analysis = analyse(content)
    shown = content.provenance.get("shown here", "")
    parts = [
        f"This is an excerpt: {shown}." if shown else "",
        _ranked(analysis, "kl") + _medians(analysis, "kl"),
        _ranked(analysis, "w2_squared"),
        _inference(analysis),
        *(_replaced(analysis, base, variants) for base, variants in REPLACED.items()),
        _framed(analysis),
        _missing(analysis),
    ]
    return [part for part in parts if part]


def _ranked(analysis: Analysis, metric: str) -> str:
    """Who has the best mean rank, and how sure that is."""
    if metric not in analysis.rankings:
        return ""
    ranks, title = analysis.rankings[metric], text.inline(analysis.content.info(metric).title)
    if ranks.first is None:
        return f"By {title}, nothing can be ranked: no target has a complete number for every model."
    if len(ranks.mean) < 2:
        return f"By {title}, nothing can be ranked: only {ranks.first} has numbers."
    mean = ranks.mean[ranks.first]
    of = f"of {len(ranks.mean)} models over the {_count(len(ranks.targets), 'target')} where all have a number"
    if math.isnan(ranks.stays):
        # Ranks are shown, and compared, to two digits: what they hold beyond is the noise of drawing.
        tied = [model for model, this in ranks.mean.items() if f"{this.value:.2f}" == f"{mean.value:.2f}"]
        who = f"{_list(tied)} share" if len(tied) > 1 else f"{ranks.first} has"
        return f"By {title}, {who} the best mean rank ({mean.value:.2f} {of}); so few targets say little about others."
    others = [model for model in ranks.level if model != ranks.first]
    verdict = f"{_list(others)} cannot be told from it" if others else "every other model’s is distinguishably worse"
    return (
        f"By {title}, {ranks.first} has the best mean rank ({mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}] {of})"
        f" and stays first in {_percent(ranks.stays)} of draws of targets and replicates; {verdict}."
    )


def _medians(analysis: Analysis, metric: str) -> str:
    """The median score of the first, of the four machines and of the frame, over the same targets."""
    ranks, info = analysis.rankings.get(metric), analysis.content.info(metric)
    if ranks is None or not ranks.targets:
        return ""
    named = [model for model in ranks.mean if model == ranks.first or model in machines(analysis.content)]
    models = [*named, *(model for model in (GAUSSIAN, ORACLE) if model in analysis.content.models)]
    medians = {model: this for model in models if (this := typical(analysis, metric, model, ranks.targets)) is not None}
    ordered = sorted(medians.items(), key=lambda item: item[1].value, reverse=info.better == "higher")
    listed = [f"{model} {text.estimate(this) if this.low < this.high else text.number(this.value)}"
              for model, this in ordered]  # fmt: skip
    more = f", and {len(listed) - MOST} more in the tables" if len(listed) > MOST else ""
    return f" Its median over these targets, in {info.unit}: {', '.join(listed[:MOST])}{more}."


def _inference(analysis: Analysis) -> str:
    """How much of the ELBO gap of the machines with a latent is inference, and which part of that is the larger."""
    sentences = []
    for model in machines(analysis.content):
        against_fit = _Parts(analysis, model, "inference_gap", "fit_gap", "elbo_gap")
        if not against_fit.tried:
            continue
        sentence = (
            f"of {model}’s ELBO gap the inference gap is{against_fit.share} distinguishably the larger part on"
            f" {against_fit.larger} of {_count(against_fit.tried, 'target')} and the smaller on {against_fit.smaller}"
        )
        within = _Parts(analysis, model, *SPLIT, "inference_gap")
        if within.tried:
            sentence += (
                f"; within that, the approximation gap (a Gaussian posterior) is{within.share} distinguishably larger"
                f" than the amortisation gap (one encoder for all points) on {within.larger} of"
                f" {_count(within.tried, 'target')} and smaller on {within.smaller}"
            )
        sentences.append(_capital(sentence) + ".")
    more = f" {len(sentences) - MOST // 3} more models are in the tables." if len(sentences) > MOST // 3 else ""
    return " ".join(sentences[: MOST // 3]) + more


def _replaced(analysis: Analysis, base: str, variants: dict[str, str]) -> str:
    """On how many targets the KL falls, and rises, where one part of a model is replaced."""
    content, parts = analysis.content, []
    for variant, what in variants.items():
        gains = [_against(analysis, "kl", target.name, variant, base) for target in content.targets]
        known = [gain for gain in gains if gain is not None]
        if variant in content.models and known:
            lower, higher = sum(map(_below, known)), sum(map(_above, known))
            parts.append(
                f"lower on {lower} and higher on {higher} of {_count(len(known), 'target')} with {what} ({variant})"
            )
    return f"Against {base}, KL is distinguishably {'; '.join(parts)}." if parts else ""


class _Parts:
    """On how many targets one part is distinguishably larger than another, and its share of their total.

    Targets count where all three are complete and the model has an encoder to speak of: an exact density's inference
    gap is zero by definition. share: the median over the targets whose total is distinguishably positive, in words with
    the least and the most; the shares of a total around zero would mean nothing, and those beyond 0 and 1 are noise.
    """

    def __init__(self, analysis: Analysis, model: str, part: str, rest: str, total: str) -> None:
        shares: list[float] = []
        self.larger = self.smaller = self.tried = 0
        for target in analysis.content.targets:
            keys = [(metric, target.name, model) for metric in (part, rest, total)]
            inference = analysis.replicates.get(("inference_gap", target.name, model))
            if inference is None or not inference["value"].any() or any(key not in analysis.replicates for key in keys):
                continue
            a, b, whole = (analysis.replicates[key] for key in keys)
            excess = difference(a, b, np.random.default_rng(seed(target.name, "parts")))
            self.tried += 1
            self.larger, self.smaller = self.larger + _above(excess), self.smaller + _below(excess)
            if _above(analysis.scores[keys[2]].estimate):
                shares.append(float(np.clip((a["value"] / whole["value"]).median(), 0.0, 1.0)))
        self.share = ""
        if shares:
            ends = f"{100 * min(shares):.0f} to {_percent(max(shares))}"
            self.share = f" {_percent(float(np.median(shares)))} on the median target ({ends}),"


def _framed(analysis: Analysis) -> str:
    """How the models stand against not trying, and against the best that is possible."""
    content, parts = analysis.content, []
    better, compared = 0, 0
    for target in content.targets:
        for model in content.contenders:
            gain = _against(analysis, "kl", target.name, model, GAUSSIAN)
            compared += gain is not None
            better += _below(gain)
    if compared:
        parts.append(
            f"In {better} of {compared} cells with a KL the model is distinguishably closer to the target than the"
            " moment-matched Gaussian"
        )
    level, tried = 0, 0
    for target in content.targets:
        best = analysis.leaders.get(("w2_squared", target.name), ())
        loss = _against(analysis, "w2_squared", target.name, best[0], ORACLE) if best else None
        tried += loss is not None
        level += loss is not None and not _above(loss)
    if tried:
        words = "the best model’s W2² cannot be told from that of the target itself at this sample size"
        parts.append(f"on {level} of {_count(tried, 'target')} {words}")
    return _capital("; ".join(parts)) + "." if parts else ""


def _missing(analysis: Analysis) -> str:
    """How many cells lost something."""
    content = analysis.content
    lost = {(failure.target, failure.model) for failure in analysis.failures}
    total = len(content.targets) * len(content.models)
    if not lost:
        return ""
    verb = "lacks" if len(lost) == 1 else "lack"
    cells = f"{len(lost)} of {_count(total, 'cell')}"
    return f"{cells} {verb} some number; they are listed with their reasons, and nothing is filled in."


def _against(analysis: Analysis, metric: str, target: str, model: str, other: str) -> Estimate | None:
    """The paired difference of a model and an entrant, where both are complete."""
    a, b = (analysis.replicates.get((metric, target, name)) for name in (model, other))
    if a is None or b is None:
        return None
    return difference(a, b, np.random.default_rng(seed(target, metric)))


def _above(this: Estimate | None) -> bool:
    return this is not None and this.low > 0


def _below(this: Estimate | None) -> bool:
    return this is not None and this.high < 0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _list(names: list[str]) -> str:
    if len(names) > MOST:
        return f"{', '.join(names[: MOST - 1])} and {len(names) - MOST + 1} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
