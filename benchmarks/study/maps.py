"""Transform the sample or the distribution? Flow, OT map and decoder as maps of N(0, I)."""

from __future__ import annotations

from functools import partial

import torch
from matplotlib.figure import Figure

from benchmarks import lookup
from benchmarks.report.statistics import Estimate
from benchmarks.report.style import INK, MUTED, canvas, look
from benchmarks.study.charts import COLOURS
from benchmarks.study.evidence import Evidence, positive
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.pushing import pushed
from benchmarks.study.tabular import said, table
from benchmarks.targets.base import Target, TransportTarget
from models.base import Model

TARGET = "brenier_2d"
MODELS = ("ot_map", "gaussian_ot", "flow_matching", "normalizing_flow", "gaussian_vae", "exact_likelihood_vae")
POINTS = 20_000
OPTIMAL, DEARER, NEAR = 1.02, 1.05, 5.0
_LINES, _REACH = 13, 2.4


def cost(model: Model, target: Target) -> float:
    """E|T(z) − z|² over that of the optimal map, z from N(0, I)."""
    assert isinstance(target, TransportTarget)
    z = _noise()
    moved, optimal = pushed(model, z) - z, target.transport(z) - z
    return float(moved.square().sum(1).mean() / optimal.square().sum(1).mean())


def off(model: Model, target: Target) -> float:
    """L2-UVP in per cent: 100 E|T(z) − T*(z)|² / Var(p*); Korotin et al. 2021."""
    assert isinstance(target, TransportTarget)
    exact = target.transport(_noise())
    spread = (exact - exact.mean(0)).square().sum(1).mean()
    return float(100 * (pushed(model, _noise()) - exact).square().sum(1).mean() / spread)


def price_of_way(evidence: Evidence, model: str) -> Estimate | None:
    """`cost`, the median over replicates."""
    return positive(evidence.measured("cost", cost, TARGET, model))


def find(evidence: Evidence) -> Finding:
    """What each map pays for its way, and how far it is from the optimal one."""
    paid = {m: price_of_way(evidence, m) for m in MODELS}
    away = {m: positive(evidence.measured("off", off, TARGET, m)) for m in MODELS}
    claims = (
        Claim(f"ot_map pays at most {OPTIMAL:g} times the optimal cost", paid["ot_map"], at_most=OPTIMAL),
        Claim(f"ot_map is within {NEAR:g} % of the true map (L2-UVP)", away["ot_map"], at_most=NEAR),
        Claim(f"normalizing_flow pays at least {DEARER:g} times", paid["normalizing_flow"], at_least=DEARER),
        Claim(f"gaussian_vae’s decoder pays at least {DEARER:g} times", paid["gaussian_vae"], at_least=DEARER),
        Claim(f"normalizing_flow is more than {NEAR:g} % from the true map", away["normalizing_flow"], at_least=NEAR),
    )
    rows = [((m,), [paid[m], away[m], evidence.kl(TARGET, m)]) for m in MODELS]
    summary = f"On {TARGET}, whose optimal map is known, E|T(z) − z|² is this multiple of the optimum: " + ", ".join(
        f"{m} {said(paid[m])}" for m in MODELS
    )
    caption = (
        "Where a square grid over N(0, I) goes under the optimal map and under each fitted one (of a decoder: under "
        "its mean), first replicate. Most of them make nearly the same distribution; they do not take the same way. A "
        "decoder may turn or mirror the plane, since N(0, I) looks the same from every side. A cost below 1 is no "
        "bargain: that map, like the linear gaussian_ot, does not get all the way to the target."
    )
    return Finding(
        claims, f"{summary}.",
        (table("maps", "Cost of the way and distance to the optimal map",
               "Cost as a multiple of the optimum; L2-UVP in per cent; KL in nats.",
               ("model", "cost", "L2-UVP, %", "KL"), rows),),
        partial(_grids, evidence), caption,
    )  # fmt: skip


def _grids(evidence: Evidence) -> Figure:
    law = lookup.find("target", TARGET).load()()
    shown = {"optimal map": law.transport} | {
        m: partial(pushed, fitted) for m in MODELS if (fitted := evidence.first(TARGET, m)) is not None
    }
    line = torch.linspace(-_REACH, _REACH, _LINES, dtype=torch.float64)
    fine = torch.linspace(-_REACH, _REACH, 200, dtype=torch.float64)
    with look(), torch.no_grad():
        figure = canvas(4.9)
        axes = figure.subplots(2, 4, sharex=True, sharey=True)
        for axis in axes.flat:
            axis.set_axis_off()
            axis.set_aspect("equal")
        for (name, move), axis in zip(shown.items(), axes.flat, strict=False):
            axis.set_title(name, color=INK, fontweight="bold")
            for value in line:
                across = torch.stack([fine, value.expand_as(fine)], 1)
                for path, colour in ((across, COLOURS[0]), (across.flip(1), COLOURS[1])):
                    x = move(path)
                    axis.plot(x[:, 0], x[:, 1], color=colour, lw=0.7)
        axes.flat[-1].text(0.5, 0.5, "blue: lines along z₁\norange: along z₂", ha="center", va="center", color=MUTED,
                           transform=axes.flat[-1].transAxes)  # fmt: skip
        figure.tight_layout()
    return figure


def _noise() -> torch.Tensor:
    return torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


PREDICTION = Prediction(
    "maps",
    "Transform the sample or the distribution?",
    "All of these models move the points of a Gaussian cloud to the data. Optimal transport takes the shortest "
    "way; do the others, which were only asked for the right cloud at the end?",
    "Models that fit the same distribution equally well move N(0, I) there by different maps; only the OT map’s is the "
    "cheapest, and it is the known optimal one.",
    "Infinitely many maps push N(0, I) to p*; exactly one is the gradient of a convex function, and it minimises "
    "E|T(z) − z|² (Brenier). Maximum likelihood does not ask which map it gets.",
    "Brenier 1991; Korotin et al. 2021; Huang et al. 2021 (convex potential flows)",
    (Experiment((TARGET,), MODELS),),
    find,
)
