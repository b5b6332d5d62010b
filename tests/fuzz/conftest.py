"""The runs that are damaged, and what the campaign says at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import runs
from tests.fuzz.campaign import TRIED


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a whole run, a second one, and a file that nobody may touch."""
    folder = tmp_path_factory.mktemp("world")
    runs.make(folder / "run")
    runs.make(folder / "other")
    (folder / "outside.safetensors").write_bytes(b"precious")
    (folder / "kl.csv").write_text("precious")
    return folder


def pytest_terminal_summary(terminalreporter) -> None:  # type: ignore[no-untyped-def]
    """How many inputs of each kind were tried."""
    if TRIED:
        terminalreporter.section("inputs tried")
        for kind, count in TRIED.items():
            terminalreporter.line(f"{count:>8,}  {kind}")
        terminalreporter.line(f"{TRIED.total():>8,}  in all")
