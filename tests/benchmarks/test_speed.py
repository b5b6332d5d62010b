"""The comparison with the plain way: what is counted, what is said, and that the rivals do the same work."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks import machine, speed
from benchmarks.errors import UserError
from benchmarks.seeds import generator
from benchmarks.speed import rivals, script
from benchmarks.speed.estimators import plain_sliced_w2_squared, plain_w2_squared
from benchmarks.speed.loops import Task, flops, lockstep_seconds, plain_seconds, prepared_once, tasks_of, watched
from benchmarks.speed.measurement import COLUMNS, QUICK, Clock, compared, interleaved
from benchmarks.speed.training import gradient_trained
from metrics.transport import solve
from models.base import Budget, Model
from models.gaussian_vae import GaussianVAE
from models.l2_autoencoder import L2Autoencoder
from models.normalizing_flow import NormalizingFlow
from models.training import GradientTrained, Recipe, fit_replicates


class Ticking:
    """A clock that counts how often it was read."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self) -> float:
        self.read += 1
        return float(self.read**2)


class Line(GradientTrained):
    """y = a x by least squares: too small to be anything but a count of steps."""

    prepared = finished = 0

    def build(self, x: torch.Tensor, generator: torch.Generator) -> None:
        self.slope = nn.Parameter(torch.zeros(x.shape[1], 3))
        self.recipe = Recipe(steps=40, batch_size=16, holdout=0.0)

    def prepare(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        Line.prepared += 1
        return x.float()

    def loss(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return (x @ self.slope - 1).square().sum(-1).mean()

    def finish(self, x: torch.Tensor, generator: torch.Generator) -> None:
        Line.finished += 1

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(n, len(self.slope), dtype=torch.float64)


def data(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_clock_is_read_at_each_step_of_any_optimiser_and_the_loop_left_after_so_many() -> None:
    parameter = nn.Parameter(torch.zeros(5, 2))
    optimiser = torch.optim.SGD([parameter], lr=0.1)
    clock, steps = Ticking(), 0
    with watched(7, clock) as ticks:  # type: ignore[arg-type]
        while True:
            parameter.grad = torch.ones(5, 2)
            optimiser.step()
            steps += 1
    assert ticks.times == [1, 4, 9, 16, 25, 36, 49, 64]
    assert steps == 7  # the eighth is interrupted
    assert ticks.typical() == 9  # the median of 3, 5, …, 15
    assert ticks.together == 5
    optimiser.step()
    assert clock.read == 8  # outside, nothing is watched any more


def test_a_fit_is_timed_per_replicate_and_not_run_to_its_end() -> None:
    finished, prepared = Line.finished, Line.prepared
    once, x = prepared_once(Line), data(64, 2)
    for _ in range(2):
        seconds = lockstep_seconds(once, x, 4, 4, Ticking(), "cpu")  # type: ignore[arg-type]
        assert seconds == pytest.approx(6 / 4)  # the median of 3, 5, 7, 9, shared by four replicates
    assert Line.finished == finished
    assert Line.prepared == prepared + 2  # the rows that are fitted to, and those held out, which are none


def test_the_plain_loop_takes_the_steps_of_the_recipe() -> None:
    (task,) = tasks_of(Line, data(64, 2), "cpu")
    assert task.x.dtype == torch.float32
    before = task.loss(task.x, generator("test")).item()
    assert plain_seconds(task, 3, Ticking(), "cpu") == 5  # type: ignore[arg-type]
    assert task.loss(task.x, generator("test")).item() < before


def test_the_plain_loop_and_ours_do_the_same_work() -> None:
    """On a convex problem both end where least squares does."""
    x = data(256, 2)
    exact = torch.linalg.lstsq(x, torch.ones(256, 3, dtype=torch.float64)).solution
    (task,) = tasks_of(Line, x, "cpu")
    plain_seconds(Task(task.parameters, task.loss, task.x, Recipe(batch_size=128)), 600, Clock("cpu"), "cpu")
    ours = Line()
    fit_replicates([ours], [x], [generator("test")], Budget(effort=15))
    for slope in (task.parameters[0], ours.slope):
        torch.testing.assert_close(slope.detach().double(), exact, atol=0.05, rtol=0)


def test_flops_of_a_linear_model_are_those_of_its_matrix_products() -> None:
    (task,) = tasks_of(Line, data(64, 2), "cpu")
    assert flops(task, "cpu") == 2 * (2 * 16 * 2 * 3)  # forward, and the gradient of the slope


@pytest.mark.parametrize("model", [GaussianVAE, L2Autoencoder, NormalizingFlow])
@pytest.mark.parametrize("d", [2, 5])
def test_a_rival_is_as_large_as_our_own_model_and_learns(model: type[GradientTrained], d: int) -> None:
    rival = rivals.rival_of(model)
    assert rival is not None
    module, loss = rival[1](d)
    ours = model()
    ours.build(data(20_000, d), generator("test"))
    count = [sum(parameter.numel() for parameter in each.parameters()) for each in (module, ours)]
    assert count[0] == pytest.approx(count[1], rel=0.05)

    x = data(256, d, seed=1).float()
    noise = generator("test")
    before = loss(x, noise).item()
    optimiser = torch.optim.AdamW(module.parameters(), lr=5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss(x, noise).backward()
        optimiser.step()
    assert loss(x, noise).item() < before - 0.01


def test_a_handwritten_vae_has_the_loss_of_ours() -> None:
    """With the same parameters: the negative ELBO, up to the constant d/2 · log 2π that the notebook leaves out."""
    x = data(20_000, 3)
    ours = GaussianVAE()
    ours.build(x, generator("test"))
    module = rivals.PlainVAE(3, 3)
    with torch.no_grad():
        for plain, network in ((module.encoder, ours.encoder.network), (module.decoder, ours.decoder.network)):
            for own, value in zip(plain.layers.parameters(), network.network.parameters(), strict=True):
                own.copy_(value)
            plain.straight.weight.copy_(network.weight)
        module.log_sigma.copy_(ours.decoder.log_scale)
        y = ours.prepare(x, generator("test"))
        constant = 1.5 * math.log(2 * math.pi)
        found = float(module.loss(y, generator("same"))) + constant
        assert found == pytest.approx(float(ours.loss(y, generator("same"))), rel=1e-4)


def test_pot_called_plainly_gives_the_distance_that_the_suite_certifies() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 200, 3))
    assert plain_w2_squared(x, y) == pytest.approx(solve(x, y).cost, rel=1e-9)
    moved = plain_sliced_w2_squared(x, x + np.array([1, 0, 0]), 2_000)
    assert moved == pytest.approx(1 / 3, rel=0.1)  # E cos² over the sphere


def test_ways_are_measured_in_turn() -> None:
    order: list[str] = []

    def way(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = interleaved({name: lambda name=name: way(name) for name in "ab"}, 3)
    assert order == list("ababab")
    assert found == {"a": [1, 3, 5], "b": [2, 4, 6]}
    row = compared("part", "case", ("a", found["a"]), ("b", found["b"]), "ms", 1e3)
    assert (row.ours, row.theirs, row.ratio, row.lowest, row.highest) == (3e3, 4e3, 4 / 3, 6 / 5, 2)


def _write_run(folder: Path, stamp: dict[str, str]) -> None:
    """A run of two models on one target: fits of 1 s and 100 s, scores of 1 s."""
    folder.mkdir()
    sizes = {"sliced": 1_000, "wasserstein": 100, "batches": 4, "projections": 8, "likelihood": 500, "latent": 100}
    manifest = {
        "machine": stamp,
        "description": {"sizes": sizes, "budget": {"effort": 1.0}},
        "models": ["gaussian_vae", "gaussian"],
        "replicates": 2,
        "targets": [{"name": "eight_gaussians", "dimension": 2}, {"name": "claw", "dimension": 1}],
    }
    (folder / "run.json").write_text(json.dumps(manifest))
    costs = {"fit_cpu_seconds": 100.0, "score_cpu_seconds": 1.0, "sample_seconds_per_1000": 0.5}
    rows = [
        ("eight_gaussians", model, replicate, name, value)
        for model in manifest["models"]
        for replicate in range(2)
        for name, value in costs.items()
    ]
    pd.DataFrame(rows, columns=["target", "model", "replicate", "metric", "value"]).to_csv(folder / "costs.csv")
    scores = [("eight_gaussians", "gaussian", replicate, "kl", 0.5, 0.01, "ok", "") for replicate in range(2)]
    columns = ["target", "model", "replicate", "metric", "value", "error", "status", "reason"]
    pd.DataFrame(scores, columns=columns).to_csv(folder / "scores.csv")


def test_the_script_is_held_against_the_costs_of_a_run(tmp_path: Path) -> None:
    _write_run(tmp_path / "run", machine.stamp())
    extent = speed.Extent(dimensions=(2,))
    with torch.no_grad():
        rows = {row.case: row for row in script.script_rows(extent, tmp_path / "run")}
    vae, gaussian = rows["gaussian_vae, 1 targets × 2"], rows["gaussian, 1 targets × 2"]
    assert vae.ours == gaussian.ours == 202
    # A model that solves is fitted by the same code: its 200 s are on both sides, and 2 × 1 s of samples.
    assert 202 < gaussian.theirs < 220
    assert vae.theirs != gaussian.theirs
    assert rows["of which samples"].theirs == 4
    parts = sum(rows[f"of which {part}"].theirs for part in ("samples", "exact W2", "sliced W2", "log p"))
    assert rows["all scores"].theirs == pytest.approx(parts)
    whole = rows["fits and scores"]
    assert whole.theirs == pytest.approx(rows["all fits"].theirs + parts)
    assert whole.ours == pytest.approx(rows["all fits"].ours + rows["all scores"].ours)
    assert rows["fits and scores, the script with more points for KL"].theirs > whole.theirs


def test_times_are_not_compared_across_machines(tmp_path: Path) -> None:
    _write_run(tmp_path / "run", machine.stamp() | {"processor": "another"})
    assert script.script_rows(QUICK, tmp_path / "run") == []
    assert script.script_rows(QUICK, tmp_path / "nothing") == []


def test_as_many_points_as_the_standard_error_needs() -> None:
    """log p*/p for N(0, 1) and N(m, 1) has mean m²/2 and variance m²: exactly twice."""
    assert script._points_for(pd.Series({"value": 0.005, "error": 0.01})) == pytest.approx(100)
    assert script._points_for(pd.Series({"value": 0.5, "error": 1e-6})) == script.MOST_POINTS
    assert script._points_for(pd.Series({"value": 0.5, "error": 0.0})) == 0


@pytest.mark.slow
def test_a_quick_measurement_has_every_part(tmp_path: Path) -> None:
    frame, notes = speed.measure(QUICK, run=tmp_path / "no run")
    assert tuple(frame.columns) == COLUMNS
    assert set(frame["part"]) == {"training step", "arithmetic", "exact W2", "log-likelihood", "harness"}
    for name in gradient_trained():
        assert frame["case"].str.startswith(f"{name}, ").any()
    assert (frame["ours"] > 0).all()
    assert (frame["lowest"] <= frame["ratio"]).all()
    assert (frame["ratio"] <= frame["highest"]).all()
    assert sorted(frame.query("goal.str.startswith('≥')")["case"].str.split(",").str[0]) == sorted(
        ["gaussian_vae", "l2_autoencoder", "normalizing_flow"]
    )
    assert any("holds no run" in note for note in notes)
    text = speed.markdown(frame, notes)
    assert machine.stamp()["processor"] in text
    speed.write(frame, text, tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "speed.csv")) == len(frame)
    assert (tmp_path / "out" / "speed.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("device", ["cuda", "mps", "nonsense"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match=f"--device {device}"):
        speed.measure(QUICK, device)


def test_models_are_found_by_what_they_can_do() -> None:
    found = gradient_trained()
    assert {"gaussian_vae", "l2_autoencoder", "normalizing_flow"} <= set(found)
    assert all(issubclass(model, Model) for model in found.values())
    assert "gaussian" not in found
