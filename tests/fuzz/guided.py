"""The same properties on inputs that coverage leads to: atheris changes bytes, and keeps what reaches new code.

`pip install atheris` (Linux), then `python -m tests.fuzz.guided suites -runs=50000`; further options are libFuzzer's.
Ends with a traceback, and keeps the input as crash-…, where a property does not hold.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["benchmarks", "tomllib"]):
    from benchmarks import arguments, manifest
    from benchmarks.store import Store
from tests.fuzz import runs, test_data_files, test_suites
from tests.fuzz.campaign import SECONDS, limited, refusal


def check_name(_folder: Path, content: bytes) -> None:
    refusal(lambda: arguments.split(content.decode("utf-8", "surrogateescape")))


def check_run(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    found = Store(folder).manifest()
    if found is not None:
        refusal(lambda: manifest.check(found, folder / "run.json", whole=True))


PROPERTIES: dict[str, tuple[Callable[[Path, bytes], None], bytes]] = {
    "suites": (lambda folder, content: test_suites.check(folder / "suite.toml", content), test_suites.GOOD),
    "csv": (lambda folder, content: test_data_files.check(folder / "data.csv", content), test_data_files.CSV),
    "npy": (lambda folder, content: test_data_files.check(folder / "data.npy", content), test_data_files.NPY),
    "names": (check_name, b"gaussian_vae[hidden=[16, 64], latent_dim=2]"),
    "runs": (check_run, json.dumps(runs.MANIFEST).encode()),
}


def main() -> None:
    """Try inputs for one property, beginning with a good one."""
    if len(sys.argv) < 2 or sys.argv[1] not in PROPERTIES:
        raise SystemExit(f"which property? one of {', '.join(PROPERTIES)}")
    check, good = PROPERTIES[sys.argv[1]]
    folder = Path(tempfile.gettempdir()) / "pushforward-guided"  # the same again: libFuzzer ends the process itself
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("corpus", "place"):
        (folder / name).mkdir(parents=True)
    (folder / "corpus" / "good").write_bytes(good)

    def tried(content: bytes) -> None:
        with limited(SECONDS):
            check(folder / "place", content)

    atheris.Setup([sys.argv[0], *sys.argv[2:], str(folder / "corpus")], tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
