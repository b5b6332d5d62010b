"""How inputs are made, tried, limited in time and counted: a few in the ordinary tests, the whole by `make fuzz`.

PUSHFORWARD_FUZZ multiplies the number of inputs of every property; PUSHFORWARD_FUZZ_SEED draws others. The same numbers
give the same inputs.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hypothesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.errors import UserError
from benchmarks.targets.user_data import DataFileError

SCALE = float(os.environ.get("PUSHFORWARD_FUZZ", "1"))
SEED = os.environ.get("PUSHFORWARD_FUZZ_SEED")
SECONDS = 20  # for one input; all but a few take milliseconds
LONGEST_LINE = 2_000
TRIED: Counter[str] = Counter()

#: Text that has broken programs: markup of every format, control sequences, other scripts, formulas, paths.
ATTACKS = (
    *(
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onclick='x",
        "</td></table>",
        "<!-- x",
        "&lt;&#60;",
    ),
    *("{{ 7 * 7 }}", "{% raw %}", "javascript:alert(1)", "</style><style>*{display:none}", "]]>", "<svg/onload=x>"),
    *(
        "a|b",
        "| x | y |",
        "[click](http://x.y)",
        "![i](http://x.y/z.png)",
        "[a]: http://x",
        "<http://x.y>",
        "http://x.y",
    ),
    *(
        "www.evil.example",
        "`code`",
        "```",
        "**bold**",
        "__b__",
        "_em_",
        "~~gone~~",
        "# title",
        "$m^2$",
        "\\",
        "\\\\",
        "\\[",
    ),
    *("[x]", "[*]", "*", "[10cm]", "\\input{/etc/passwd}", "\\write18{id}", "^^5cinput", "%", "}", "{", "&", "~", "#1"),
    *(
        "\uff3cinput\uff5b/etc/passwd\uff5d",
        "\uff05 gone",
        "\uff04x\uff04",
        "\u2024\u2024/",
        "\ufe6a",
        "\uff03",
        "\uff3e\uff3e5c",
    ),
    *(
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\link",
        "\x9b31m",
        "\x08\x08",
        "\r",
        "a\nb",
        "\x00",
        "\x7f",
    ),
    *("[red]x[/red]", "[/]", "[bold", "]", ":smile:", "[link=http://x]y[/link]", "\\[red]", "[@click=x]y[/]"),
    *(
        "\u202egnp.exe",
        "\u2066x",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\udcff",
        "e\u0301",
        "漢字",
        "😀",
        "\u2028",
        "\xa0",
        "\x85",
    ),
    *("=1+1", "=cmd|' /C calc'!A0", "+1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "'=1", "''@x", "-0.5", "-x"),
    *(
        "../../x",
        "..",
        ".",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\x",
        "~root/x.csv",
        "~nobody-at-all/x.csv",
        "con",
        "\n/x",
    ),
    *("nan", "inf", "-inf", "1e400", "1e308", "9" * 400, "0x" + "f" * 400, "None", "true", "'", '"', '"""', "", " "),
    *("a" * 10_000, "../" * 100, "%s%n", "%00", "${HOME}", "$(id)", "`id`", "; rm -rf x", "-", "--", "--help"),
)

texts = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(max_size=40),
    st.text(alphabet="[]()<>{}|\\`*_~$#&%^!:/.=+-@'\"ab1 \n\x1b", max_size=20),
    st.tuples(st.sampled_from(ATTACKS), st.text(max_size=5), st.sampled_from(ATTACKS)).map("".join),
)

numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, -1, 10**9, 10**12, 10**400, 1e308, -0.0, True])
)

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


class TimedOutError(BaseException):
    """An input took too long; no `except Exception` swallows it."""


def fuzz(kind: str, inputs: int, **strategies: st.SearchStrategy) -> Callable[[Callable], Callable]:
    """A property of this many inputs, times PUSHFORWARD_FUZZ, each within SECONDS, counted under its kind."""

    def decorate(test: Callable) -> Callable:
        @settings(
            max_examples=max(1, round(inputs * SCALE)),
            derandomize=SEED is None,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(**strategies)
        @functools.wraps(test)
        def tried(*arguments: object, **named: object) -> None:
            TRIED[kind] += 1
            with limited(SECONDS):
                test(*arguments, **named)

        return tried if SEED is None else hypothesis.seed(int(SEED))(tried)

    return decorate


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimedOutError in what takes longer. Without such signals, as on Windows, there is no limit."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimedOutError(f"took longer than {seconds} s")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refusal(call: Callable[[], object]) -> str:
    """The line that bad input is refused with; nothing where it is good. Whatever else is raised fails the test."""
    try:
        call()
    except (UserError, DataFileError) as error:
        line = str(error)
        assert line, "a refusal that says nothing"
        assert line.isprintable(), f"not one plain line: {line!r}"
        assert len(line) < LONGEST_LINE, f"{len(line)} characters"
        return line
    return ""


def tree(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """Every file, folder and link below, with what changes when it is written."""
    found = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        found[str(path)] = (about.st_mode, about.st_ino, about.st_mtime_ns, about.st_size)
    return found


@st.composite
def mutations(draw: st.DrawFn, whole: bytes, tokens: tuple[bytes, ...] = ()) -> bytes:
    """A valid file with a few places cut out, doubled or overwritten."""
    data = whole
    inserted = st.one_of(st.binary(max_size=8), st.sampled_from(tokens)) if tokens else st.binary(max_size=8)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 4, 8, 64, len(data)])))
        piece = draw(st.one_of(inserted, st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data
