"""One run out of several: what is united, what is refused, and whose times stand beside whose."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import cli, execution, several
from benchmarks.content import content_of
from benchmarks.errors import UserError
from benchmarks.execution import carry_out, plan
from benchmarks.merge import merge
from benchmarks.report import all_tables, cost_table, metric_table, results_readme, summary_table, write_report
from benchmarks.report.figures import figures
from benchmarks.report.render import to_markdown
from benchmarks.report.tables import numbers
from benchmarks.store import Store
from tests.tiny import TINY


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(TINY.format(seconds=120, memory_gb=4))
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory, suite) -> Path:
    """Real runs: the whole, and its halves by models and by targets."""
    folder = tmp_path_factory.mktemp("made")
    halves = {
        "whole": {},
        "gaussian": {"models": ["gaussian"]},
        "oracle": {"models": ["oracle"]},
        "bimodal": {"targets": ["bimodal"]},
        "eight": {"targets": ["eight_gaussians"]},
    }
    for name, options in halves.items():
        carry_out(plan(suite, out=folder / name, **options), workers=0, command=f"pushforward run {name}")
    return folder


@pytest.fixture
def runs(made, tmp_path) -> Path:
    """A copy of the runs that a test may damage."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def rewrite(store: Store, target: str, model: str, *, replicates: int = 2, shift: float = 0.0, machine=None) -> None:
    """The same cell with other scores, or from another machine: whole, with a checksum of its own."""
    result = store.read(target, model)
    assert result is not None
    for row in result.scores:
        if row["metric"] == "kl":
            row["value"] += shift
    result.scores = [row for row in result.scores if row["replicate"] < replicates]
    result.machine = machine or result.machine
    chosen = plan("smoke", models=[model], targets=[target], out=store.folder / "nowhere")
    store.save(chosen.cells[0], result)


def elsewhere(folder: Path) -> Path:
    """This run as another machine would have made it."""
    store = Store(folder)
    manifest = store.manifest()
    machine = {"processor": "Another", "cores": "64"}
    for target in manifest["targets"]:
        for model in manifest["models"]:
            rewrite(store, target["name"], model, machine=machine)
    store.write_manifest(manifest | {"machine": machine})
    store.renew_tables()
    return folder


def changed(folder: Path, **changes: object) -> Path:
    store = Store(folder)
    store.write_manifest(store.manifest() | changes)
    return folder


@pytest.mark.parametrize("halves", [("gaussian", "oracle"), ("oracle", "gaussian"), ("bimodal", "eight")])
def test_two_halves_are_the_whole_to_the_last_byte(made, tmp_path, halves):
    merge([made / half for half in halves], tmp_path / "out")
    assert (tmp_path / "out/scores.csv").read_bytes() == (made / "whole/scores.csv").read_bytes()
    for half in halves:
        for path in (made / half / "cells").rglob("*.safetensors"):
            assert (tmp_path / "out" / path.relative_to(made / half)).read_bytes() == path.read_bytes()
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".merging")]


def test_what_is_merged_says_where_it_came_from(made, tmp_path):
    merge([made / "gaussian", made / "oracle"], tmp_path / "out", command="pushforward merge …")
    manifest, whole = (Store(folder).manifest() for folder in (tmp_path / "out", made / "whole"))
    assert manifest["command"] == "pushforward merge …"
    assert [part["command"] for part in manifest["parts"]] == ["pushforward run gaussian", "pushforward run oracle"]
    assert manifest["parts"][1]["cells"] == ["bimodal × oracle", "eight_gaussians × oracle"]
    assert manifest["parts"][0]["machine"] == manifest["machine"] == whole["machine"]
    assert {**manifest, "command": whole["command"]} == whole | {"parts": manifest["parts"]}


def test_a_report_of_one_machine_is_that_of_the_whole(made, tmp_path):
    merge([made / "gaussian", made / "oracle"], tmp_path / "out")
    shutil.copy(made / "whole/costs.csv", tmp_path / "out/costs.csv")  # times differ from run to run
    whole, merged = (content_of(Store(folder)) for folder in (made / "whole", tmp_path / "out"))
    assert [to_markdown(table) for table in all_tables(merged)] == [to_markdown(table) for table in all_tables(whole)]
    assert list(Store(made / "whole").costs()) == ["target", "model", "replicate", "metric", "value"]


