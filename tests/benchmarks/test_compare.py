"""Two runs held against each other: verdicts, false alarms, what is said, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import cli, several
from benchmarks.compare import compare, markdown, write
from benchmarks.errors import UserError
from benchmarks.report.comparison import COMPARED, Compared
from benchmarks.report.comparison import compare as compare_scores
from benchmarks.report.comparison_tables import score_table
from benchmarks.report.render import to_markdown

ERROR = 0.01
TARGETS, MODELS, METRICS = ("rings", "claw"), ("oracle", "gaussian_vae", "ot_map"), ("kl", "w2_squared", "elbo_gap")
MANIFEST = {
    "suite": "mine",
    "replicates": 3,
    "device": "cpu",
    "description": {"train": 1000, "sizes": {"latent": 50}, "budget": {"effort": 1.0}, "limits": {"seconds": 60}},
    "versions": {"torch": "2.13"},
    "machine": {"processor": "this", "cores": "2"},
    "targets": [{"name": name} for name in TARGETS],
    "models": list(MODELS),
    "command": "pushforward run mine.toml",
}


def scores(replicates: int = 3, seed: int = 0, *, spread: float = 0.2, error: float = ERROR) -> pd.DataFrame:
    """A run's scores: around 1, with this spread over replicates and this error of each."""
    draw = np.random.default_rng(seed)
    rows = [
        (target, model, replicate, metric, 1 + spread * draw.standard_normal(), error, "ok", "")
        for target in TARGETS
        for model in MODELS
        for replicate in range(replicates)
        for metric in METRICS
    ]
    return pd.DataFrame(rows, columns=["target", "model", "replicate", "metric", "value", "error", "status", "reason"])


def shifted(table: pd.DataFrame, by: float, target: str = "rings", model: str = "ot_map", metric: str = "kl"):
    """The same scores, and one of them higher by so much in every replicate."""
    changed = table.copy()
    changed.loc[of(table, target, model, metric), "value"] += by
    return changed


def of(table: pd.DataFrame, target: str, model: str, metric: str) -> pd.Series:
    return (table["target"] == target) & (table["model"] == model) & (table["metric"] == metric)


def one(compared: list[Compared], target: str = "rings", model: str = "ot_map", metric: str = "kl") -> Compared:
    return next(this for this in compared if (this.target, this.model, this.metric) == (target, model, metric))


def kept(folder: Path, table: pd.DataFrame, seconds: float = 2.0, **changes: object) -> Path:
    """A run's directory with these scores, without cells."""
    folder.mkdir()
    table.to_csv(folder / "scores.csv", index=False)
    cells = table[["target", "model", "replicate"]].drop_duplicates()
    cells.assign(metric="fit_cpu_seconds", value=seconds).to_csv(folder / "costs.csv", index=False)
    (folder / "run.json").write_text(json.dumps(MANIFEST | changes))
    return folder


def test_a_run_is_the_same_as_itself(tmp_path):
    run = kept(tmp_path / "a", scores())
    shutil.copytree(run, tmp_path / "b")
    found = compare(run, tmp_path / "b")
    assert {this.verdict for this in found.compared} == {"same"}
    assert len(found.compared) == len(TARGETS) * len(MODELS) * len(METRICS)
    assert "18 scores of 6 cells" in found.summary[1]
    assert "18 same to the last bit; 0 changed beyond noise." in found.summary[1]
    assert [table.name for table in found.tables] == ["compare_costs"]
    assert len(compare(run, tmp_path / "b", everything=True).tables[0].rows) == 18


def test_one_last_bit_is_a_difference(tmp_path):
    table = scores()
    changed = table.copy()
    changed.loc[0, "value"] = np.nextafter(changed.loc[0, "value"], 2)
    found = compare(kept(tmp_path / "a", table), kept(tmp_path / "b", changed))
    differ = [this for this in found.compared if this.verdict != "same"]
    assert [(this.differing, this.verdict) for this in differ] == [(1, "within noise")]


@pytest.mark.parametrize("replicates", [1, 3, 8])
def test_ten_errors_are_beyond_noise_and_half_an_error_is_within(replicates):
    table = scores(replicates)
    for metric, up, down in (("kl", "worse", "better"), ("w2_squared_floor", "higher", "lower")):
        renamed = table.replace({"metric": {"kl": metric}})
        for by, verdict in ((10, up), (-10, down), (0.5, "within noise"), (-0.5, "within noise")):
            found = compare_scores(renamed, shifted(renamed, by * ERROR, metric=metric), [metric])
            assert one(found, metric=metric).verdict == verdict
            assert [this.verdict for this in found].count("same") == len(found) - 1
    higher = table.replace({"metric": {"kl": "log_likelihood"}})
    found = compare_scores(higher, shifted(higher, 10 * ERROR, metric="log_likelihood"), ["log_likelihood"])
    assert one(found, metric="log_likelihood").verdict == "better"


