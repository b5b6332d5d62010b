"""Command lines: an exit code, no traceback, and nothing written by what is refused."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import strategies as st
from rich.console import Console

import benchmarks.checks
import benchmarks.speed
import benchmarks.verify
from benchmarks import arguments, authoring, cli, engine, execution, lookup, scoring, several
from benchmarks.errors import UserError
from tests.fuzz import runs
from tests.fuzz.campaign import ATTACKS, fuzz, limited, refusal, texts, tree
from tests.tiny import TINY

MODELS = ("gaussian", "oracle", "gaussian_vae[hidden=16]", "gaussian_vae[hidden=[8,16]]", "gausian", "plugin.py:Mine")
NAMES = st.one_of(
    st.sampled_from(
        [*MODELS, "rings", "two_modes[separation=3]", "plugin.py:Exits", "plugin.py:", "nowhere.py:X", "tiny.toml"]
    ),
    texts,
    st.tuples(
        st.sampled_from(["gaussian_vae[", "two_modes[", "plugin.py:Mine["]), texts, st.sampled_from(["]", ""])
    ).map("".join),
)
PATHS = st.one_of(
    st.sampled_from(
        ["run", "run/", "plugin.py", "", ".", "..", "/proc/x", "/dev/null", "new", "link", "loop", "tiny.toml/x"]
    ),
    texts,
)
COUNTS = st.one_of(
    st.integers(-3, 5).map(str), st.sampled_from(["1000000000", "9" * 5000, "1e9", "nan", "many", "", "0x2"]), texts
)
OPTIONS = {
    "--model": NAMES,
    "--target": NAMES,
    "--metric": st.sampled_from(["kl", "energy_distance", "energy", "all", "plugin.py:Mine"]) | texts,
    "--data": st.sampled_from(["good.csv", "tiny.toml", "nowhere.csv"]) | texts,
    "--replicates": COUNTS,
    "--workers": COUNTS,
    "--device": st.sampled_from(["cpu", "meta", "cuda:99", "cuda", "cpu:99999999999999999999", "mps", "xla", "fpga"])
    | texts,
    "--scheduler": texts,
    "--out": PATHS,
    "--folder": PATHS,
    "--prefer": PATHS,
    "--run": PATHS,
    "--track": texts,
    "--only": texts,
    "--expect-failure": texts,
}
FLAGS = st.sampled_from([["--fresh"], ["--quick"], ["--everything"], ["--help"], ["--"], ["-x"]])
OPTION = st.sampled_from(sorted(OPTIONS)).flatmap(lambda name: OPTIONS[name].map(lambda value: [name, value]))
PLACES = {
    "run": st.sampled_from(["tiny.toml", "tiny.toml", "smoke", "standart"]) | texts,
    "report": PATHS,
    "score": PATHS,
    "compare": PATHS,
    "merge": PATHS,
    "new": st.sampled_from(["model", "target", "metric"]) | texts,
    "check": NAMES,
    "study": st.sampled_from(["bottleneck"]) | texts,
    "verify": texts,
    "speed": texts,
}
COMMANDS = st.sampled_from(sorted(PLACES)).flatmap(
    lambda name: st.tuples(
        st.just([name]),
        st.lists(PLACES[name].map(lambda place: [place]), min_size=1, max_size=2),
        st.lists(OPTION | FLAGS, max_size=4),
    ).map(lambda parts: [*parts[0], *(word for group in (*parts[1], *parts[2]) for word in group)])
)
PLUGIN = """
import sys
from models.gaussian import Gaussian
class Mine(Gaussian):
    def __init__(self, a=1, b: "no such type" = 2):
        super().__init__()
def Exits():
    sys.exit(0)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a run, a suite, data and a plug-in, in which no command computes or draws anything."""
    folder = tmp_path_factory.mktemp("commands")
    runs.make(folder / "run")
    (folder / "tiny.toml").write_text(TINY.format(seconds=60, memory_gb=4))
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "good.csv").write_text("\n".join(f"{i},{i * i % 7}" for i in range(60)))
    (folder / "link").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")

    def stop(*_: object, **__: object) -> None:
        raise typer.Exit(0)

    def silent(address: str, _: object) -> None:
        raise UserError(f"no Dask scheduler answers at {address!r}")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(lookup, "available", functools.cache(lookup.available))
        patch.setattr(cli, "_carry_out", stop)
        patch.setattr(cli.reports, "write_report", stop)
        patch.setattr(scoring, "carry_out", stop)
        patch.setattr(engine, "check_scheduler", silent)
        patch.setattr(benchmarks.checks, "examine", stop)
        for module, name in ((benchmarks.verify, "verify"), (benchmarks.speed, "measure")):
            patch.setattr(module, name, stop)
        yield folder


def call(words: list[str]) -> tuple[int, str]:
    """The exit code and what stood on standard error. Any exception but SystemExit goes on."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pushforward", *words])
        patch.setattr(sys, "stderr", said)
        patch.setattr(sys, "stdout", io.StringIO())
        for module in (cli, several, authoring):
            patch.setattr(module, "out", Console(file=io.StringIO(), width=200))
        patch.setattr(cli, "err", Console(file=said, width=200))
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0), said.getvalue()
    return 0, said.getvalue()


def check(place: Path, words: list[str]) -> None:
    words = [word.replace("\0", "") for word in words]  # no command line can hold it
    before = tree(place)
    code, said = call(words)
    assert code in (0, 2), (code, said)
    assert "Traceback" not in said
    after = tree(place)
    if code:
        assert after == before, "something was written by what was refused"
        assert said.strip() or not words  # without any, the help
    for path in sorted(set(after) - set(before), reverse=True):  # what `new` or `--out` made
        assert Path(path).is_relative_to(place)
        Path(path).rmdir() if Path(path).is_dir() else Path(path).unlink()


