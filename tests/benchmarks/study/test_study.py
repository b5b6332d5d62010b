"""Predictions, their verdicts, and the page that shows them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import execution, lookup, study
from benchmarks import publish as publishing
from benchmarks.errors import UserError
from benchmarks.oracle import oracle
from benchmarks.report.statistics import Estimate
from benchmarks.store import Store
from benchmarks.study import (
    answer,
    deconvolution,
    evidence,
    maps,
    modes,
    planning,
    posterior,
    prediction,
    pushing,
    tails,
)
from benchmarks.study.prediction import Claim, Study, overall
from benchmarks.study.pushing import steepest
from benchmarks.targets.base import TransportTarget
from models.base import Budget
from models.gaussian import Gaussian
from tests.models.fits import new, trained


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.2, "supported"), (-0.3, -0.1, "refuted"), (-0.1, 0.1, "undecided"), (math.nan, math.nan, "undecided")],
)
def test_a_claim_is_decided_by_its_whole_interval(low: float, high: float, verdict: str) -> None:
    assert Claim("the effect is positive", Estimate((low + high) / 2, low, high), at_least=0.0).verdict == verdict


def test_what_was_not_measured_is_undecided_and_one_refuted_claim_refutes():
    assert Claim("anything", None).verdict == "undecided"
    assert overall(["supported", "undecided", "refuted"]) == "refuted"
    assert overall(["supported", "undecided"]) == "undecided"
    assert overall(["supported", "supported"]) == "supported"
    assert overall([]) == "undecided"


def test_the_floor_of_a_gaussian_target_is_the_divergence_of_two_gaussians():
    """ν is then a point mass: KL(N(0, 1) ‖ N(0, σ²)) = ½ (1/σ² − 1) + ln σ."""
    sigma = 1.5
    assert deconvolution.floor("two_modes[separation=0.0]", sigma) == pytest.approx(
        (1 / sigma**2 - 1) / 2 + math.log(sigma), abs=5e-4
    )


def test_the_floor_under_a_wide_noise_is_that_of_a_single_centre():
    """σ = 1.5 sd: ν is a point mass, so the floor is ½ ln(2πσ²) + v/2σ² − H, v and H the variance and entropy of p*."""
    sigma, law = 1.5, lookup.find("target", "uniform").load()()
    x, weight = law.nodes(2.0)
    mean = weight @ x[:, 0]
    variance = float(weight @ (x[:, 0] - mean).square())
    entropy = -float(weight @ law.log_prob(x))
    expected = math.log(2 * math.pi * sigma**2 * variance) / 2 + 1 / (2 * sigma**2) - entropy
    assert deconvolution.floor("uniform", sigma) == pytest.approx(expected, abs=2e-4)


def test_weights_are_found_that_nothing_near_them_beats():
    """A mixture of two known components: the share that most likely made the data, by calculus on a line search."""
    generator = np.random.default_rng(0)
    kernel = generator.uniform(0.1, 2.0, (200, 2))
    share = np.full(200, 1 / 200)
    found = deconvolution.most_likely(kernel, share, most=math.inf)
    grid = np.linspace(0, 1, 20_001)
    best = grid[np.argmax([share @ np.log(kernel @ [w, 1 - w]) for w in grid])]
    assert found.sum() == pytest.approx(1.0)
    assert found[0] == pytest.approx(best, abs=0.01)


def test_the_floor_vanishes_where_the_target_is_wide_enough_and_grows_with_sigma():
    floors = [deconvolution.floor("bimodal", sigma) for sigma in (0.05, 0.2, 0.4)]
    assert floors[0] < 1e-3
    assert floors[0] < floors[1] < floors[2]


def test_the_exact_slope_is_that_of_the_optimal_map():
    target = lookup.find("target", modes.apart(4.0)).load()()
    assert isinstance(target, TransportTarget)
    z = torch.tensor([[-1e-4], [1e-4]], dtype=torch.float64)
    slope = float(target.transport(z).diff(dim=0) / 2e-4)
    assert slope == pytest.approx(modes.exact_slope(4.0), rel=1e-3)


def test_the_steepest_slope_of_a_gaussian_is_its_deviation():
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(4_000, 1, generator=generator, dtype=torch.float64)
    model = Gaussian()
    model.fit(x, generator, Budget())
    assert steepest(model) == pytest.approx(float(x.std(unbiased=False)), rel=1e-3)


def test_the_far_mass_of_the_target_itself_is_one():
    """200 of the 200,000 draws are expected there: four standard errors are 0.28."""
    law = lookup.find("target", "student_t[degrees=3]").load()()
    assert tails.beyond(oracle(law), law) == pytest.approx(1.0, abs=0.29)


@pytest.mark.parametrize("separation", [2.0, 6.0])
def test_the_mass_between_the_modes_is_that_of_its_closed_form(separation: float) -> None:
    law = lookup.find("target", modes.apart(separation)).load()()
    expected = modes.exact_between(separation)
    error = math.sqrt(expected / pushing.DRAWS)
    assert modes.between(oracle(law), law) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("name", ["gaussian_vae", "heteroscedastic_vae", "normalizing_flow", "gaussian_mixture"])
def test_the_mass_of_an_interval_is_the_share_of_draws_in_it(name: str) -> None:
    """By quadrature over the noise or by sampling, whatever the model is: four standard errors of 100,000 draws."""
    law = lookup.find("target", modes.apart(3.0)).load()()
    model = trained(new(name), law.sample(2_000, torch.Generator().manual_seed(1)), effort=0.02)
    with torch.no_grad():
        drawn = model.sample(100_000, torch.Generator().manual_seed(2)).squeeze(1)
        for low, high in ((-0.5, 0.5), (1.0, math.inf), (-math.inf, math.inf)):
            share = float(((low < drawn) & (drawn < high)).double().mean())
            error = math.sqrt(max(share * (1 - share), 1e-6) / 100_000)
            assert pushing.mass(model, low, high) == pytest.approx(share, abs=4 * math.sqrt(1.5) * error + 1e-5)


def test_the_optimal_map_costs_what_it_costs_and_is_no_way_off():
    law = lookup.find("target", maps.TARGET).load()()
    assert maps.cost(oracle(law), law) == pytest.approx(1.0)
    assert maps.off(oracle(law), law) == pytest.approx(0.0, abs=1e-9)


def test_every_cell_of_every_study_is_there_under_the_name_it_is_asked_for():
    for name, each_study in study.STUDIES.items():
        cells = study.plan(name, out=Path("results/never")).cells
        names = {(cell.target.name, cell.model.name) for cell in cells}
        assert len(names) == len(cells)
        for each in each_study.predictions:
            for experiment in each.experiments:
                assert {(t, m) for t in experiment.targets for m in experiment.models} <= names


def test_a_study_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean bottleneck"):
        study.plan("bottlenek", out=tmp_path / "x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one prediction, with next to no training."""
    patch = pytest.MonkeyPatch()
    tiny = Study("Which way?", (maps.PREDICTION,), lambda _: ["One sentence.", "Another."])
    patch.setitem(planning.STUDIES, "tiny", tiny)
    patch.setattr(planning, "QUICK", planning.Extent(replicates=2, train=400, effort=0.005))
    folder = tmp_path_factory.mktemp("study") / "tiny"
    planned = study.plan("tiny", quick=True, out=folder)
    execution.carry_out(planned, workers=0, command=f"pushforward study tiny --out {folder}")
    study.write(study.made(tiny, planned.store), folder)
    yield folder
    patch.undo()


