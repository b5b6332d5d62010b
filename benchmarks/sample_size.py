"""How large a sample the Wasserstein distance needs: bias and spread of its estimates against n, in 1 to 64 dimensions.

`python -m benchmarks.sample_size --out results/published` makes the table and the figure that metrics/README.md shows.
The model is N(0, s² I), the target N(0, I): equal, or blown up by a tenth, with W2² = d (s − 1)² exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import seaborn as sns
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from threadpoolctl import threadpool_limits

from benchmarks.files import write_bytes, write_text
from benchmarks.report import style
from metrics.debiasing import shrinkage
from metrics.transport import Array, solve, solve_sorted

BLOWN_UP = 1.1
SIZES = (125, 250, 500, 1_000, 2_000, 8_000, 32_000)
LARGEST = {1: 32_000, 2: 2_000, 16: 2_000, 64: 2_000}
#: How many points are drawn of each law at each n: many repetitions where n is small.
POINTS = {1: 3_200_000, 2: 40_000, 16: 40_000, 64: 40_000}
ESTIMATES = {
    "plain": "plain W2²(P, Q)",
    "floor": "minus the target’s floor W2²(Q, Q′)",
    "debiased": "debiased by both self terms",
}


def measure(d: int, n: int, repetitions: int) -> pd.DataFrame:
    """One row per repetition and scale: the three estimates, and how far short debiasing says that it falls."""
    rows = []
    rng = np.random.default_rng([d, n])
    for _ in range(repetitions):
        p, p2, q, q2 = rng.standard_normal((4, n, d))
        of_model, of_target = _cost(p, p2), _cost(q, q2)
        for scale in (1.0, BLOWN_UP):
            pq, p2q2 = _cost(scale * p, q), _cost(scale * p2, q2)
            noise = (scale**2 * of_model + of_target) / 2
            debiased = (pq + p2q2) / 2 - noise
            rows.append(
                {
                    "d": d,
                    "n": n,
                    "scale": scale,
                    "truth": d * (scale - 1) ** 2,
                    "plain": pq,
                    "floor": pq - of_target,
                    "debiased": debiased,
                    "allowance": shrinkage(debiased, noise, scale * p, q),
                }
            )
    return pd.DataFrame(rows)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Bias and spread of each estimate, one row per dimension, n and scale."""
    groups = runs.groupby(["d", "n", "scale"])
    table = groups.agg(truth=("truth", "first"), repetitions=("truth", "size"), allowance=("allowance", "mean"))
    for name in ESTIMATES:
        table[f"{name}_bias"] = groups[name].mean() - table["truth"]
        table[f"{name}_spread"] = groups[name].std()
    return table.reset_index()


def figure(table: pd.DataFrame) -> Figure:
    """Bias (solid) and spread (dotted) of the estimates, as shares of the target's variance d, one panel each."""
    scales = (1.0, BLOWN_UP)
    with style.look():
        drawing = style.canvas(5.0)
        panels = drawing.subplots(len(scales), len(POINTS), sharey=True, squeeze=False)
        for row, scale in zip(panels, scales, strict=True):
            for axes, d in zip(row, POINTS, strict=True):
                _panel(axes, table[(table["d"] == d) & (table["scale"] == scale)], d)
            row[0].set_ylabel("equal laws" if scale == 1 else "blown up by a tenth")
        for axes, d in zip(panels[0], POINTS, strict=True):
            axes.set_title(f"d = {d}", loc="left", fontweight="bold")
        for axes in panels[-1]:
            axes.set_xlabel("n")
        handles, labels = panels[-1][0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="upper center", ncols=3, frameon=False)
        drawing.subplots_adjust(left=0.09, right=0.99, top=0.85, bottom=0.09, wspace=0.08, hspace=0.16)
    return drawing


def _panel(axes: Axes, rows: pd.DataFrame, d: int) -> None:
    for colour, marker, (name, label) in zip(
        sns.color_palette("colorblind")[:3], "^so", ESTIMATES.items(), strict=True
    ):
        bias, spread = abs(rows[f"{name}_bias"]) / d, rows[f"{name}_spread"] / d
        axes.plot(rows["n"], bias, marker=marker, markersize=4, color=colour, label=f"|bias|: {label}")
        axes.plot(rows["n"], spread, linestyle=":", color=colour, label="spread" if name == "debiased" else None)
    truth = float(rows["truth"].iloc[0])
    if truth:
        axes.axhline(truth / d, color=style.INK, linewidth=0.8, linestyle="--", label="the truth, 0.01")
    axes.set(xscale="log", yscale="log", ylim=(1e-5, 3))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.5f}".rstrip("0").rstrip("."))
        axis.set_minor_locator(NullLocator())
    axes.set_xticks([100, 1_000, 10_000] if d == 1 else [100, 1_000])
    axes.grid(axis="y")
    sns.despine(ax=axes)


def _cost(x: Array, y: Array) -> float:
    if x.shape[1] == 1:
        return solve_sorted(np.sort(x[:, 0]), np.sort(y[:, 0]), 2).cost
    return solve(x, y).cost


def run(out: Annotated[Path, typer.Option(help="Folder for the table and the figure.")]) -> None:
    """Measure, about ten minutes on one core, and write tables/sample_size.csv and figures/sample_size.png and .svg."""
    with threadpool_limits(1):
        runs = [measure(d, n, min(400, points // n)) for d, points in POINTS.items() for n in SIZES if n <= LARGEST[d]]
    table = summary(pd.concat(runs))
    write_text(out / "tables" / "sample_size.csv", table.to_csv(index=False, float_format="%.4g"))
    for suffix in ("png", "svg"):
        write_bytes(out / "figures" / f"sample_size.{suffix}", style.encode(figure(table), suffix))
    typer.echo(table.to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    typer.run(run)