@fuzz("command lines", 125, words=COMMANDS)
def test_a_command_with_odd_values(place: Path, words: list[str]) -> None:
    check(place, words)


@fuzz("command lines", 50, words=st.lists(st.sampled_from([*PLACES, *OPTIONS]) | texts, max_size=5))
def test_words_in_any_order(place: Path, words: list[str]) -> None:
    check(place, words)


INSIDE = st.one_of(
    texts,
    st.lists(
        st.tuples(
            st.sampled_from(["hidden", "depth", "noise", "latent_dim", "hiden"]),
            st.one_of(
                st.integers().map(str), st.floats().map(repr), texts, st.lists(st.integers(0, 9), max_size=4).map(str)
            ),
        ).map("=".join),
        max_size=3,
    ).map(",".join),
    st.text(alphabet="[](){}=,.'\"-+*0123456789abexjf_:@ \\\n", max_size=30),
)


@fuzz("names with arguments", 750, inside=INSIDE, name=st.sampled_from(["gaussian_vae", "two_modes", "student_t"]))
def test_arguments_in_a_name(inside: str, name: str) -> None:
    """Plug-ins whose names files can have, or a line; and the same name is written the same again."""
    kind = "model" if name == "gaussian_vae" else "target"
    found: list[lookup.Plugin] = []
    if refusal(lambda: found.extend(lookup.sweep(kind, f"{name}[{inside}]"))):  # type: ignore[arg-type]
        return
    assert 1 <= len(found) <= arguments.MOST
    for plugin in found:
        assert plugin.name.isprintable()
        assert "/" not in plugin.name
        assert len(plugin.name.encode()) <= 160


BOMBS = [
    "gaussian_vae[" + "(" * 100_000 + "]",
    "gaussian_vae[hidden=" + "[" * 900 + "]" * 900 + "]",
    "gaussian_vae[hidden=" + "-" * 900 + "1]",
    "gaussian_vae[hidden=" + "9" * 900 + "]",
    "gaussian_vae[hidden=0x" + "f" * 900 + "]",
    "gaussian_vae[hidden=9**9**9**9]",
    "gaussian_vae[noise=1e999]",
    "gaussian_vae[hidden=[]]",
    "gaussian_vae[hidden=1)(depth=2]",
    "gaussian_vae[hidden=[1,2,3,4],depth=[1,2,3,4],noise=[1,2,3,4,5,6,7,8,9],latent_dim=[1,2,3,4,5,6,7,8,9]]",
    "gaussian_vae[hidden={1:2}]",
    "gaussian_vae[hidden='../../x']",
    "gaussian_vae[hidden=lambda: 1]",
    "gaussian_vae[hidden=open('x','w')]",
    "two_modes[separation=1e308]",
    "student_t[degrees=-1]",
    *(
        "../x",
        "a/b",
        "x\0",
        "\x1b[31m",
        "a" * 10_000,
        "\u202ex",
        "..",
        "",
        "x.py:../y",
        "a" * 5_000 + ".py:X",
        "x\0.py:X",
    ),
]


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("kind", ["model", "target"])
def test_a_name_that_is_known_to_break_something_is_refused(kind: lookup.Kind, name: str) -> None:
    with limited(5):
        assert refusal(lambda: lookup.sweep(kind, name))
        if kind == "model":
            assert refusal(lambda: lookup.kind_of(name)) or name.startswith(("gaussian_vae[", "two_", "student_"))


def test_a_plugin_that_exits_or_is_annotated_with_nothing_is_refused(place: Path) -> None:
    """`sys.exit()` in a plug-in's file is no way to end a run with success."""
    for words in (["--target", "plugin.py:Exits"], ["--model", "plugin.py:Mine[a=3]"]):
        code, said = call(["run", "tiny.toml", *words])
        assert (code, said.count("\n")) == (2, 1), said
    (place / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    assert call(["run", "tiny.toml", "--model", "leaves.py:X"])[0] == 2
    (place / "leaves.py").unlink()


@pytest.mark.parametrize(
    "out", ["good.csv", "", "loop", "good.csv/x", "a" * 10_000, "x/" + "a" * 300, "/dev/null", "/dev/full/x", "."]
)
def test_an_out_that_is_no_directory_is_refused(place: Path, out: str) -> None:
    before = tree(place)
    code, said = call(["run", "tiny.toml", "--out", out])
    assert (code, said.count("\n")) == (2, 1), said
    assert tree(place) == before


@pytest.mark.parametrize("out", ["/proc/x", "x\0y", "/proc/self/fd/x"])
def test_an_out_where_nothing_can_be_made_is_refused_before_anything_is_computed(place: Path, out: str) -> None:
    def start() -> None:
        execution.carry_out(execution.plan(str(place / "tiny.toml"), out=out), workers=0)

    assert refusal(start)


@pytest.mark.parametrize(
    "words",
    [
        ["--replicates", "1000000000"],
        ["--workers", "1000000000"],
        ["--workers", "-1", "--track", "mlflow"],
        ["--device", "meta"],
        ["--data", "/dev/zero"],
        ["--data", "~nobody-at-all/x.csv"],
        ["--data", "a" * 10_000 + ".csv"],
        *(["--model", attack] for attack in ATTACKS if "\0" not in attack),
    ],
)
def test_what_is_known_to_break_runs_is_one_line(place: Path, words: list[str]) -> None:
    before = tree(place)
    with limited(10):
        code, said = call(["run", "tiny.toml", *words])
    assert (code, said.count("\n")) == (2, 1), said
    assert said.strip().isprintable()
    assert tree(place) == before
