"""What the campaign says at its end."""

from __future__ import annotations

from tests.fuzz.campaign import TRIED


def pytest_terminal_summary(terminalreporter) -> None:  # type: ignore[no-untyped-def]
    """How many inputs of each kind were tried."""
    if TRIED:
        terminalreporter.section("inputs tried")
        for kind, count in TRIED.items():
            terminalreporter.line(f"{count:>8,}  {kind}")
        terminalreporter.line(f"{TRIED.total():>8,}  in all")
