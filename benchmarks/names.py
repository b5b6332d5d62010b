"""Names of models, targets and metrics, whoever chose them: each becomes the name of a file and a word in tables."""

from __future__ import annotations

from benchmarks.errors import UserError, short

LONGEST = 160  # bytes: with all that is put around it, the name of a file has at most 255

#: What a name cannot begin with: a hidden file or a parent directory, an option, a formula of a spreadsheet.
FIRST = ".-=+@"


def problem(name: str) -> str:
    """Why this cannot be a name, in words; nothing where it can."""
    if not name or name != name.strip():
        return "it is empty, or begins or ends with a space"
    if "/" in name or "\\" in name:
        return "it holds a slash"
    if not name.isprintable():
        return "it holds characters that cannot be printed"
    if name[0] in FIRST:
        return f"it begins with {name[0]!r}"
    if len(name.encode()) > LONGEST:
        return f"it is longer than {LONGEST} bytes"
    return ""


def checked(kind: str, name: str) -> str:
    """The name. Raises UserError where it cannot be one."""
    if why := problem(name):
        raise UserError(f"{kind} {short(name)!r} cannot be the name of a file: {why}")
    return name