def test_a_merged_run_is_resumed(made, tmp_path, suite):
    merge([made / "bimodal", made / "eight"], tmp_path / "out")
    before = (tmp_path / "out/scores.csv").read_bytes()
    path = Store(tmp_path / "out").path("bimodal", "gaussian")
    path.unlink()
    seen = []

    class Watch(execution.Silent):
        def started(self, cell):
            seen.append(cell.name)

    carry_out(plan(suite, out=tmp_path / "out"), workers=0, observer=Watch())
    assert seen == ["bimodal × gaussian"]
    assert (tmp_path / "out/scores.csv").read_bytes() == before


def test_a_cell_in_two_runs_is_taken_once_where_they_agree(made, tmp_path):
    said = merge([made / "gaussian", made / "whole"], tmp_path / "out")
    assert "4 cells of 2 runs; 2 were in more than one" in said
    assert (tmp_path / "out/scores.csv").read_bytes() == (made / "whole/scores.csv").read_bytes()
    taken = Store(tmp_path / "out").path("bimodal", "gaussian").read_bytes()
    assert taken == Store(made / "gaussian").path("bimodal", "gaussian").read_bytes()


def test_a_cell_in_dispute_is_refused_until_it_is_settled(runs, tmp_path):
    rewrite(Store(runs / "gaussian"), "bimodal", "gaussian", shift=1e-15)
    both = [runs / "whole", runs / "gaussian"]
    with pytest.raises(UserError, match=r"the scores of bimodal × gaussian differ between .*; --prefer .*whole"):
        merge(both, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="is none of the runs"):
        merge(both, tmp_path / "out", [runs / "oracle"])
    for name in ("whole", "gaussian"):
        merge(both, tmp_path / name, [runs / name])
        taken = Store(tmp_path / name).path("bimodal", "gaussian").read_bytes()
        assert taken == Store(runs / name).path("bimodal", "gaussian").read_bytes()
        # what is not in dispute stays the first one's
        other = Store(tmp_path / name).path("eight_gaussians", "gaussian").read_bytes()
        assert other == Store(runs / "whole").path("eight_gaussians", "gaussian").read_bytes()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train": 300}, "train is 200 and 300"),
        ({"sizes": {"latent": 21}}, r"sizes\.latent is 20 and 21"),
        ({"budget": {"effort": 0.5}}, r"budget\.effort is 1\.0 and 0\.5"),
    ],
)
def test_other_descriptions_are_refused_with_what_differs(runs, tmp_path, changes, expected):
    description = Store(runs / "oracle").manifest()["description"]
    for key, value in changes.items():
        description[key] = description[key] | value if isinstance(value, dict) else value
    changed(runs / "oracle", description=description)
    with pytest.raises(UserError, match=expected):
        merge([runs / "gaussian", runs / "oracle"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"replicates": 3}, "replicates is 2 and 3"),
        ({"suite": "other"}, "suite is 'tiny' and 'other'"),
        ({"device": "cuda"}, "device is 'cpu' and 'cuda'"),
        ({"targets": [{"name": "bimodal", "summary": "another", "dimension": 2, "image": None}]}, "not the same in"),
        ({"models": ["../../oracle"]}, "cannot be the name of a file"),
        ({"models": ["ot_map"]}, "keeps no cells"),
    ],
)
def test_other_runs_are_refused(runs, tmp_path, changes, expected):
    changed(runs / "oracle", **changes)
    with pytest.raises(UserError, match=expected):
        merge([runs / "gaussian", runs / "oracle"], tmp_path / "out")