def test_the_difference_is_paired_and_holds_its_errors():
    table = scores(spread=50.0)  # replicates differ by far more than the runs do
    known = one(compare_scores(table, shifted(table, 10 * ERROR), METRICS)).difference
    assert known is not None
    assert known.value == pytest.approx(10 * ERROR)
    # of the median of three, each with both errors: 1.96 × 0.67 of one's deviation
    assert known.high - known.low == pytest.approx(2 * 1.96 * 0.67 * math.sqrt(2) * ERROR, rel=0.1)


def test_one_replicate_alone_does_not_move_a_median():
    table = scores()
    changed = table.copy()
    changed.loc[of(table, "rings", "ot_map", "kl") & (table["replicate"] == 1), "value"] += 100 * ERROR
    found = one(compare_scores(table, changed, METRICS))
    assert (found.verdict, found.differing, found.paired) == ("within noise", 1, 3)


@pytest.mark.parametrize(("replicates", "spread", "error"), [(1, 0.0, 1.0), (2, 1.0, 0.0), (3, 1.0, 0.1)])
def test_false_alarms_are_no_more_than_promised(replicates, spread, error):
    """Runs that differ by noise alone: one in twenty comparisons says something, at most, and 5 % of the intervals."""
    pairs, alarms, moved, tests = 120, 0, 0, 0
    for pair in range(pairs):
        draw = np.random.default_rng([pair, replicates])
        table = scores(replicates, error=error)
        noise = np.hypot(spread, math.sqrt(2) * error) * draw.standard_normal(len(table))
        found = compare_scores(table, table.assign(value=table["value"] + noise), METRICS)
        alarms += any(this.verdict != "within noise" for this in found)
        moved, tests = moved + sum(this.moved for this in found), tests + len(found)
    for share, count in ((alarms / pairs, pairs), (moved / tests, tests)):
        assert share <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


def test_many_comparisons_ask_for_more_of_each():
    """A difference that would count alone does not among many that are noise."""
    draw = np.random.default_rng(3)
    table = scores()
    noise = ERROR * draw.standard_normal(len(table))
    among = table.assign(value=table["value"] + np.where(of(table, "rings", "ot_map", "kl"), 0.0, noise))
    alone = [one(compare_scores(table, shifted(other, 2.2 * ERROR), METRICS)) for other in (table, among)]
    assert [this.moved for this in alone] == [True, True]
    assert [this.verdict for this in alone] == ["worse", "within noise"]


def test_a_changed_status_is_said_with_its_words():
    table = scores()
    changed = table.copy()
    changed.loc[of(table, "rings", "ot_map", "kl"), "status"] = "untrusted"
    changed.loc[of(table, "claw", "ot_map", "kl") & (table["replicate"] == 2), ["status", "value"]] = ["diverged", None]
    found = compare_scores(table, changed, METRICS)
    assert one(found).verdict == one(found, "claw").verdict == "status changed"
    shown = to_markdown(score_table(found, everything=False))
    assert "status changed: ok → untrusted" in shown
    assert "status changed: ok → 1 of 3 diverged" in shown
    assert one(found, "claw").paired == 2


def test_what_only_one_run_has_and_what_does_not_apply():
    a, b = scores(), scores()
    a = a[a["target"] != "claw"]
    b = b[~of(b, "rings", "oracle", "kl")].copy()
    b.loc[of(b, "claw", "oracle", "kl"), "status"] = "n/a"
    for table in (a, b):
        table.loc[of(table, "rings", "ot_map", "kl"), ["status", "value", "error"]] = ["n/a", None, None]
    found = compare_scores(a, b, METRICS)
    assert one(found, "rings", "oracle").verdict == "only in A"
    assert one(found, "claw", "gaussian_vae").verdict == "only in B"
    known = {(this.target, this.model, this.metric) for this in found}
    assert not {("rings", "ot_map", "kl"), ("claw", "oracle", "kl")} & known


def test_more_replicates_are_compared_on_those_that_both_have():
    found = one(compare_scores(scores(3, spread=0.0), scores(5, spread=0.0), METRICS))
    assert (found.verdict, found.paired) == ("same", 3)
    assert found.b is not None
    assert len(found.b.statuses) == 5


