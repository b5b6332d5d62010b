"""The guides, read: their sections, and the blocks of code in these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUIDES = (
    "README.md",
    "models/README.md",
    "benchmarks/targets/README.md",
    "metrics/README.md",
    "benchmarks/README.md",
    "CONTRIBUTING.md",
)
SAVED_AS = re.compile(r"[Ss]aved as\s+`([^`]+)`")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    file: str | None


@dataclass
class Section:
    """What stands under one heading of a guide."""

    guide: str
    heading: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The lines of its commands."""
        shown = (line.strip() for block in self.blocks if block.language == "sh" for line in block.text.splitlines())
        return [line for line in shown if line and not line.startswith("#")]


def sections(guide: str) -> Iterator[Section]:
    """The sections of a guide that have a block in them."""
    section, paragraph, fence, body = Section(guide, ""), "", None, []
    for line in (ROOT / guide).read_text(encoding="utf-8").splitlines():
        if fence is not None:
            if line == "```":
                named = SAVED_AS.search(paragraph)
                section.blocks.append(Block(fence, "\n".join(body) + "\n", named and named[1]))
                fence, paragraph = None, ""
            else:
                body.append(line)
        elif line.startswith("```"):
            fence, body = line.removeprefix("```"), []
        elif line.startswith("#"):
            yield from [section] if section.blocks else []
            section, paragraph = Section(guide, line.lstrip("# ")), ""
        elif line:
            before = "" if paragraph.endswith("\n") else paragraph
            paragraph = f"{before} {line}"
        elif not paragraph.endswith("\n"):
            paragraph += "\n"
    yield from [section] if section.blocks else []


SECTIONS = [section for guide in GUIDES for section in sections(guide)]


def section_of(guide: str, heading: str) -> Section:
    return next(each for each in SECTIONS if (each.guide, each.heading) == (guide, heading))
