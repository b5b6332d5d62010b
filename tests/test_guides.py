"""What the guides show is done as it stands there: files are written, commands are run, Python is executed.

A section of a guide is followed from its heading to the next one, in a directory of its own:

- a block whose paragraph before it says "Saved as `NAME`" is written to that file;
- any other ```python block is executed;
- each line of a ```sh block is a command. `pushforward` runs in this process (a run with `--workers 0`), unless it is
  too dear or needs what no command before it has made; it is then checked as far as its plan. A comment "exit code N"
  says what it ends with, if not with 0. Of other programs only pytest runs; make, pip and the like are looked up.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from benchmarks import cli, execution, lookup
from benchmarks import suite as suites
from benchmarks.checks import CHECKS
from benchmarks.checks.check import Check
from benchmarks.targets.base import Target
from models.base import Model
from tests.guides import GUIDES, ROOT, SECTIONS, Section, section_of, sections

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
DEAR = ("study", "verify", "speed", "publish")
ON_A_RUN = ("score", "report", "compare", "merge")
MEASUREMENTS = "measurements.csv"  # a reader's own file, which no guide can bring


class Reader:
    """Someone who follows a section, in an empty directory but for a file of data."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.ran: set[str] = set()
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        rows = np.random.default_rng(0).normal([1.7, 65.0], [0.1, 12.0], (200, 2))
        pd.DataFrame(rows, columns=["height", "weight"]).to_csv(MEASUREMENTS, index=False)

    def follow(self, section: Section) -> None:
        for block in section.blocks:
            if block.file is not None:
                Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                Path(block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                exec(compile(block.text, f"{section.guide}: {section.heading}", "exec"), {})
            elif block.language == "sh":
                for line in Section("", "", [block]).lines:
                    self.type(line)

    def type(self, line: str) -> None:
        """One command line."""
        expected = EXIT_CODE.search(line)
        program, *arguments = shlex.split(line, comments=True)
        match Path(program).name:
            case "pushforward":
                self._pushforward(arguments, int(expected[1]) if expected else 0)
            case "pytest" if arguments and Path(arguments[0]).is_file():
                done = subprocess.run(
                    [sys.executable, "-m", "pytest", "-q", *arguments], capture_output=True, text=True
                )
                assert done.returncode == 0, done.stdout
                self.ran.add("pytest")
            case "make":
                assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), line
            case "python" | "python3" if arguments[:1] == ["-m"]:
                assert importlib.util.find_spec(arguments[1]) is not None, line
                for extra in re.findall(r"\[(\w+)\]", line):
                    assert extra in PROJECT["project"]["optional-dependencies"], line
            case "pytest" | "ruff" | "mypy" | "git" | "cd" | "dask" | "helm" | "kubectl":
                pass
            case _:
                raise AssertionError(f"the guides' tests do not know what to do with {line!r}")

    def _pushforward(self, arguments: list[str], expected: int) -> None:
        command, given = parsed(arguments)
        if command == "run" and not cheap(given):
            execution.plan(
                given["suite"],
                models=given["model"],
                targets=given["target"],
                data=given["data"],
                replicates=given["replicates"],
                out=given["out_folder"],
            )
            return
        if command in DEAR or (command in ON_A_RUN and not Path(arguments[1]).is_dir()):
            if command == "score":
                lookup.find_all("metric", given["metric"])
            return
        self._monkeypatch.setattr(
            sys, "argv", ["pushforward", *arguments, *(["--workers", "0"] if command == "run" else [])]
        )
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        assert code == expected, " ".join(arguments)
        self.ran.add(command)


def parsed(arguments: list[str]) -> tuple[str, dict]:
    """The command and its options, as typer understands them. Raises for what is no command and no option."""
    group = typer.main.get_command(cli.app)
    context = group.make_context("pushforward", list(arguments))
    name, command, rest = group.resolve_command(context, list(arguments))
    return str(name), dict(command.make_context(name, rest, parent=context).params)


def cheap(run: dict) -> bool:
    """Whether a run takes seconds: that of the smoke suite with few models."""
    return run["suite"] == "smoke" and 0 < len(run["model"] or ()) <= 3


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Iterator[Reader]:
    before = set(sys.modules)
    yield Reader(tmp_path, monkeypatch)
    for name in set(sys.modules) - before:
        if tmp_path in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
            del sys.modules[name]


def table(file: str) -> pd.DataFrame:
    """A table of scores, in which n/a is a word."""
    return pd.read_csv(file, keep_default_na=False, na_values=[""])