def test_a_damaged_cell_is_refused_and_nothing_is_written(runs, tmp_path):
    path = Store(runs / "oracle").path("bimodal", "oracle")
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(UserError, match=r"oracle\.safetensors is damaged: run `pushforward run oracle` again"):
        merge([runs / "gaussian", runs / "oracle"], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_a_cell_of_other_replicates_is_refused(runs, tmp_path):
    rewrite(Store(runs / "oracle"), "bimodal", "oracle", replicates=1)
    with pytest.raises(UserError, match="other replicates"):
        merge([runs / "gaussian", runs / "oracle"], tmp_path / "out")


def test_nothing_is_overwritten(made, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        merge([made / "gaussian", made / "oracle"], tmp_path / "full")
    with pytest.raises(UserError, match="is a file"):
        merge([made / "gaussian", made / "oracle"], tmp_path / "full/thesis.tex")
    (tmp_path / "empty").mkdir()
    merge([made / "gaussian", made / "oracle"], tmp_path / "empty")
    assert Store(tmp_path / "empty").manifest() is not None


def test_too_few_runs_and_no_runs_are_refused(made, tmp_path):
    for folders, expected in (
        ([made / "whole"], "at least two"),
        ([made / "whole", made / "whole/../whole"], "named twice"),
        ([made / "whole", tmp_path], "holds no run"),
    ):
        with pytest.raises(UserError, match=expected):
            merge(folders, tmp_path / "out")


def test_a_merge_that_is_broken_off_leaves_no_run(made, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(KeyboardInterrupt):
        merge([made / "gaussian", made / "oracle"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_times_of_several_machines_are_kept_apart(runs, tmp_path):
    elsewhere(runs / "eight")
    merge([runs / "bimodal", runs / "eight"], tmp_path / "out")
    store = Store(tmp_path / "out")
    costs = store.costs()
    assert costs.groupby("machine")["target"].unique().map(list).to_dict().get("cores 64, processor Another") == [
        "eight_gaussians"
    ]
    content = content_of(store)
    table = cost_table(content)
    assert table.columns[:2] == ("model", "machine")
    assert [(row[0].text, row[1].text) for row in table.rows] == [
        (model, label) for model in ("oracle", "gaussian") for label in ("M1", "M2")
    ]
    seconds = costs[(costs["metric"] == "fit_cpu_seconds") & (costs["model"] == "gaussian")]
    for row, target in zip(table.rows[2:], ("bimodal", "eight_gaussians"), strict=True):
        assert row[2].sort == seconds[seconds["target"] == target]["value"].median()
    assert "M2 is cores 64, processor Another" in table.foot
    assert [column for column in summary_table(content).columns if "fit" in column] == [
        "fit, CPU s M1",
        "fit, CPU s M2",
    ]
    fits = metric_table(content, "fit_cpu_seconds")
    assert [[cell.note[-2:] for cell in row[1:]] for row in fits.rows] == [["M1", "M1"], ["M2", "M2"]]
    assert "Times compare only within one" in fits.foot
    assert set(numbers(content, "fit_cpu_seconds")["machine"].str.contains("Another")) == {True, False}
    assert [name for name in figures(content) if name.startswith("cost")] == ["cost", "cost_2"]
    assert "minutes on cores 64, processor Another" in results_readme(content)
    assert "M1" not in to_markdown(metric_table(content, "kl"))
    write_report(content, tmp_path / "report")
    assert (tmp_path / "report/figures/cost_2.png").stat().st_size > 0


def test_a_published_merged_run_keeps_its_machines_apart(runs, tmp_path):
    """The tables alone, without cells, still say which machine a time is from."""
    elsewhere(runs / "eight")
    merge([runs / "bimodal", runs / "eight"], tmp_path / "out")
    shutil.rmtree(tmp_path / "out/cells")
    assert cost_table(content_of(Store(tmp_path / "out"))).columns[1] == "machine"


def test_the_command(made, tmp_path, monkeypatch, capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pushforward", *map(str, arguments)])
        for module in (several, cli):
            monkeypatch.setattr(module, "out", cli.Console(width=400))
        monkeypatch.setattr(cli, "err", cli.Console(width=400, stderr=True))
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0), *capsys.readouterr()
        return 0, *capsys.readouterr()

    merging = ("merge", made / "gaussian", made / "oracle", "--out", tmp_path / "out")
    code, output, _ = call(*merging)
    assert (code, "4 cells of 2 runs" in output) == (0, True)
    assert Store(tmp_path / "out").manifest()["command"].startswith("pushforward merge")
    code, _, errors = call(*merging)
    assert (code, errors.count("\n")) == (2, 1)
    code, _, _ = call("report", tmp_path / "out")
    assert code == 0
    assert (tmp_path / "out/index.html").stat().st_size > 0
    code, output, _ = call("compare", tmp_path / "out", made / "whole")
    assert (code, "0 changed beyond noise" in output) == (0, True)