def test_the_page_holds_the_verdict_and_its_numbers_are_those_of_the_tables(folder: Path) -> None:
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Transform the sample or the distribution?" in page
    assert re.search(r"supported|refuted|undecided", page)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for file in re.findall(r"\]\((figures/[^)]+)\)", readme):
        assert (folder / file).is_file()


def test_the_same_store_gives_the_same_bytes(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "cells" not in path.parts}
    study.write(study.made(study.STUDIES["tiny"], Store(folder)), folder)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("typed", "published"),
    [
        ("pushforward study bottleneck --out /home/me/results", "pushforward study bottleneck"),
        ("pushforward run smoke --out=x --model 'a[b=1, c=2]'", "pushforward run smoke --model 'a[b=1, c=2]'"),
        ("pushforward run standard", "pushforward run standard"),
    ],
)
def test_a_published_command_is_of_no_machine(typed: str, published: str) -> None:
    assert publishing.reproducing(typed) == published


def test_publishing_a_study_renews_its_part_of_the_readme(tmp_path: Path, folder: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Top\n<!-- study: begin -->\n<!-- study: end -->\nbottom\n")
    publishing.publish(folder, tmp_path / "published", readme)
    text = readme.read_text(encoding="utf-8")
    assert re.search(r"\*\*(supported|refuted|undecided)\*\*", text)
    assert text.endswith("bottom\n")
    kept = tmp_path / "published" / "tiny"
    assert {"index.html", "README.md", "scores.csv", "costs.csv", "run.json"} <= {path.name for path in kept.iterdir()}
    assert not (kept / "cells").exists()
    for page in ("run.json", "README.md", "index.html"):
        assert "--out" not in (kept / page).read_text(encoding="utf-8")  # a place on this machine
    readme.write_text("# nothing to renew\n")
    with pytest.raises(UserError, match="study: begin"):
        publishing.publish(folder, tmp_path / "published", readme)


def test_a_study_without_numbers_is_undecided_and_still_a_page(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "scores.csv").write_text("target,model,replicate,metric,value,error,status,reason\n")
    (tmp_path / "costs.csv").write_text("target,model,replicate,metric,value\n")
    (tmp_path / "run.json").write_bytes((folder / "run.json").read_bytes())
    store = Store(tmp_path)
    made = study.made(study.STUDIES["bottleneck"], store)
    assert {part.finding.verdict for part in made.parts} == {"undecided"}
    assert len(made.answer) == 5
    study.write(made, tmp_path)
    assert "undecided" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_answer_follows_from_the_scores(tmp_path: Path, folder: Path) -> None:
    """Made up: q costs three quarters of the ELBO's KL on two targets, and a quarter of it on the third."""
    exact = {"eight_gaussians": 0.1, "rings": 0.1, "checkerboard": 0.3}
    rows = [
        f"{target},{model},{replicate},kl,{value * (1 + 0.01 * replicate)},0.0,ok,"
        for target, least in exact.items()
        for model, value in (("gaussian_vae", 0.4), ("full_covariance_vae", 0.4), (posterior.EXACT, least))
        for replicate in range(6)
    ]
    (tmp_path / "scores.csv").write_text("\n".join(["target,model,replicate,metric,value,error,status,reason", *rows]))
    (tmp_path / "costs.csv").write_text("target,model,replicate,metric,value\n")
    (tmp_path / "run.json").write_bytes((folder / "run.json").read_bytes())
    made = evidence.Evidence(Store(tmp_path))
    share = answer.price_of_posterior(made, "rings")
    assert share is not None
    assert share.value == pytest.approx(0.75)
    first, second, *_ = answer.answer(made)
    assert "q(z|x) on eight_gaussians and rings, p(x|z) on checkerboard" in first
    assert "does without 75 %" in first
    assert "25.0 % [25.0, 25.0] on checkerboard" in first
    assert "a full covariance in q on 0 (to 100 %" in second


def test_predictions_are_whole() -> None:
    for each in study.STUDIES["bottleneck"].predictions:
        assert isinstance(each, prediction.Prediction)
        assert each.statement.endswith(".")
        assert each.theory.endswith(".")
        assert re.search(r"\d{4}", each.source)
