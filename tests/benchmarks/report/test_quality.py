"""The quality table holds our replicates against the hand-tuned figures, and says no more than they do."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks import lookup
from benchmarks.report import Content
from benchmarks.report.quality import Comparison, HandTuned, comparisons, hand_tuned, quality_numbers, quality_table
from benchmarks.report.render import write_tables
from tests.benchmarks.report.synthetic import ENTRANTS, TARGETS, content


@pytest.fixture(scope="module")
def run() -> Content:
    return content(TARGETS[2:5], ENTRANTS, trouble=False)


def test_the_figures_are_of_built_in_models_and_targets() -> None:
    source, figures = hand_tuned()
    assert "hand-tuned" in source
    assert {this.model for this in figures} <= set(ENTRANTS)
    assert {this.target for this in figures} <= set(lookup.available("target"))
    assert len({(this.model, this.target) for this in figures}) == len(figures)
    assert all(0 < this.low <= this.high and this.measured for this in figures)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [((0.1, 0.2, 0.3), "yes"), ((0.1, 0.25, 0.3), "yes"), ((0.2, 0.3, 0.4), "by some"), ((0.3, 0.4, 0.5), "no"),
     ((), "n/a")],
)  # fmt: skip
def test_the_verdict_compares_with_the_upper_end(ours: tuple[float, ...], verdict: str) -> None:
    assert Comparison(HandTuned("m", "t", 0.15, 0.25, "", "x"), ours, "").verdict == verdict


def test_ours_is_the_median_and_the_range_of_the_replicates(run: Content) -> None:
    numbers = quality_numbers(run).set_index(["model", "target"])
    rows = run.scores[run.scores["metric"] == "kl"].groupby(["model", "target"])["value"]
    for key, row in numbers.iterrows():
        values = rows.get_group(key)
        assert (row["median"], row["least"], row["most"]) == (values.median(), values.min(), values.max())
    targets = {target.name for target in run.targets}
    assert set(numbers.index) == {(f.model, f.target) for f in hand_tuned()[1] if f.target in targets}


def test_a_cell_that_is_not_complete_is_not_compared(run: Content) -> None:
    scores = run.scores.copy()
    one = (scores["target"] == "eight_gaussians") & (scores["model"] == "iwae") & (scores["metric"] == "kl")
    scores.loc[one & (scores["replicate"] == 1), ["value", "status"]] = (math.nan, "diverged")
    lost = replace(run, scores=scores)
    (found,) = [
        this for this in comparisons(lost) if this.figure.model == "iwae" and this.figure.target == "eight_gaussians"
    ]
    assert (found.ours, found.word, found.verdict) == ((), "incomplete", "n/a")
    (row,) = [row for row in quality_table(lost).rows if [cell.text for cell in row[:2]] == ["iwae", "eight_gaussians"]]
    assert row[2].mark == "word"


def test_the_table_is_written_where_it_has_rows(run: Content, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_tables(run, tmp_path / "all")
    assert {path.suffix for path in (tmp_path / "all").glob("quality.*")} == {".md", ".csv", ".tex"}
    read = pd.read_csv(tmp_path / "all/quality.csv")
    assert list(read["median"]) == pytest.approx(list(quality_numbers(run)["median"]))
    assert "Reached: " in (tmp_path / "all/quality.md").read_text(encoding="utf-8")
    write_tables(content(TARGETS[-1:]), tmp_path / "digits")
    assert not list((tmp_path / "digits").glob("quality.*"))
