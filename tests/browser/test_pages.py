"""The published pages in a real browser: they load, show each figure, sort, fit a phone, hold the store's numbers."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.study import posterior
from tests.browser.page import Seen, opened

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
PAGES = {"run": PUBLISHED / "index.html", "study": PUBLISHED / "bottleneck" / "index.html"}


@pytest.fixture(scope="module")
def see(tmp_path_factory: pytest.TempPathFactory):
    """A page by its name, opened once."""
    return cache(lambda name: opened(PAGES[name], tmp_path_factory.mktemp(name)))


@pytest.mark.parametrize("name", PAGES)
def test_it_loads_without_an_error_and_shows_every_figure(name: str, see) -> None:
    seen: Seen = see(name)
    assert seen.faults == []
    assert seen.missing == []
    assert len(seen.images) >= 5
    for image in seen.images:
        assert image["width"] >= 900
        assert len(image["alt"]) > 40  # what is to be seen, for those who cannot


@pytest.mark.parametrize("name", PAGES)
def test_it_needs_nothing_else(name: str) -> None:
    html = PAGES[name].read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", html)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", html)


@pytest.mark.parametrize("name", PAGES)
def test_every_column_of_every_table_sorts_both_ways(name: str, see) -> None:
    tables = see(name).tables
    assert len(tables) >= 5
    for table in tables:
        for i, clicks in enumerate(table["sorted"]):
            assert [click["direction"] for click in clicks] == ["ascending", "descending"], table["heads"][i]
            for click, sign in zip(clicks, (1, -1), strict=True):
                numbers = [float(value) for value in click["values"] if value != ""]
                assert numbers == sorted(numbers, key=lambda number: sign * number), (table["name"], i)
                assert click["values"][: len(numbers)].count("") == 0 or not numbers  # words come after numbers
            assert sorted(clicks[0]["words"]) == sorted(row[i][0] for row in table["rows"])


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_it_in_one_direction_only(name: str, tmp_path: Path) -> None:
    """500 pixels is the narrowest window that Chromium opens."""
    seen = opened(PAGES[name], tmp_path, width=500)
    assert seen.scroll <= seen.width


def test_the_tables_of_a_run_hold_the_medians_of_its_scores(see) -> None:
    scores = pd.read_csv(PUBLISHED / "scores.csv")
    usable = scores[scores["status"] == "ok"]
    medians = usable.groupby(["metric", "target", "model"])["value"].median()
    checked = 0
    for table in see("run").tables:
        if table["name"] not in medians.index or not set(table["heads"][1:]) <= set(scores["model"]):
            continue
        for row in table["rows"]:
            for model, (_, shown) in zip(table["heads"][1:], row[1:], strict=True):
                if (key := (table["name"], row[0][0], model)) in medians.index and shown != "":
                    assert float(shown) == pytest.approx(medians[key], rel=1e-12), key
                    checked += 1
                else:
                    assert shown == "", key  # a word: n/a, untrusted, failed
    assert checked > 500


def test_the_leading_table_of_the_study_holds_the_medians_of_its_scores(see) -> None:
    scores = pd.read_csv(PUBLISHED / "bottleneck" / "scores.csv")
    (table,) = (table for table in see("study").tables if table["name"] == posterior.PREDICTION.name)
    models = dict(posterior.WAYS)
    assert [row[0][0] for row in table["rows"]] == list(models)
    for row in table["rows"]:
        for target, (_, shown) in zip(posterior.TARGETS, row[1:], strict=True):
            of = (scores["metric"] == "kl") & (scores["target"] == target) & (scores["model"] == models[row[0][0]])
            values = scores.loc[of & (scores["status"] == "ok"), "value"]
            assert math.isclose(float(shown), float(np.median(values)), rel_tol=1e-12)
