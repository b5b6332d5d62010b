import math
from dataclasses import replace

from benchmarks.report import Content, metric_table
from benchmarks.report.analysis import analyse
from benchmarks.report.missing import GROUPS, short, spanned, without_number
from benchmarks.report.render import to_latex, with_foot
from tests.benchmarks.report.synthetic import TARGETS, content


def broken(run: Content, reasons: dict[tuple[str, str], str], status: str = "untrusted") -> Content:
    scores = run.scores.copy()
    for (target, model), reason in reasons.items():
        bad = (scores["target"] == target) & (scores["model"] == model) & (scores["metric"] == "kl")
        scores.loc[bad, ["value", "error"]] = math.nan
        scores.loc[bad, "status"] = status
        scores.loc[bad, "reason"] = reason
    return replace(run, scores=scores)


def test_every_cell_without_a_number_is_named() -> None:
    run = content()
    for metric in run.headline:
        table = metric_table(run, metric)
        words = {(row[0].text, model) for row in table.rows
                 for model, cell in zip(run.columns, row[1:], strict=True) if cell.mark == "word"}  # fmt: skip
        for target, model in words:
            assert target in table.foot
            assert model in table.foot or "every model on" in table.foot
        for info in run.targets:
            assert any(row[0].text == info.name for row in table.rows) or info.name in table.foot


def test_the_same_reason_is_said_once_with_the_span_of_its_figures() -> None:
    reasons = {
        ("claw", "gaussian_vae"): "sampling failed at 72 of 1,000 points (k-hat above 0.7)",
        ("claw", "ot_map"): "sampling failed at 187 of 1,000 points (k-hat above 0.7)",
        ("two_moons", "ot_map"): "the tail is heavy: Pareto k-hat 0.88",
    }
    run = broken(content(TARGETS[:4], trouble=False), reasons)
    assert without_number(analyse(run), "kl") == (
        "Without a number: gaussian_vae, ot_map on claw (untrusted: sampling failed at 72–187 of 1,000 points); "
        "ot_map on two_moons (untrusted: the tail is heavy)."
    )


def test_a_row_that_is_left_out_is_named_once() -> None:
    """On funnel_10d ot_map failed as well, but one-dimensional W1 is nothing that it could have had there."""
    foot = metric_table(content(), "w1").foot
    assert foot == (
        "Without a number: every model on eight_gaussians, two_moons, checkerboard, funnel_10d, gaussian_mixture_16d, "
        "digits (n/a: more than one dimension)."
    )


def test_nothing_missing_is_no_line() -> None:
    table = metric_table(content(TARGETS[:2], trouble=False), "kl")
    assert table.foot == ""
    assert "Without a number" not in with_foot(table)


def test_a_run_that_failed_whole_is_one_line() -> None:
    run = content(TARGETS[:3])
    scores = run.scores.assign(value=math.nan, error=math.nan, status="failed", reason="out of memory")
    foot = metric_table(replace(run, scores=scores), "kl").foot
    assert foot == "Without a number: every model on every target (failed: out of memory)."


def test_many_reasons_do_not_make_a_page() -> None:
    run = content(TARGETS, trouble=False)
    cells = [(target.name, model) for target in TARGETS[:6] for model in run.contenders]
    names = "abcdefghijklmnopqrstuvwxyz"
    foot = without_number(analyse(broken(run, {c: names[i] * 300 for i, c in enumerate(cells)}, "failed")), "kl")
    assert foot.count("failed: ") == GROUPS
    assert f"{len(cells) + len(run.models) - GROUPS} more." in foot  # digits has no KL either
    assert len(foot) < 2_000


def test_a_reason_is_cut_after_its_first_clause() -> None:
    assert (
        short("the tail of log p* − ELBO is too heavy: Pareto k-hat 0.88") == "the tail of log p* − ELBO is too heavy"
    )
    assert short("RuntimeError: out of memory (12 GB)") == "RuntimeError: out of memory"
    assert short("two\nlines") == "two lines"
    assert len(short("x" * 500)) <= 90


def test_figures_are_spanned_and_names_left_alone() -> None:
    assert spanned(["W2 at 5 of 9", "W2 at 12 of 9"]) == "W2 at 5–12 of 9"
    assert spanned(["k-hat 0.88"]) == "k-hat 0.88"


def test_the_foot_is_in_every_format() -> None:
    table = metric_table(content(), "kl")
    assert "ot_map on funnel_10d (failed" in with_foot(table)
    assert r"ot\_map on funnel\_10d (failed" in to_latex(table)
