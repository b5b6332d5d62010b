"""The reference run and study that the README shows: their tables and figures, copied where git keeps them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from benchmarks.content import content_of
from benchmarks.errors import UserError
from benchmarks.files import write_bytes, write_text
from benchmarks.kept_metrics import FOLDER
from benchmarks.report import Content, readme_section, replace_generated, results_readme, write_report
from benchmarks.report.figures import write_hero
from benchmarks.store import Store
from benchmarks.study.planning import study_of
from benchmarks.study.prediction import Study
from benchmarks.study.report import made, write
from benchmarks.study.report import readme_section as study_section

TABLES = ("scores.csv", "costs.csv")


def publish(run: Path, published: Path, readme: Path) -> None:
    """Copy what a report is made of (not the cells), write the report there, and renew the README's generated part.

    A study goes into a folder of its own there. Raises UserError if a run is not complete, or the README lacks its
    markers.
    """
    store = Store(run)
    content = _anywhere(content_of(store))
    study = study_of(store)
    if study is not None:
        return _publish_study(study, store, published / run.resolve().name, readme)
    cells = content.scores.groupby(["target", "model"]).ngroups
    expected = len(content.targets) * len(content.models)
    if cells < expected:
        raise UserError(f"{run} has {cells} of its {expected} cells; finish it with `pushforward run` first")
    try:
        renewed = replace_generated(readme.read_text(encoding="utf-8"), readme_section(content))
    except (OSError, ValueError) as error:
        raise UserError(f"{readme}: {error}") from error
    custom = [f"{FOLDER}/{path.name}" for path in sorted((run / FOLDER).glob("*.*"))]
    _copy(store, published, *TABLES, *custom)
    write_report(content, published)
    write_hero(content, published / "figures")
    write_text(readme, renewed)
    comparison = results_readme(content).replace("](figures/", f"]({published.name}/figures/")
    write_text(published.parent / "README.md", comparison)
    return None


def _publish_study(study: Study, store: Store, published: Path, readme: Path) -> None:
    planned = {(t, m) for p in study.predictions for e in p.experiments for t in e.targets for m in e.models}
    missing = planned - set(map(tuple, store.scores()[["target", "model"]].drop_duplicates().to_numpy()))
    if missing:
        raise UserError(f"{store.folder} lacks {len(missing)} of its {len(planned)} cells; finish it first")
    report = made(study, store)
    report = replace(report, content=_anywhere(report.content))
    try:
        section = study_section(report, str(published))
        renewed = replace_generated(readme.read_text(encoding="utf-8"), section, "study")
    except (OSError, ValueError) as error:
        raise UserError(f"{readme}: {error}") from error
    write(report, published)
    _copy(store, published, *TABLES)
    write_text(readme, renewed)


def _copy(store: Store, published: Path, *names: str) -> None:
    """These files of a run, and its run.json."""
    for name in names:
        write_bytes(published / name, (store.folder / name).read_bytes())
    manifest = store.manifest() or {}
    Store(published).write_manifest({**manifest, "command": reproducing(manifest["command"])})


def _anywhere(content: Content) -> Content:
    """The content with the command that makes the run again on any machine."""
    command = reproducing(content.provenance["command"])
    return replace(content, provenance={**content.provenance, "command": command})


def reproducing(command: str) -> str:
    """A command without the place where its run was kept: that is of one machine, and no number depends on it."""
    words = shlex.split(command)
    place = {j for i, word in enumerate(words) if word == "--out" for j in (i, i + 1)}
    return shlex.join(word for i, word in enumerate(words) if i not in place and not word.startswith("--out="))