def scored(file: str, metric: str, target: str) -> pd.Series:
    """Medians by model, of a table of scores."""
    scores = table(file)
    chosen = scores[(scores["metric"] == metric) & (scores["target"] == target)]
    assert set(chosen["status"]) == {"ok"}
    return chosen.groupby("model")["value"].median()


def better(run: str, model: str, metric: str, target: str) -> None:
    """The model is far better than the moment-matched Gaussian."""
    found = scored(f"results/{run}/scores.csv", metric, target)
    assert found[model] < 0.5 * found["gaussian"]


def metrics_are_scored() -> None:
    spread = table("results/mine/metrics/spread.csv").set_index("model")
    for model in ("oracle", "gaussian"):  # the moment-matched Gaussian has the target's spread too
        assert (spread.loc[model, "value"] - 1).abs().max() < 0.1
        assert spread.loc[model, "error"].between(0, 0.05, inclusive="neither").all()
    latents = table("results/mine/metrics/active_latents.csv").groupby("model").first()
    assert list(latents.loc[["oracle", "gaussian_vae", "gaussian"], "status"]) == ["n/a", "ok", "n/a"]
    assert latents.loc["gaussian_vae", "value"] in (0, 1)


def runs_are_compared_and_merged() -> None:
    assert "gaussian" in Path("results/compared/compare.md").read_text(encoding="utf-8")
    assert set(table("results/ab/scores.csv")["model"]) == {"oracle", "gaussian", "gaussian_ot"}
    assert Path("results/ab/metrics/energy_distance.csv").is_file()


NEW = {"new", "check", "pytest", "run"}
EXAMPLE = {"check", "run"}
LISTS = {"models", "targets", "suites", "metrics"}
#: The commands that must have run, not only been parsed, by guide and heading.
MUST_RUN = {
    ("README.md", "Add a model"): EXAMPLE,
    ("README.md", "Use it"): LISTS,
    ("models/README.md", "Add a model"): NEW,
    ("models/README.md", "Arguments and sweeps"): {"new", "run"},
    ("models/README.md", "Example: plain PyTorch"): EXAMPLE,
    ("models/README.md", "Example: a scikit-learn estimator"): EXAMPLE,
    ("models/README.md", "Example: a flow from zuko"): EXAMPLE,
    ("models/README.md", "The checks"): {"new", "check"},
    ("benchmarks/targets/README.md", "Add a target"): NEW,
    ("benchmarks/targets/README.md", "Example: nodes"): EXAMPLE,
    ("benchmarks/targets/README.md", "Example: a known optimal map"): EXAMPLE,
    ("benchmarks/targets/README.md", "Example: real data"): EXAMPLE,
    ("benchmarks/targets/README.md", "Your own data"): {"run"},
    ("metrics/README.md", "Add a metric"): {"run", "score", "report"},
    ("benchmarks/README.md", "Commands"): {*LISTS, "run", "compare", "merge", "score", "report"},
    ("benchmarks/README.md", "A suite"): {"run"},
}
#: What must be so when a section has been followed.
AFTER: dict[tuple[str, str], Callable[[], None]] = {
    ("README.md", "Add a model"): partial(better, "mine", "KernelDensity", "kl", "bimodal"),
    ("models/README.md", "Example: plain PyTorch"): partial(
        better, "energy_map", "EnergyMap", "w2_squared", "eight_gaussians"
    ),
    ("models/README.md", "Example: a scikit-learn estimator"): partial(
        better, "bayesian_mixture", "BayesianMixture", "kl", "eight_gaussians"
    ),
    ("models/README.md", "Example: a flow from zuko"): partial(
        better, "zuko_flow", "ZukoFlow", "kl", "eight_gaussians"
    ),
    ("benchmarks/targets/README.md", "Example: nodes"): partial(
        scored, "results/logistic/scores.csv", "kl", "Logistic"
    ),
    ("benchmarks/targets/README.md", "Example: a known optimal map"): partial(
        scored, "results/sinh/scores.csv", "map_l2_uvp", "Sinh"
    ),
    ("metrics/README.md", "Add a metric"): metrics_are_scored,
    ("benchmarks/README.md", "Commands"): runs_are_compared_and_merged,
}


def test_the_sections_that_must_run_are_there():
    assert {*MUST_RUN, *AFTER} <= {(section.guide, section.heading) for section in SECTIONS}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section.guide}: {section.heading}")
def test_a_section_can_be_followed(section, reader):
    if any("import zuko" in block.text for block in section.blocks):
        pytest.importorskip("zuko", reason="the extra zuko is not installed")
    reader.follow(section)
    where = section.guide, section.heading
    assert MUST_RUN.get(where, set()) <= reader.ran
    AFTER.get(where, lambda: None)()


