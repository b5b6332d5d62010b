"""The ledger: every group holds, verdicts are what they say, and the rows do not depend on who computes them."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy.stats import norm

from benchmarks import cli, verify
from benchmarks.verify import closed_forms
from benchmarks.verify.check import Check, coverage, holds
from benchmarks.verify.ledger import GROUPS
from metrics.score import Score

SLOW = {
    "matching_in_the_square",
    "linear_models",
    "trained_model",
    "gaussians",
    "known_maps",
    "densities",
    "flow",
    "ot_map",
    "gaussian_target",
    "in_the_plane",
    "in_the_plane_by_batches",
    "in_high_dimension",
    "sliced",
    "exact_densities",
    "gaps",
}
EVERY = [
    pytest.param(group, function.__name__, marks=[pytest.mark.slow] * (function.__name__ in SLOW))
    for group, functions in GROUPS.items()
    for function in functions
]


@pytest.mark.parametrize(("group", "name"), EVERY)
def test_holds(group: str, name: str) -> None:
    checks = verify.checks_of(group, name)
    assert checks
    assert all(check.group == group for check in checks)
    assert all(math.isfinite(check.got) and math.isfinite(check.error) for check in checks), checks
    assert not [(check.name, check.stated, check.got, check.error) for check in checks if not check.holds]


def test_names_are_told_apart() -> None:
    for group, functions in GROUPS.items():
        assert len({function.__name__ for function in functions}) == len(functions), group


@pytest.mark.parametrize(
    ("kind", "got", "holds"),
    [
        ("value", 1.39, True),
        ("value", 0.61, True),
        ("value", 1.41, False),
        ("value", 0.59, False),
        ("value", math.nan, False),
        ("at most", -5.0, True),
        ("at most", 1.41, False),
        ("at most", math.nan, False),
        ("at least", 5.0, True),
        ("at least", 0.59, False),
    ],
)
def test_four_errors_are_allowed_and_no_more(kind, got: float, holds: bool) -> None:
    assert Check("a", "b", 1.0, got, 0.1, "c", kind).holds is holds


@pytest.mark.parametrize(
    ("held", "calibrated", "wide"), [(929, "FAIL", "FAIL"), (950, "pass", "pass"), (971, "FAIL", "pass")]
)
def test_coverage_gets_no_benefit_of_its_error(held: int, calibrated: str, wide: str) -> None:
    shares = [True] * held + [False] * (1_000 - held)
    assert coverage("b", shares).verdict == calibrated
    assert coverage("b", shares, "reason").verdict == wide


def test_an_interval_holds_what_lies_within_it() -> None:
    assert holds(Score.of(1.0, 0.1), 1.19)
    assert not holds(Score.of(1.0, 0.1), 1.2)
    assert not holds(Score.absent("failed", "no number"), 1.0)


def test_tolerances_are_stated_and_rounding_has_no_z() -> None:
    exact = Check("a", "b", 0.0, 1e-16, 1e-17, "c", tolerance=1e-9)
    assert (exact.stated, math.isnan(exact.z), exact.verdict) == ("0 ± 1e-09", True, "pass")
    assert Check("a", "b", 0.25, 0.3, 0.1, "c", tolerance=1e-9).stated == "0.25"
    assert Check("a", "b", 0.25, 0.3, 0.1, "c").z == pytest.approx(0.5)


def test_a_line_is_the_same_in_any_process(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"Wasserstein": ("assignment", "potentials"), "published": ("entropy",)}
    monkeypatch.setattr(
        "benchmarks.verify.ledger.GROUPS",
        {group: tuple(f for f in GROUPS[group] if f.__name__ in names) for group, names in few.items()},
    )
    here, there = verify.verify(workers=0), verify.verify(workers=2)
    assert here == there
    assert [check.group for check in here] == sorted((check.group for check in here), key=list(few).index)


def _line(monkeypatch: pytest.MonkeyPatch, got: float) -> None:
    monkeypatch.setattr(verify, "verify", lambda _: [Check("latent", "a check", 1.0, got, 0.1, "closed form")])
    monkeypatch.setattr(cli, "out", cli.Console(width=200))


def test_the_command_writes_the_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:
    _line(monkeypatch, 1.05)
    cli.verify(out_folder=tmp_path)
    said = capsys.readouterr().out
    assert "a check" in said
    assert "1 of 1 checks hold" in said
    written = pd.read_csv(tmp_path / "ledger.csv")
    assert list(written.columns) == ["group", "check", "expected", "got", "error", "z", "verdict", "source"]
    assert written.loc[0, "z"] == pytest.approx(0.5)
    assert "a check" in (tmp_path / "ledger.md").read_text()


def test_the_command_fails_when_a_check_does(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:
    _line(monkeypatch, 2.0)
    with pytest.raises(cli.typer.Exit) as stop:
        cli.verify(out_folder=None)
    assert stop.value.exit_code == 1
    assert "FAIL" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_quantile_distance_of_two_normals() -> None:
    """W2² = (m₁ − m₂)² + (s₁ − s₂)², W1 of a shift is the shift."""
    assert closed_forms.quantile_distance(norm(0.5, 2), norm(), 2) == pytest.approx(1.25, abs=1e-8)
    assert closed_forms.quantile_distance(norm(0.5), norm(), 1) == pytest.approx(0.5, abs=1e-8)
