"""The page of a study, its tables and its figures: pure functions of what the store holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.content import content_of
from benchmarks.files import write_bytes, write_text
from benchmarks.report import failure_table, text
from benchmarks.report.answer import QUESTION
from benchmarks.report.page import embedded, template
from benchmarks.report.render import to_latex, with_foot
from benchmarks.report.style import encode
from benchmarks.report.tables import Cell, Table, cells
from benchmarks.store import Store
from benchmarks.study.evidence import Evidence
from benchmarks.study.prediction import Claim, Finding, Prediction
from benchmarks.study.tabular import said

VERDICTS = ("supported", "refuted", "undecided")
LEADING = "posterior"  # the figure that answers the question at a glance


@dataclass(frozen=True)
class Part:
    """One prediction as the page shows it."""

    prediction: Prediction
    finding: Finding
    claims: Table
    files: dict[str, bytes]

    @property
    def figure(self) -> dict[str, str]:
        """The figure, to be embedded in the page."""
        return embedded(self.prediction.title, self.finding.caption, self.files["png"])


def write(predictions: tuple[Prediction, ...], store: Store, folder: Path | None = None) -> list[Table]:
    """Write index.html, README.md, tables/ and figures/; the verdicts, for the terminal.

    folder: where, by default the study's own directory. The same store gives the same bytes.
    """
    folder = folder or store.folder
    content = content_of(store)
    parts = _parts(predictions, store)
    for part in parts:
        for suffix, data in part.files.items():
            write_bytes(folder / "figures" / f"{part.prediction.name}.{suffix}", data)
    verdicts = verdict_table(parts)
    for table in [verdicts, *(part.claims for part in parts), *(t for part in parts for t in part.finding.tables)]:
        write_text(folder / "tables" / f"{table.name}.md", _section(table, ""))
        write_text(folder / "tables" / f"{table.name}.tex", to_latex(table))
        write_text(folder / "tables" / f"{table.name}.csv", cells(table).to_csv(index=False, lineterminator="\n"))
    page = template("study.html.j2").render(
        question=QUESTION,
        answer=[part.finding.summary for part in parts],
        verdicts=verdicts,
        parts=parts,
        failures=failure_table(content),
        provenance=content.provenance,
    )
    write_text(folder / "index.html", page)
    write_text(folder / "README.md", _markdown(parts, verdicts, content.provenance))
    return [verdicts]


def readme_section(predictions: tuple[Prediction, ...], store: Store, published: str) -> str:
    """The verdicts and what decided them, for the top-level README."""
    parts = _parts(predictions, store)
    lines = [f"{number}. {_brief(part)}" for number, part in enumerate(parts, start=1)]
    figure = next(part for part in parts if part.prediction.name == LEADING)
    return "\n".join(
        [
            *lines,
            "",
            f"![{text.markdown(figure.prediction.title)}]({published}/figures/{LEADING}.png)",
            "",
            text.markdown(figure.finding.caption),
            "",
            f"The whole study, with every claim, interval and table: [{published}/README.md]({published}/README.md).",
        ]
    )


def _brief(part: Part) -> str:
    verdict = f"**{part.finding.verdict}**"
    return f"{text.markdown(part.prediction.statement)} {verdict}. {text.markdown(part.finding.summary)}"


def _parts(predictions: tuple[Prediction, ...], store: Store) -> list[Part]:
    evidence = Evidence(store)
    parts = []
    for prediction in predictions:
        finding = prediction.find(evidence)
        figure = finding.figure()
        files = {suffix: encode(figure, suffix) for suffix in ("png", "svg")}
        parts.append(Part(prediction, finding, claims_table(prediction.name, finding.claims), files))
    return parts


def verdict_table(parts: list[Part]) -> Table:
    """A row for each prediction."""
    rows = tuple(
        (
            Cell(str(number), sort=number),
            Cell(part.prediction.title),
            Cell(part.prediction.statement),
            Cell(part.finding.verdict, mark="word" if part.finding.verdict == "refuted" else ""),
            Cell(_count(part.finding.claims)),
        )
        for number, part in enumerate(parts, start=1)
    )
    caption = (
        "A claim is supported if the whole 95 % interval of its effect lies where the theory puts it, refuted if all "
        "of it lies elsewhere, undecided otherwise. A prediction is refuted by one claim, and supported by all of them."
    )
    columns = ("no.", "about", "prediction", "verdict", "claims")
    return Table("verdicts", "The predictions and their verdicts", caption, columns, rows, prose=columns)


def claims_table(name: str, claims: tuple[Claim, ...]) -> Table:
    """A row for each claim of a prediction."""
    rows = tuple((Cell(claim.says), Cell(said(claim.effect)), Cell(claim.verdict)) for claim in claims)
    columns = ("claim", "effect, with its 95 % interval", "verdict")
    return Table(f"{name}_claims", "Claims", "What decides the prediction.", columns, rows, prose=columns)


def _count(claims: tuple[Claim, ...]) -> str:
    verdicts = [claim.verdict for claim in claims]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in verdicts)


def _section(table: Table, heading: str = "### ") -> str:
    title = f"{heading}{text.markdown(table.title)}" if heading else f"**{text.markdown(table.title)}.**"
    return f"{title}\n\n{text.markdown(table.caption)}\n\n{with_foot(table)}"


def _markdown(parts: list[Part], verdicts: Table, provenance: dict[str, str]) -> str:
    lines = [
        "# Which Gaussian is the bottleneck?",
        "<!-- Generated by `pushforward study`: changes made here are lost. -->",
        f"*{QUESTION}*",
        "\n".join(f"- {text.markdown(part.finding.summary)}" for part in parts),
        _section(verdicts, "## "),
    ]
    for number, part in enumerate(parts, start=1):
        this, finding = part.prediction, part.finding
        lines += [
            f"## {number}. {text.markdown(this.title)}: {finding.verdict}",
            text.markdown(this.statement),
            f"**Theory.** {text.markdown(this.theory)} *({text.markdown(this.source)})*",
            f"**Measured.** {text.markdown(finding.summary)}",
            f"![{text.markdown(this.title)}](figures/{this.name}.png)",
            text.markdown(finding.caption),
            _section(part.claims),
            *(_section(table) for table in finding.tables),
        ]
    rows = [f"| {text.markdown(key)} | {text.markdown(value)} |" for key, value in provenance.items()]
    lines.append("\n".join(["## How this was made", "", "| what | value |", "|:--|:--|", *rows]))
    return "\n\n".join(line.rstrip() for line in lines) + "\n"
