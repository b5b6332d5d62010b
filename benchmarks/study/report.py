"""The page of a study, its tables and its figures: pure functions of what the store holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import spreadsheet
from benchmarks.content import content_of
from benchmarks.files import write_bytes, write_text
from benchmarks.report import failure_table, text
from benchmarks.report.content import Content
from benchmarks.report.page import embedded, template
from benchmarks.report.render import to_latex, with_foot
from benchmarks.report.style import encode
from benchmarks.report.tables import Cell, Table, cells
from benchmarks.store import Store
from benchmarks.study.evidence import Evidence
from benchmarks.study.prediction import Claim, Finding, Prediction, Study
from benchmarks.study.tabular import said

VERDICTS = ("supported", "refuted", "undecided")
LEADING = "posterior"  # the figure that answers the question at a glance
READING = (
    "How to read it: KL(p*‖p_θ) is what a model loses per point, in nats: 0 is the target itself. p_θ is what the "
    "decoder makes of N(0, I), whatever the encoder does; the ELBO that training maximises is below log p_θ by "
    "KL(q‖p_θ(z|x)), so a Gaussian q can spoil training although it is thrown away afterwards. Numbers in brackets "
    "are 95 % intervals over replicates, each with its own data and its own start."
)
SENTENCES = 3  # of the answer, in the top-level README


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


@dataclass(frozen=True)
class Report:
    """All that the page of a study says."""

    study: Study
    answer: list[str]
    parts: list[Part]
    verdicts: Table
    content: Content


def made(study: Study, store: Store) -> Report:
    """The findings of a study, and their figures: a pure function of what the store holds."""
    evidence = Evidence(store)
    parts = []
    for prediction in study.predictions:
        finding = prediction.find(evidence)
        figure = finding.figure()
        files = {suffix: encode(figure, suffix) for suffix in ("png", "svg")}
        parts.append(Part(prediction, finding, claims_table(prediction.name, finding.claims), files))
    return Report(study, study.answer(evidence), parts, verdict_table(parts), content_of(store))


def write(report: Report, folder: Path) -> None:
    """Write index.html, README.md, tables/ and figures/ there. The same store gives the same bytes."""
    parts = report.parts
    for part in parts:
        for suffix, data in part.files.items():
            write_bytes(folder / "figures" / f"{part.prediction.name}.{suffix}", data)
    for table in [
        report.verdicts,
        *(part.claims for part in parts),
        *(table for part in parts for table in part.finding.tables),
    ]:
        write_text(folder / "tables" / f"{table.name}.md", _section(table, ""))
        write_text(folder / "tables" / f"{table.name}.tex", to_latex(table))
        write_text(folder / "tables" / f"{table.name}.csv", spreadsheet.to_csv(cells(table)))
    page = template("study.html.j2").render(
        question=report.study.question,
        answer=report.answer,
        reading=READING,
        verdicts=report.verdicts,
        parts=parts,
        failures=failure_table(report.content),
        provenance=report.content.provenance,
    )
    write_text(folder / "index.html", page)
    write_text(folder / "README.md", _markdown(report))


def readme_section(report: Report, published: str) -> str:
    """The first sentences of the answer, the figure behind them, and the verdicts, for the top-level README."""
    figure = next((part for part in report.parts if part.prediction.name == LEADING), report.parts[0])
    verdicts = [
        f"{number}. {text.markdown(part.prediction.statement)} **{part.finding.verdict}**"
        for number, part in enumerate(report.parts, start=1)
    ]
    return "\n\n".join(
        [
            *map(text.markdown, report.answer[:SENTENCES]),
            f"![{text.markdown(figure.prediction.title)}]({published}/figures/{figure.prediction.name}.png)",
            f"*{text.markdown(figure.finding.caption)}*",
            f"The study puts {len(report.parts)} predictions to the test, each with its theory, its experiment and "
            "its claims. A prediction is supported if all its claims are, and refuted if one is:",
            "\n".join(verdicts),
            f"Every claim, interval, table and figure: [{published}/README.md]({published}/README.md).",
        ]
    )


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
    count = sum(len(part.finding.claims) for part in parts)
    caption = (
        "A claim is supported if the whole 95 % interval of its effect lies where the theory puts it, refuted if all "
        "of it lies elsewhere, undecided otherwise. One refuted claim refutes a prediction; all have to support it. "
        f"Intervals are not widened for the number of claims: of {count}, {count / 20:.1f} miss by chance in the mean. "
        "Where theory gives a direction but no size, the bound was chosen before the study had been run as a whole."
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


def _markdown(report: Report) -> str:
    lines = [
        "# Which Gaussian is the bottleneck?",
        "<!-- Generated by `pushforward study`: changes made here are lost. -->",
        f"*{text.markdown(report.study.question)}*",
        "\n".join(f"- {text.markdown(sentence)}" for sentence in report.answer),
        text.markdown(READING),
        _section(report.verdicts, "## "),
    ]
    for number, part in enumerate(report.parts, start=1):
        this, finding = part.prediction, part.finding
        lines += [
            f"## {number}. {text.markdown(this.title)}: {finding.verdict}",
            text.markdown(this.plain),
            f"**Prediction.** {text.markdown(this.statement)}",
            f"**Theory.** {text.markdown(this.theory)} *({text.markdown(this.source)})*",
            f"**Measured.** {text.markdown(finding.summary)}",
            f"![{text.markdown(this.title)}](figures/{this.name}.png)",
            text.markdown(finding.caption),
            _section(part.claims),
            *(_section(table) for table in finding.tables),
        ]
    rows = [f"| {text.markdown(key)} | {text.markdown(value)} |" for key, value in report.content.provenance.items()]
    lines.append("\n".join(["## How this was made", "", "| what | value |", "|:--|:--|", *rows]))
    return "\n\n".join(line.rstrip() for line in lines) + "\n"
