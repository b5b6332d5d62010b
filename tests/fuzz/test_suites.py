"""Suite files: whatever is in them, they are read as a suite within its limits, or refused in one line."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import strategies as st

from benchmarks import suite
from benchmarks.errors import UserError
from tests.fuzz.campaign import ATTACKS, fuzz, limited, mutations, numbers, refusal, texts

GOOD = b"""name = "tiny"
description = "For tests."
models = ["oracle", "gaussian"]
targets = ["bimodal"]
replicates = 2
train = 200
[sizes]
wasserstein = 50
[budget]
effort = 0.5
[limits]
seconds = 120
memory_gb = 4
"""
TOKENS = tuple(
    token.encode("utf-8", "surrogatepass")
    for token in (
        *(
            "=",
            "[",
            "]",
            "[[",
            "{",
            "}",
            '"',
            "'",
            '"""',
            "'''",
            ".",
            ",",
            "#",
            "\n",
            "\r",
            "_",
            "1e999",
            "nan",
            "-inf",
        ),
        *("9" * 5000, "0x" + "f" * 5000, "1979-05-27", "1979-13-99", "07:99", "true", "a.b.c = 1\n", "[sizes.x]\n"),
        *("replicates = 1000000000\n", "train = 1e12\n", "[" * 500, "{a=" * 500, "a." * 500, "\\uD800", "\\U00110000"),
        *("name = '../x'\n", "budget = 3\n", "effort = -1\n", "parameters = 0\n", *ATTACKS),
    )
)
KEYS = st.sampled_from(
    [*suite.Suite.model_fields, *(key for keys in suite.KEYS.values() for key in keys), "sises", "a.b"]
)
VALUES = st.one_of(
    numbers.map(str), texts.map(repr), st.lists(texts.map(repr), max_size=3).map(lambda v: f"[{', '.join(v)}]")
)


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found: list[suite.Suite] = []
    line = refusal(lambda: found.append(suite.load(str(path))))
    if line:
        assert str(path) in line
        return
    (loaded,) = found
    assert 1 <= loaded.replicates <= 1000
    assert 50 <= loaded.train <= suite.LARGEST
    assert all(1 <= size <= suite.LARGEST for size in vars(loaded.sizes).values())
    assert all(value is None or 0 < value < math.inf for value in vars(loaded.budget).values())
    assert all(0 < value < math.inf for value in loaded.limits.model_dump().values())
    assert loaded.name.isascii()


@fuzz("suite files", 150, content=st.binary(max_size=300))
def test_bytes(tmp_path: Path, content: bytes) -> None:
    check(tmp_path / "suite.toml", content)


@fuzz("suite files", 750, content=mutations(GOOD, TOKENS))
def test_a_suite_with_something_changed(tmp_path: Path, content: bytes) -> None:
    check(tmp_path / "suite.toml", content)


@fuzz("suite files", 350, lines=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=4))
def test_a_suite_with_other_values(tmp_path: Path, lines: list[tuple[str, str]]) -> None:
    changed = dict(lines)
    kept = [line for line in GOOD.decode().splitlines() if line.split(" = ")[0] not in changed]
    tables = {key: table for table, keys in suite.KEYS.items() for key in keys}
    for key, value in lines:
        place = kept.index(f"[{tables[key]}]") + 1 if tables.get(key) else 0
        kept.insert(place, f"{key} = {value}")
    check(tmp_path / "suite.toml", "\n".join(kept).encode("utf-8", "surrogatepass"))


HUGE = {
    "deep lists": b"name = " + b"[" * 50_000 + b"]" * 50_000,
    "deep tables": b"name = " + b"{a=" * 20_000,
    "a key with many dots": b"a." * 40_000 + b"a = 1",
    "a table with many dots": b"[" + b"a." * 40_000 + b"a]",
    "a known key with many dots": GOOD.replace(b"name =", b"name." + b"a." * 90 + b"a ="),
    "a million bytes": b"# " + b"x" * 1_000_000,
    "many keys": b"".join(b"k%d = 1\n" % i for i in range(8_000)),
    "many dotted keys": b"".join(b"a." * 90 + b"k%d = 1\n" % i for i in range(500)),
    "a number of 5000 digits": GOOD.replace(b"200", b"9" * 5_000),
    "a number of 5000 hexadecimal digits": GOOD.replace(b"200", b"0x" + b"f" * 5_000),
    "replicates": GOOD.replace(b"replicates = 2", b"replicates = 1000000000"),
    "training points": GOOD.replace(b"train = 200", b"train = 1000000000000"),
    "a size": GOOD.replace(b"wasserstein = 50", b"wasserstein = 1000000000000"),
    "a size that is text": GOOD.replace(b"wasserstein = 50", b'wasserstein = "-5"'),
    "a size that is a fraction": GOOD.replace(b"wasserstein = 50", b"wasserstein = 0.0"),
    "endless memory": GOOD.replace(b"memory_gb = 4", b"memory_gb = inf"),
    "endless effort": GOOD.replace(b"effort = 0.5", b"effort = inf"),
    "no effort": GOOD.replace(b"effort = 0.5", b"effort = nan"),
    "a budget of 400 digits": GOOD.replace(b"effort = 0.5", b"parameters = 1" + b"0" * 400),
    "a budget of 5000 hexadecimal digits": GOOD.replace(b"effort = 0.5", b"parameters = 0x" + b"f" * 5_000),
    "a size of 5000 hexadecimal digits": GOOD.replace(b"wasserstein = 50", b"wasserstein = 0x" + b"f" * 5_000),
    "negative effort": GOOD.replace(b"effort = 0.5", b"effort = -1e308"),
    "a key twice": GOOD + b"[sizes]\n",
    "UTF-16": GOOD.decode().encode("utf-16"),
    "Latin-1": GOOD.replace(b"tests", b"t\xe9sts"),
    "NUL": GOOD.replace(b"tests", b"te\0sts"),
    "a name that leaves": GOOD.replace(b'"tiny"', b'"../tiny"'),
    "a name of 10,000 letters": GOOD.replace(b'"tiny"', b'"' + b"a" * 10_000 + b'"'),
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE.keys())
def test_what_is_known_to_break_parsers_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "suite.toml"
    path.write_bytes(content)
    with limited(10):
        assert refusal(lambda: suite.load(str(path)))


@pytest.mark.parametrize(
    "name", ["x\0.toml", "a" * 10_000 + ".toml", "/dev/zero/x.toml", "", "..", "a" * 10_000, "\x1b[31m", "\u202e"]
)
def test_a_name_that_is_no_suite(name: str) -> None:
    assert refusal(lambda: suite.load(name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A device has no end, and a pipe that nobody writes to no beginning."""
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    for name in ("zero", "pipe", "folder"):
        with limited(5), pytest.raises(UserError, match="no such file"):
            suite.load(str(tmp_path / f"{name}.toml"))
