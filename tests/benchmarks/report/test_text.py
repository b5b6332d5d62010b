import math
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.report import text
from benchmarks.report.statistics import Estimate


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.12345, 0.11, 0.14, "0.123 [0.110, 0.140]"),
        (0.12345, 0.07, 0.18, "0.12 [0.07, 0.18]"),
        (-3.14159, -3.2, -3.0, "-3.14 [-3.20, -3.00]"),
        (0.02, -0.01, 1.2, "0.020 [-0.010, 1.200]"),
        (40_312.0, 40_312.0, 40_312.0, "40,312 [40,312, 40,312]"),
        (1234.5, 1100.0, 1400.0, "1,234 [1,100, 1,400]"),
        (-0.0001, -0.04, 0.04, "0.000 [-0.040, 0.040]"),
        (0.5, math.nan, math.nan, "0.500 [n/a]"),
        (2e6, 1e6, 9e6, "2.0e+06 [1.0e+06, 9.0e+06]"),
    ],
)
def test_the_interval_decides_the_digits(value: float, low: float, high: float, expected: str) -> None:
    assert text.estimate(Estimate(value, low, high)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, "0"), (0.01234, "0.0123"), (12.34, "12.3"), (40_312.0, "40,312"), (1e-9, "1.00e-09")]
)
def test_numbers_without_interval(value: float, expected: str) -> None:
    assert text.number(value) == expected


def test_markdown_shows_text_as_it_is() -> None:
    assert text.markdown("a|b <script> *x* `y` gaussian_vae _z_") == (
        r"a\|b &lt;script&gt; \*x\* \`y\` gaussian_vae \_z\_"
    )
    assert text.markdown("[click](http://x)") == r"[click\](http\://x)"
    assert text.markdown("two\nlines\x1b[31m") == "two lines[31m"


def test_latex_has_every_letter_of_the_published_tables() -> None:
    """What it lacks becomes a question mark, and a σ is worth more than that."""
    published = Path(__file__).parents[3] / "results" / "published"
    letters = {letter for table in published.rglob("tables/*.tex") for letter in table.with_suffix(".md").read_text()}
    assert len(letters) > 60
    assert {letter for letter in letters if letter.isprintable() and "?" in text.latex(letter)} <= {"?"}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_the_published_tables_compile(tmp_path: Path) -> None:
    published = Path(__file__).parents[3] / "results" / "published"
    tables = sorted(published.rglob("tables/*.tex"))
    assert len(tables) > 30
    preamble = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}\extrafloats{500}"
    body = "\n".join(rf"\input{{{table.as_posix()}}}\clearpage" for table in tables)
    (tmp_path / "all.tex").write_text(rf"{preamble}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"({len(tables)} page" in done.stdout


def test_latex_shows_text_as_it_is() -> None:
    assert text.latex(r"50% of a_b & #1 $x$ {y} ~^ \z") == (
        r"50\% of a\_b \& \#1 \$x\$ \{y\} \textasciitilde{}\textasciicircum{} \textbackslash{}z"
    )
    assert text.latex("W2² – é 漢") == r"W2\textsuperscript{2} -- e ?"
