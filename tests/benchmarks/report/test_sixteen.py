"""A run of all entrants: nothing is too wide, too many or told apart by colour alone."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from benchmarks import lookup
from benchmarks.report import Content, metric_table, page, short_answer, summary_table
from benchmarks.report.analysis import analyse
from benchmarks.report.families import FAMILIES, MACHINES, REPLACED, family, sheets
from benchmarks.report.figures import figures, walls
from benchmarks.report.style import colours, markers
from tests.benchmarks.report.synthetic import ENTRANTS, TARGETS, content


@pytest.fixture(scope="module")
def run() -> Content:
    return content(TARGETS, ENTRANTS, trouble=False)


def test_every_built_in_model_has_a_family() -> None:
    assert sorted([*itertools.chain(*FAMILIES.values()), "gaussian"]) == sorted(lookup.available("model"))
    assert set(MACHINES) <= set(ENTRANTS)
    assert set(REPLACED) | {name for of in REPLACED.values() for name in of} <= set(ENTRANTS)
    assert family("my_model") == "others"


def test_colours_and_markers_tell_all_models_apart(run: Content) -> None:
    tint, shape = colours(run), markers(run)
    assert len({shape[model] for model in run.contenders}) == len(run.contenders)  # without colour
    assert len(set(tint.values())) == len(run.models)
    # Whoever sees no hue tells the members of a family by their lightness (relative luminance, WCAG 2).
    for members in FAMILIES.values():
        light = sorted(_luminance(tint[model]) for model in members)
        assert np.diff(light).min(initial=1.0) > 0.01
    subset = content(TARGETS[:1], ["oracle", "iwae", "ot_map"], 1)
    assert colours(subset)["ot_map"] == tint["ot_map"]  # the same in every run
    assert len(set(colours(content(TARGETS[:1], ["mine", "yours", "iwae"], 1)).values())) == 5


def _luminance(colour: str) -> float:
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_walls_hold_whole_families_and_every_model_once(run: Content) -> None:
    found = sheets(run, 8)
    assert sorted(itertools.chain(*found)) == sorted(run.contenders)
    assert [len(sheet) for sheet in found] == [8, 8]
    assert list(walls(run)) == ["wall", "wall_2"]
    assert walls(run)["wall_2"].title == "Densities and samples: autoencoders, flows, transport maps, mixtures"
    assert list(walls(content(TARGETS[:1], ENTRANTS[:6], 1))) == ["wall"]
    many = content(TARGETS[:1], [f"m{i}" for i in range(19)], 1)
    assert [len(sheet) for sheet in sheets(many, 8)] == [8, 8, 3]


def test_the_page_shows_every_figure(run: Content) -> None:
    names = list(figures(run))
    assert names == ["wall", "wall_2", "kl", "w2", "elbo_gap", "cost", "training"]
    html = page(run, {name: {"png": name.encode()} for name in names})
    assert html.count("<img") == len(names)
    assert all(f'id="{name}"' in html for name in [*names, "quality"])


def test_a_model_without_a_density_is_ranked_where_it_can_be(run: Content) -> None:
    rankings = analyse(run).rankings
    assert rankings["kl"].absent == ("sinkhorn_map",)
    assert len(rankings["kl"].mean) == 15
    assert "sinkhorn_map" in rankings["w2_squared"].mean
    (row,) = [row for row in summary_table(run).rows if row[0].text == "sinkhorn_map"]
    shown = dict(zip(summary_table(run).columns, row, strict=True))
    assert shown["rank by KL"].text == shown["best by KL"].text == shown["median KL (nats)"].text == "n/a"
    assert float(shown["rank by debiased W2²"].text) > 1
    foot = metric_table(run, "kl").foot
    assert "sinkhorn_map on every target (n/a: the model has no density)" in foot
    assert "every model but sinkhorn_map on digits (n/a: the density of real data is not known)" in foot


def test_the_answer_is_short_and_about_the_question(run: Content) -> None:
    answer = short_answer(run)
    assert len(answer) <= 7
    assert max(map(len, answer)) < 900
    medians = answer[0].split("Its median")[1]
    assert all(f" {model} " in medians for model in MACHINES)
    assert "flow_matching" not in medians
    (replaced,) = [part for part in answer if part.startswith("Against gaussian_vae")]
    # In the synthetic run the KL of iwae is a fifth of gaussian_vae's, that of two_stage_vae a sixth more.
    assert "lower on 7 and higher on 0 of 7 targets with an importance-weighted bound" in replaced
    assert "lower on 0 and" in replaced.split("; ")[-1]
    assert not any(part.startswith("Against") for part in short_answer(content(TARGETS[:3])))
