"""Numbers as text, with the digits that their interval supports, and text made safe for each format."""

from __future__ import annotations

import html
import math
import re
import unicodedata

from benchmarks.errors import plain as plain
from benchmarks.report.statistics import Estimate


def number(value: float, digits: int = 3) -> str:
    """A number without an interval: this many significant digits, or all if it is whole: 0.0123, 40,312, 1.23e+09."""
    if not math.isfinite(value):
        return "n/a"
    if value == round(value) and abs(value) < 1e7:
        return f"{value:,.0f}"
    size = math.floor(math.log10(abs(value)))
    if not -5 <= size < 7:
        return f"{value:.{digits - 1}e}"
    return f"{round(value, digits - 1 - size):,.{max(0, digits - 1 - size)}f}"


def interval(estimate: Estimate) -> tuple[str, str]:
    """The value and its interval, both with the digits that the interval supports: ("0.123", "[0.101, 0.150]").

    The shorter side of the interval decides, up to one digit more than its longer side supports; and the value keeps
    two significant digits if that takes no more than one digit beyond.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if not math.isfinite(low) or not math.isfinite(high):
        return number(value), "[n/a]"
    sides = [side for side in (value - low, high - value) if side > 0]
    if not sides:
        return number(value), f"[{number(low)}, {number(high)}]"
    largest = max(abs(low), abs(high))
    if largest >= 1e6 or max(sides) < 1e-6:
        return f"{value:.1e}", f"[{low:.1e}, {high:.1e}]"
    places = max(0, min(_places(min(sides)), _places(max(sides)) + 1))
    if value != 0:
        places = max(places, min(places + 1, 1 - math.floor(math.log10(abs(value)))))
    texts = [_fixed(part, places) for part in (value, low, high)]
    return texts[0], f"[{texts[1]}, {texts[2]}]"


def estimate(this: Estimate) -> str:
    """The value and its interval on one line."""
    return " ".join(interval(this))


def _places(width: float) -> int:
    """Decimals for a half-width: two significant digits while it begins below 3.5, else one (the rule of the PDG)."""
    size = math.floor(math.log10(width))
    return -size + (1 if width / 10.0**size < 3.5 else 0)


def _fixed(value: float, places: int) -> str:
    """This many decimals, thousands apart, and no minus before zero."""
    return f"{round(value, places) + 0.0:,.{places}f}"


def inline(title: str) -> str:
    """A title within a sentence: "Debiased W2²" becomes "debiased W2²", "KL" and "W1" stay."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def broken(name: str, width: int) -> str:
    """A name broken at its underscores, so that no line is longer than it must be."""
    lines = [""]
    for part in plain(name).replace("_", "_\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line if len(line) <= width + 3 else line[: width + 2] + "…" for line in lines[:4])


def markdown(text: str) -> str:
    """Text that GitHub's Markdown shows as it is, in a table too. Underscores inside a word need no help,
    nor do brackets that cannot be a link: intervals stay readable."""
    safe = html.escape(plain(text), quote=False)
    safe = re.sub(r"([\\`*|~$#]|\](?=[(\[:])|:(?=//)|(?<=www)\.)", r"\\\1", safe, flags=re.IGNORECASE)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", safe)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "²": r"\textsuperscript{2}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "‖": r"$\|$",
    "’": "'",
    "“": "``",
    "”": "''",
    "′": r"$'$",
    "∗": r"$\ast$",
    "½": r"$\frac12$",
    "¹": r"\textsuperscript{1}",
    "⁻": r"$^-$",
    "∇": r"$\nabla$",
    "∫": r"$\int$",
    "Σ": r"$\Sigma$",
    **{letter: rf"$\{unicodedata.name(letter).rpartition(' ')[2].lower()}$" for letter in "αβγδθλμνπρσφχ"},
    "ε": r"$\varepsilon$",
}


def latex(text: str) -> str:
    """Text that pdfLaTeX sets as it is; a letter that its fonts lack becomes the nearest one, or a question mark."""
    return "".join(_LATEX.get(char) or _nearest(char) for char in plain(text))


def _nearest(char: str) -> str:
    if ord(char) < 128:
        return char
    near = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return "".join(_LATEX.get(letter, letter) for letter in near) or "?"  # a wide backslash becomes no backslash
