"""What is printed on a terminal: text from outside is shown as it is, neither as markup nor as control sequences."""

from __future__ import annotations

from rich.text import Text

from benchmarks.errors import plain


def shown(text: str) -> Text:
    """The text on one line, without control characters."""
    return Text(plain(text))


def indented(line: str) -> Text:
    """A line of ours that may quote text from outside: the spaces that align it stay."""
    return Text("    " + "".join(char for char in line if char.isprintable()))


def marked(mark: str, text: str, style: str = "bold red") -> Text:
    """The text after a word or a sign of our own."""
    return Text.assemble((mark, style), " ", plain(text))