def test_rounding_is_noise_where_a_score_has_no_error():
    table = scores(1, error=0.0)
    assert one(compare_scores(table, shifted(table, 1e-13), METRICS)).verdict == "within noise"
    assert one(compare_scores(table, shifted(table, 1e-3), METRICS)).verdict == "worse"


def test_other_sizes_are_said_and_not_refused(tmp_path):
    smaller = MANIFEST["description"] | {"train": 200, "sizes": {"latent": 20}}
    a = kept(tmp_path / "a", scores())
    b = kept(tmp_path / "b", scores(), description=smaller, versions={"torch": "2.14"}, replicates=5)
    found = compare(a, b)
    warning = next(sentence for sentence in found.summary if "not comparable" in sentence)
    assert "train (1000 in A, 200 in B)" in warning
    assert "sizes.latent (50 in A, 20 in B)" in warning
    assert "torch" not in warning
    table = next(table for table in found.tables if table.name == "descriptions")
    assert {row[0].text for row in table.rows} == {"replicates", "train", "sizes.latent", "versions.torch"}


def test_costs_are_compared_on_one_machine_only(tmp_path):
    a, b = kept(tmp_path / "a", scores(), 2.0), kept(tmp_path / "b", scores(), 3.0)
    other = kept(tmp_path / "c", scores(), 3.0, machine={"processor": "that", "cores": "2"})
    table = next(table for table in compare(a, b).tables if table.name == "compare_costs")
    assert [row[3].text for row in table.rows] == ["1.50"] * len(MODELS)
    found = compare(a, other)
    assert not any(table.name == "compare_costs" for table in found.tables)
    assert "Costs of 6 of 6 cells are not compared" in found.summary[-1]


def test_scores_are_enough(tmp_path):
    folders = []
    for name in ("a", "b"):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        scores().to_csv(folders[-1] / "scores.csv", index=False)
    found = compare(*folders)
    assert {this.verdict for this in found.compared} == {"same"}
    assert "Without a run.json" in " ".join(found.summary)


def test_what_is_written_holds_every_score(tmp_path):
    a = kept(tmp_path / "a", scores())
    found = compare(a, kept(tmp_path / "b", shifted(scores(), 10 * ERROR)))
    write(found, tmp_path / "out")
    assert (tmp_path / "out/compare.md").read_text() == markdown(found)
    assert "| rings" in markdown(found)
    assert "| claw" not in markdown(found)
    table = pd.read_csv(tmp_path / "out/compare.csv")
    assert list(table["verdict"]).count("same") == 17
    assert table.set_index("verdict").loc["worse", "difference"] == pytest.approx(10 * ERROR)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: path.unlink(), "holds no scores.csv"),
        (lambda path: path.write_text("one,two\n1,2\n"), "lacks target"),
        (lambda path: path.write_text(path.read_text().replace("0.01", "small")), "cannot be read"),
        (lambda path: path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n"), "two rows"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(tmp_path, damage, expected):
    a, b = kept(tmp_path / "a", scores()), kept(tmp_path / "b", scores())
    damage(b / "scores.csv")
    with pytest.raises(UserError, match=expected):
        compare(a, b)


def test_the_command(tmp_path, monkeypatch, capsys):
    a, b = kept(tmp_path / "a", scores()), kept(tmp_path / "b", shifted(scores(), 10 * ERROR))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pushforward", "compare", *arguments])
        monkeypatch.setattr(several, "out", cli.Console(width=200))
        monkeypatch.setattr(cli, "err", cli.Console(width=200, stderr=True))
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0), *capsys.readouterr()
        return 0, *capsys.readouterr()

    code, output, _ = call(str(a), str(b), "--out", str(tmp_path / "out"))
    assert code == 0
    assert "17 same to the last bit; 1 changed beyond noise (1 worse)" in output
    assert (tmp_path / "out/compare.csv").is_file()
    code, output, _ = call(str(a), str(b), "--metric", "w2_squared", "--metric", "elbo_gap")
    assert (code, "12 same to the last bit; 0 changed" in output) == (0, True)
    assert call(str(a), str(b), "--metric", "all")[0] == 0
    code, _, errors = call(str(a), str(b), "--metric", "w2_square")
    assert (code, errors.count("\n")) == (2, 1)
    assert "did you mean w2_squared" in errors
    code, _, errors = call(str(a), str(tmp_path / "nowhere"))
    assert (code, errors.count("\n")) == (2, 1)


def test_the_default_is_what_the_summary_ranks_by_and_the_elbo_gap():
    assert COMPARED == ("kl", "w2_squared", "sliced_w2_squared", "elbo_gap")
