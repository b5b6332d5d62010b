import base64
import hashlib
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks.report import (
    Content,
    Picture,
    TargetInfo,
    failure_table,
    metric_table,
    page,
    readme_section,
    replace_generated,
    results_readme,
    summary_table,
    to_terminal,
    write_report,
    write_tables,
)
from benchmarks.report.analysis import NOT_RUN, analyse
from benchmarks.report.content import HEADLINE, WORDS
from benchmarks.report.figures import figures
from benchmarks.report.render import to_latex, to_markdown
from benchmarks.report.style import encode
from benchmarks.report.summary import all_tables
from benchmarks.report.tables import Table, beside_table, metric_tables, numbers
from benchmarks.report.wall import wall
from tests.benchmarks.report.synthetic import LATER, TARGETS, content, older

FIGURES = ("wall", "kl", "w2", "elbo_gap", "cost", "training")
HOSTILE = ["<script>alert(1)</script>", "a|b", "_under_", "100%", "[red]x[/red]", "$m^2$ & {y} \\z"]


@pytest.fixture(scope="module")
def written(run: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(run, folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def terminal(table: Table) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(to_terminal(table))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def small(**changes: object) -> Content:
    return content(TARGETS[2:3], ["gaussian_vae"], 1, trouble=False, **changes)  # type: ignore[arg-type]


def test_the_same_content_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_report(content(), tmp_path)
    assert digests(tmp_path) == digests(written)
    assert not list(tmp_path.rglob(".*"))


def test_everything_is_written(written: Path) -> None:
    names = set(digests(written))
    assert {"index.html", "README.md", "tables/summary.md", "tables/failures.csv"} <= names
    assert {f"figures/{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")} <= names
    assert {f"tables/{m}.{s}" for m in (*HEADLINE, "cost", "fit_cpu_seconds") for s in ("md", "csv", "tex")} <= names


def test_files_hold_no_date_and_no_version(written: Path) -> None:
    for name in FIGURES:
        png, svg = ((written / f"figures/{name}.{suffix}").read_bytes() for suffix in ("png", "svg"))
        assert b"tEXt" not in png[:200]
        assert b"<dc:date>" not in svg
        assert b"Matplotlib v" not in svg


def test_a_csv_holds_the_numbers(written: Path, run: Content) -> None:
    for metric in (*HEADLINE, "fit_cpu_seconds"):
        # As text first: "n/a" is a word here and no missing value, and pandas' own parser is off by a last bit.
        read = pd.read_csv(written / f"tables/{metric}.csv", dtype=str, keep_default_na=False)
        expected = numbers(run, metric)
        assert list(read["status"]) == list(expected["status"])
        for column in ("value", "low", "high"):
            exact = np.array([float(word) if word else math.nan for word in read[column]])
            np.testing.assert_array_equal(exact, expected[column].to_numpy())


def test_a_cell_is_a_number_with_its_interval_or_a_word(run: Content) -> None:
    for metric in run.headline:
        shown = metric_table(run, metric).rows
        status = numbers(run, metric).groupby("target")["status"].agg(set)
        silent = set(status[[("n/a" in words) and ("ok" not in words) for words in status]].index)
        assert [row[0].text for row in shown] == [t.name for t in run.targets if t.name not in silent]
        for row in shown:
            for cell in row[1:]:
                assert (cell.text in WORDS) != bool(re.fullmatch(r"-?[\d,.]+(e[+-]\d+)?", cell.text)), cell
                assert (cell.mark == "word") == (cell.note == "")
                assert "inf" not in cell.text
                assert "nan" not in cell.text


def test_the_frame_is_never_best(run: Content) -> None:
    assert metric_table(run, "kl").columns == (
        "target", "oracle", "gaussian_vae", "l2_autoencoder", "normalizing_flow", "ot_map", "gaussian",
    )  # fmt: skip
    for (_, _), best in analyse(run).leaders.items():
        assert not {"oracle", "gaussian"} & set(best)


def test_nothing_is_imputed(run: Content) -> None:
    analysis = analyse(run)
    lost = analysis.score("kl", "checkerboard", "l2_autoencoder")
    assert (lost.used, lost.total) == (2, 3)
    assert math.isnan(analysis.value("kl", "checkerboard", "l2_autoencoder"))
    assert "l2_autoencoder" not in analysis.leaders["kl", "checkerboard"]
    assert analysis.score("kl", "gaussian_mixture_16d", "l2_autoencoder").estimate is None  # untrusted: kept, not shown
    assert analysis.rankings["kl"].excluded == ("checkerboard", "funnel_10d", "gaussian_mixture_16d", "digits")
    assert "2 of 3" in to_markdown(metric_table(run, "kl"))
    assert "Left out by KL: checkerboard, funnel_10d, gaussian_mixture_16d, digits." in summary_table(run).caption


def test_failures_say_why(run: Content) -> None:
    rows = [[cell.text for cell in row] for row in failure_table(run).rows]
    assert ["funnel_10d", "ot_map", "failed"] in [row[:3] for row in rows]
    assert any("k-hat above 0.7" in row[-1] for row in rows)


def test_every_number_of_the_summary_comes_from_the_content(run: Content) -> None:
    """Each is computed again here, from the rows themselves."""
    table = summary_table(run)
    shown = {row[0].text: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    rows = run.scores[(run.scores["metric"] == "kl") & (run.scores["status"] == "ok")]
    medians = rows.groupby(["target", "model"])["value"].median().unstack()
    used = ["claw", "student_t2", "eight_gaussians", "two_moons"]
    contenders = medians.loc[used, run.contenders]
    for model in run.columns:
        value = medians.loc[used, model].median()
        assert float(shown[model]["median KL (nats)"].text.replace(",", "")) == pytest.approx(value, rel=0.01)
        cost = run.costs[(run.costs["metric"] == "fit_cpu_seconds") & (run.costs["model"] == model)]
        seconds = cost.groupby("target")["value"].median().median()
        assert float(shown[model]["fit, CPU s"].text.replace(",", "")) == pytest.approx(seconds, rel=0.01)
        if model in run.contenders:
            # Expected ranks lie between the plain ones and the middle, and in this run nobody is far from certain.
            rank = contenders.rank(axis=1).mean()[model]
            expected = float(shown[model]["rank by KL"].text)
            assert abs(expected - 2.5) <= abs(rank - 2.5) + 0.005
            assert expected == pytest.approx(rank, abs=0.35)


def test_every_number_of_the_summary_has_an_interval(clean: Content) -> None:
    for row in summary_table(clean).rows:
        for cell in row[1:]:
            assert cell.note.startswith("[") or cell.text in ("frame", "n/a") or " of " in cell.text, cell


def test_plain_and_floor_stand_beside_what_is_debiased(run: Content) -> None:
    names = [table.name for table in metric_tables(run)]
    for metric in ("w2_squared", "sliced_w2_squared", "w1"):
        assert names.index(f"{metric}_plain") == names.index(metric) + 1
    table = beside_table(run, "w2_squared")
    assert table is not None
    assert table.columns[:2] == ("target", "noise floor")
    assert table.columns[2:] == tuple(run.columns)
    rows = run.scores[(run.scores["metric"] == "w2_squared_plain") & (run.scores["status"] == "ok")]
    medians = rows.groupby(["target", "model"])["value"].median()
    shown = {row[0].text: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for name, cells in shown.items():
        assert cells["noise floor"].sort == 0.3
        for model in run.columns:
            if (name, model) in medians:
                assert cells[model].sort == medians[name, model]
                assert cells[model].note.startswith("[")
    assert "student_t2" not in shown  # n/a for every model
    assert "every model on student_t2 (n/a: the target has no second moment)" in table.foot
    assert all(cell.mark != "best" for row in table.rows for cell in row)


def test_a_run_from_before_the_later_metrics_is_reported(run: Content, tmp_path: Path) -> None:
    old = older(run)
    write_tables(old, tmp_path / "tables")
    assert not set(old.headline) & set(LATER)
    assert "inference_gap" in old.headline
    assert old.info("w1").title == "W1"
    assert run.info("w1").title == "Cross-fitted W1"
    assert "optimal map" not in results_readme(old)
    assert not (tmp_path / "tables/map_l2_uvp.md").exists()


def test_a_table_that_is_empty_is_not_shown(run: Content) -> None:
    scores = run.scores.copy()
    absent = scores["metric"].isin(["map_l2_uvp", "w1"]) & (scores["status"] == "ok")
    scores.loc[absent, ["value", "error"]] = math.nan
    scores.loc[absent, "status"] = "n/a"
    without = replace(run, scores=scores)
    assert "map_l2_uvp" in run.headline
    assert "map_l2_uvp" not in without.headline
    maps = metric_table(run, "map_l2_uvp")
    assert [row[0].text for row in maps.rows] == ["gaussian_mixture_16d"]
    assert "Brenier map is not known" in maps.foot


def test_the_inference_gap_is_dropped_where_its_parts_say_it_all(run: Content, clean: Content) -> None:
    assert "inference_gap" in run.headline  # not split on checkerboard
    assert "inference_gap" in clean.headline  # not split on digits
    scores = clean.scores[clean.scores["target"] != "digits"]
    assert "inference_gap" not in replace(clean, scores=scores).headline


class _Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("img", "script", "link", "iframe"):
            self.sources += [value or "" for key, value in attrs if key in ("src", "href")]


def test_the_page_holds_every_figure_and_needs_nothing_else(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    parser = _Images()
    parser.feed(html)
    assert len(parser.sources) == len(FIGURES)
    for name, source in zip(FIGURES, parser.sources, strict=True):
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == (written / f"figures/{name}.png").read_bytes()
    assert not re.search(r"https?://", html)


def test_the_markdown_links_figures_that_are_there(written: Path) -> None:
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (written / "README.md").read_text(encoding="utf-8"))
    assert len(links) == len(FIGURES)
    assert all((written / link).is_file() for link in links)


def test_the_readme_section_replaces_only_itself(run: Content) -> None:
    begin, end = "<!-- generated: begin -->", "<!-- generated: end -->"
    once = replace_generated(f"# Top\n{begin}\nthe former text\n{end}\nbottom\n", readme_section(run))
    assert once.startswith(f"# Top\n{begin}\n- By KL")
    assert once.endswith(f"\n{end}\nbottom\n")
    assert "the former text" not in once
    assert replace_generated(once, readme_section(run)) == once
    for broken in ("none", begin, f"{end}{begin}", f"{begin}{end}{end}"):
        with pytest.raises(ValueError, match="once"):
            replace_generated(broken, "x")


def hostile() -> Content:
    names = HOSTILE
    targets = [TargetInfo(name, name, 2) for name in names[:3]]
    run = content(targets, ["oracle", *names[3:], "_z", "gaussian"], 2, trouble=False)
    scores = run.scores.copy()
    bad = (scores["target"] == names[0]) & (scores["model"] == names[4])
    scores.loc[bad, ["value", "error"]] = math.nan
    scores.loc[bad, "status"] = "failed"
    scores.loc[bad, "reason"] = f"{' '.join(names)}\nsecond line \x1b[31m"
    return Content(scores, run.costs, targets, run.models, lambda *_: None, provenance={"command": names[0]})


def test_hostile_names_are_shown_as_they_are() -> None:
    run = hostile()
    html = page(run, {name: {"png": b""} for name in FIGURES})
    parser = _Images()
    parser.feed(html)
    assert parser.tags.count("script") == 1
    assert "alert(1)" in html
    assert "\x1b" not in html
    for table in [*all_tables(run), failure_table(run)]:
        lines = to_markdown(table).splitlines()
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert counts == {len(table.columns) + 1}
        assert "<script>" not in to_markdown(table)
        tex = to_latex(table)
        body = [line for line in tex.splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {len(table.columns) - 1}
        assert not re.search(r"(?<!\\)[_$#^%~]", " ".join(body))
        assert tex.isascii()
        assert "\x1b" not in terminal(table)
    assert "[red]x[/red]" in terminal(metric_table(run, "kl"))
    assert "<script>" not in results_readme(run)


def test_hostile_names_can_be_drawn() -> None:
    run = hostile()
    drawn = [drawing.make() for drawing in figures(run).values()]
    words = {text.get_text() for figure in drawn for text in figure.findobj(lambda a: hasattr(a, "get_text"))}
    assert {"_z", "100%", "[red]x[/red]"} <= words


def test_what_is_not_finite_is_left_out_of_the_picture() -> None:
    bad = Picture(
        np.array([[np.nan, 0.0], [np.inf, 1.0], [0.5, 0.5]]), np.zeros(2), np.ones(2), np.full((4, 4), np.inf)
    )
    run = small()
    figure = wall(Content(run.scores, run.costs, run.targets, run.models, lambda *_: bad), run.models)
    assert len(figure.axes) == 2
    assert encode(figure, "png") == encode(figure, "png")


@pytest.mark.parametrize(
    "run",
    [
        small(),
        content(TARGETS[:1], ["oracle", "gaussian"], 1),
        content(TARGETS[-1:], replicates=2),
        content(TARGETS[3:5], ["gaussian", "ot_map"], 5),
    ],
    ids=["one of each", "only the frame", "only real data", "no oracle"],
)
def test_small_runs_are_reported(run: Content, tmp_path: Path) -> None:
    write_report(run, tmp_path)
    assert "nan" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_run_in_which_everything_failed_is_reported(tmp_path: Path) -> None:
    run = content(TARGETS[:2], replicates=1)
    scores = run.scores.assign(value=math.nan, error=math.nan, status="failed", reason="out of memory")
    run = Content(scores, run.costs.iloc[:0], run.targets, run.models, lambda *_: None)
    write_report(run, tmp_path)
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "out of memory" in readme
    assert "nothing can be ranked" in readme


def test_a_run_that_has_not_begun_is_shown(tmp_path: Path) -> None:
    run = content(TARGETS[:2])
    run = Content(run.scores.iloc[:0], run.costs.iloc[:0], run.targets, run.models, lambda *_: None)
    write_report(run, tmp_path)
    assert NOT_RUN in (tmp_path / "tables/fit_cpu_seconds.md").read_text(encoding="utf-8")


def test_rows_in_any_order_give_the_same_tables(run: Content) -> None:
    shuffled = Content(
        run.scores.sample(frac=1, random_state=0), run.costs, run.targets, run.models, run.pictures, run.metrics
    )
    assert to_markdown(summary_table(shuffled)) == to_markdown(summary_table(run))
    assert to_markdown(metric_table(shuffled, "kl")) == to_markdown(metric_table(run, "kl"))


def test_figures_leave_no_trace() -> None:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = json.dumps(dict(mpl.rcParams), default=str)
    for drawing in figures(small()).values():
        drawing.make()
    assert json.dumps(dict(mpl.rcParams), default=str) == before
    assert plt.get_fignums() == []
