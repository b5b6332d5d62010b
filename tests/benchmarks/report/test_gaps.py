import math
from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import Content
from benchmarks.report.analysis import analyse
from benchmarks.report.gaps import KINDS, gaps
from tests.benchmarks.report.synthetic import TARGETS, content, older

HATCH = {kind: hatch or None for kind, (_, hatch) in KINDS.items()}


@pytest.fixture(scope="module")
def run() -> Content:
    return content(TARGETS[2:4], trouble=False)


def panel(figure: Figure, target: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left") == target]
    return axes


def bars(axes: Axes, row: int) -> list[tuple[float, float, str | None]]:
    """Left end, width and hatch of each bar in this row."""
    found = []
    for patch in axes.patches:
        (left, low), width, height = patch.get_xy(), patch.get_width(), patch.get_height()  # type: ignore[attr-defined]
        if abs(low + height / 2 - row) < 1e-9:
            found.append((left, width, patch.get_hatch()))
    return found


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_three_parts_are_stacked_end_to_end(run: Content) -> None:
    figure = gaps(run)
    row = run.contenders.index("gaussian_vae")
    for target in run.targets:
        parts = ("fit_gap", "approximation_gap", "amortisation_gap")
        values = [analyse(run).value(part, target.name, "gaussian_vae") for part in parts]
        drawn = bars(panel(figure, target.name), row)
        assert [width for _, width, _ in drawn] == pytest.approx(values)
        assert [left for left, _, _ in drawn] == pytest.approx([0.0, values[0], values[0] + values[1]])
        assert [hatch for _, _, hatch in drawn] == [
            HATCH["fit gap"], HATCH["approximation gap"], HATCH["amortisation gap"]
        ]  # fmt: skip
    assert labels(figure) == ["fit gap", "approximation gap", "amortisation gap"]
    assert len(set(HATCH.values())) == len(KINDS)  # told apart without colour


def test_an_exact_density_is_all_fit(run: Content) -> None:
    row = run.contenders.index("normalizing_flow")
    assert [hatch for _, _, hatch in bars(panel(gaps(run), "two_moons"), row)] == [None]


def test_an_older_run_has_two_parts(run: Content) -> None:
    old = older(run)
    figure = gaps(old)
    drawn = bars(panel(figure, "two_moons"), old.contenders.index("gaussian_vae"))
    inference = analyse(old).value("inference_gap", "two_moons", "gaussian_vae")
    assert [hatch for _, _, hatch in drawn] == [None, HATCH["inference gap"]]
    assert drawn[1][1] == pytest.approx(inference)
    assert labels(figure) == ["fit gap", "inference gap (not split)"]


def test_one_cell_that_is_not_split_falls_back_alone(run: Content) -> None:
    scores = run.scores.copy()
    lost = (
        (scores["target"] == "two_moons")
        & (scores["model"] == "gaussian_vae")
        & (scores["metric"] == "amortisation_gap")
    )
    scores.loc[lost, ["value", "error"]] = math.nan
    scores.loc[lost, "status"] = "n/a"
    figure = gaps(replace(run, scores=scores))
    row = run.contenders.index("gaussian_vae")
    assert len(bars(panel(figure, "two_moons"), row)) == 2
    assert len(bars(panel(figure, "eight_gaussians"), row)) == 3
    assert len(labels(figure)) == 4


def test_a_part_below_zero_is_not_drawn(run: Content) -> None:
    scores = run.scores.copy()
    scores.loc[scores["metric"] == "approximation_gap", "value"] = -0.001
    figure = gaps(replace(run, scores=scores))
    assert len(bars(panel(figure, "two_moons"), run.contenders.index("gaussian_vae"))) == 2