@pytest.mark.parametrize("kind", ["model", "target", "metric"])
def test_the_entry_point_of_a_package_is_found(kind, reader):
    """The snippet for pyproject.toml, put where an installer would put it."""
    guide, heading, example = {
        "model": ("models/README.md", "In a package", None),
        "target": ("benchmarks/targets/README.md", "In a package", None),
        "metric": ("metrics/README.md", "Add a metric", "my_metrics.py"),
    }[kind]
    section = section_of(guide, heading)
    snippet = next(block.text for block in section.blocks if block.language == "toml")
    ((group, entries),) = tomllib.loads(snippet)["project"]["entry-points"].items()
    ((name, source),) = entries.items()
    module, _, attribute = source.partition(":")
    folder = Path(module.split(".")[0])
    folder.mkdir()
    if example is None:
        reader.type(f"pushforward new {kind} {name} --folder {folder}")
    else:
        text = next(block.text for block in section.blocks if block.file == example)
        (folder / example).write_text(text, encoding="utf-8")
    installed = Path(f"{folder}-1.0.dist-info")
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder}\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[{group}]\n{name} = {source}\n")
    assert lookup.find(kind, name).found().__name__ in (attribute, name)


def test_the_example_suite_is_one(tmp_path):
    block = next(block for block in section_of("benchmarks/README.md", "A suite").blocks if block.file == "mine.toml")
    (tmp_path / "mine.toml").write_text(block.text, encoding="utf-8")
    assert suites.load(str(tmp_path / "mine.toml")).name == "mine"


def capability(check: Check, everyone: type) -> str:
    """The classes that a check applies to, as a table says it."""
    needs = [" or ".join(f"`{each.__name__}`" for each in getattr(need, "__args__", (need,))) for need in check.needs]
    return " and ".join(needs) or f"`{everyone.__name__}`"


def table_of_checks(kind: lookup.Kind, everyone: type) -> str:
    rows = [
        f"| `{check.name}` | {capability(check, everyone)} | {check.about.replace('|', chr(92) + '|')} |"
        for check in CHECKS[kind]
    ]
    return "\n".join(["| check | for | what holds |", "|:--|:--|:--|", *rows])


def table_of_commands() -> str:
    group = typer.main.get_command(cli.app)
    rows = []
    for name, command in group.commands.items():
        rows.append(f"| `{name}` | {' '.join((command.help or '').split(chr(10) * 2)[0].split())} |")
    return "\n".join(["| command | what it does |", "|:--|:--|", *rows])


@pytest.mark.parametrize(
    ("guide", "marker", "table"),
    [
        ("models/README.md", "checks", lambda: table_of_checks("model", Model)),
        ("benchmarks/targets/README.md", "checks", lambda: table_of_checks("target", Target)),
        ("benchmarks/README.md", "commands", table_of_commands),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_lists_all_that_there_is(guide, marker, table):
    """Where this fails, paste the expected table between the markers."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    shown = text.partition(f"<!-- {marker}: begin -->\n")[2].partition(f"\n<!-- {marker}: end -->")[0]
    assert shown == table()


def test_the_examples_read_like_the_code():
    """Formatted, and clean to the linter, as a file of the tests is: methods need no docstring of their own."""
    pythons = [block.text for section in SECTIONS for block in section.blocks if block.language == "python"]
    for command in (["format", "--check"], ["check", "--ignore", "ARG001"]):
        for text in pythons:
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--stdin-filename", "tests/example.py", "-"],
                input=text, capture_output=True, text=True, cwd=ROOT,
            )  # fmt: skip
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


def test_a_model_fits_on_a_page():
    for guide in ("README.md", "models/README.md"):
        for block in (block for section in sections(guide) for block in section.blocks if block.file):
            assert len([line for line in block.text.splitlines() if line]) <= 45, block.file


@pytest.mark.parametrize("name", [*GUIDES, "CHANGELOG.md"])
def test_commands_within_sentences_are_commands(name):
    """A word in capitals stands for what the reader puts there."""
    commands = typer.main.get_command(cli.app).commands
    for shown in re.findall(r"`pushforward ([^`]*)`", (ROOT / name).read_text(encoding="utf-8")):
        command, *rest = shown.split()
        if command != "COMMAND":
            known = {option for parameter in commands[command].params for option in parameter.opts} | {"--help"}
            assert {word for word in rest if word.startswith("--")} <= known, shown


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    plain = (re.sub(r"\]\([^)]*\)", "", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", [*GUIDES, "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), link
        if anchor and page.suffix == ".md":
            assert anchor in anchors(page.read_text(encoding="utf-8")), link
