"""Text from outside is inert wherever it is shown: in HTML, Markdown, LaTeX, on the terminal and in spreadsheets."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from benchmarks import spreadsheet, terminal
from benchmarks.cell import CellResult
from benchmarks.errors import plain
from benchmarks.report import page, results_readme, text, to_terminal
from benchmarks.report.content import METRICS, Content, MetricInfo, TargetInfo
from benchmarks.report.figures import figures
from benchmarks.report.page import template
from benchmarks.report.render import to_latex, with_foot
from benchmarks.report.style import encode
from benchmarks.report.tables import Cell, Table
from benchmarks.store import Store
from tests.benchmarks.report.synthetic import content
from tests.fuzz.campaign import ATTACKS, fuzz, texts

CELLS = st.builds(Cell, texts, texts, st.sampled_from(["", "best", "frame", "word"]), st.floats(allow_infinity=False))


def table(words: list[str], rows: list[list[Cell]]) -> Table:
    """A table of three columns in which every text comes from outside."""
    name, title, caption, foot, *columns = words
    return Table(name, title, caption, tuple(columns), tuple(map(tuple, rows)), foot, prose=(columns[1],))


TABLES = st.builds(
    table, st.lists(texts, min_size=7, max_size=7), st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=3)
)
MACROS = template("macros.html.j2").module


class Seen(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, ...]] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":
            self.elements.append((tag, *(name for name, _ in attrs)))
            self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        assert decl == "doctype html"

    handle_pi = unknown_decl = handle_comment


def tame(this: Table) -> Table:
    """The same table with a word for every text."""
    rows = [[Cell("x", "x" if plain(c.note) else "", c.mark, c.sort) for c in row] for row in this.rows]
    return table(["x", "x", "x", "x" if this.foot else "", "a", "b", "c"], rows)


@fuzz("text in HTML", 250, this=TABLES, alt=texts)
def test_html_has_no_element_and_no_attribute_of_its_own(this: Table, alt: str) -> None:
    """The elements and attributes are those of a table of harmless words, and the text is there as it is."""
    figure = {"title": alt, "caption": alt, "data": ""}
    harmless = {"title": "x", "caption": "x", "data": ""}
    seen = Seen(str(MACROS.show(this, {})) + str(MACROS.picture("x", figure)))
    expected = Seen(str(MACROS.show(tame(this), {})) + str(MACROS.picture("x", harmless)))
    marked = [bool(cell.note) and not plain(cell.note) for row in this.rows for cell in row]
    if not any(marked):  # a note of nothing but control characters is an empty element
        assert seen.elements == expected.elements
    assert plain(this.name) in seen.values
    for word in (*this.columns, this.foot, *(cell.text for row in this.rows for cell in row)):
        assert plain(word).replace("-", "−") in seen.text.replace("-", "−")
    assert seen.text.replace("\n", "").isprintable()


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OURS = {
    *("inline", "text", "softbreak", "paragraph_open", "paragraph_close", "text_special"),
    *(f"{part}_{side}" for part in ("table", "thead", "tbody", "tr", "th", "td") for side in ("open", "close")),
}


def tokens(markdown: str) -> list[tuple[str, str]]:
    found = []
    for token in MARKDOWN.parse(markdown):
        found.append((token.type, token.content))
        found += [(child.type, child.content) for child in token.children or ()]
    return found


@fuzz("text in Markdown", 350, word=texts, before=st.sampled_from(["", "a", "*", "(", "]", "!"]))
def test_markdown_is_text_and_nothing_else(word: str, before: str) -> None:
    """In a sentence: no link, image, code, emphasis or HTML, and the words as they are."""
    found = tokens(f"Words {text.markdown(before)}{text.markdown(word)} words.")
    assert {kind for kind, _ in found} <= OURS
    shown = "".join(content for kind, content in found if kind in ("text", "text_special"))
    assert shown.split() == f"Words {before}{plain(word)} words.".split()
    assert not re.search(r"\w://|\bwww\.", text.markdown(word), re.IGNORECASE)  # GitHub makes links of these by itself


@fuzz("text in Markdown", 150, this=TABLES)
def test_a_markdown_table_keeps_its_shape(this: Table) -> None:
    found = [kind for kind, _ in tokens(f"Words.\n\n{with_foot(this)}")]
    emphasis = {"em_open", "em_close", "strong_open", "strong_close"}
    marks = [cell for row in this.rows for cell in row if cell.mark in ("best", "word")]
    assert {"link_open", "image", "html_inline", "html_block", "code_inline", "fence", "s_open"}.isdisjoint(found)
    assert set(found) - emphasis <= OURS | {"hr", "heading_open", "heading_close", "bullet_list_open"} or this.foot
    assert found.count("em_open") + found.count("strong_open") <= len(marks)
    if any(plain(column) for column in this.columns):
        assert found.count("td_open") == 3 * len(this.rows)


ESCAPES = sorted({*text._LATEX.values(), "{}"}, key=len, reverse=True)
ESCAPED = re.compile("|".join(map(re.escape, ESCAPES)))


@fuzz("text in LaTeX", 350, word=texts)
def test_latex_has_no_command_that_is_not_ours(word: str) -> None:
    """Once our own escapes are taken away, nothing is left that LaTeX reads as anything but a letter."""
    left = ESCAPED.sub("", text.latex(word))
    assert not set(left) & set("\\{}$&#%_^~")
    assert left.isascii()
    assert left.isprintable() or not left


@fuzz("text in LaTeX", 150, this=TABLES)
def test_a_latex_table_keeps_its_shape(this: Table) -> None:
    lines = to_latex(this).splitlines()
    body = [line for line in lines if line.endswith(r" \\")]
    assert len(body) == len(this.rows) + 1
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {2}
    assert not any(line.lstrip().startswith(("[", "*")) for line in lines)
    assert to_latex(this).isascii()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_attacks_compile(tmp_path: Path) -> None:
    """As the words of a table, its caption and its foot; and no file is read or written by them."""
    cells = [[Cell(attack[:200], attack[:200], "word"), Cell("x"), Cell("y")] for attack in ATTACKS]
    words = " ".join(attack[:50] for attack in ATTACKS)
    (tmp_path / "table.tex").write_text(to_latex(table(["t", words, words, words, "[a]", "*", "\\"], cells)))
    preamble = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
    (tmp_path / "all.tex").write_text(rf"{preamble}\begin{{document}}\input{{table}}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-recorder", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
    assert "passwd" not in (tmp_path / "all.fls").read_text()


STYLE = re.compile(r"\x1b\[[0-9;]*m")


def printed(*things: object, colours: bool = True) -> str:
    file = io.StringIO()
    console = Console(file=file, width=4_000, force_terminal=colours, color_system="standard" if colours else None)
    for thing in things:
        console.print(thing, soft_wrap=True)
    return file.getvalue()


@fuzz("text on the terminal", 250, word=texts, mark=st.sampled_from(["error:", "✓", "   "]))
def test_the_terminal_gets_the_text_and_nothing_else(word: str, mark: str) -> None:
    """No control sequence but our own colours, no markup, no emoji, one line."""
    assert printed(terminal.marked(mark, word), colours=False) == f"{mark} {plain(word)}\n"
    assert printed(terminal.shown(word), colours=False) == f"{plain(word)}\n"
    assert STYLE.sub("", printed(terminal.marked(mark, word))) == f"{mark} {plain(word)}\n"


@fuzz("text on the terminal", 75, this=TABLES)
def test_a_table_on_the_terminal_has_no_control_sequences(this: Table) -> None:
    shown = STYLE.sub("", printed(to_terminal(this)))
    assert shown.replace("\n", "").isprintable()


@fuzz("text in spreadsheets", 350, word=texts)
def test_no_cell_of_a_csv_is_a_formula_and_all_come_back(word: str) -> None:
    """A spreadsheet runs what begins with =, +, - or @; what is written begins so only if it is all numbers."""
    (line,) = list(csv.reader(io.StringIO(spreadsheet.to_csv(pd.DataFrame({"a": [word]}, dtype=object)), newline="")))[
        1:
    ]
    written = line[0] if line else ""
    assert spreadsheet.unguarded(written) == word.replace("\r\n", "\n").replace("\r", "\n")
    assert written[:1] not in ("=", "@", "\t", "\r", "\n")
    if written[:1] in ("+", "-"):
        assert not set(written) - set("0123456789.,e+-[] n/aofkM")


@fuzz("text in spreadsheets", 75, reason=texts, value=st.floats())
def test_scores_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, reason: str, value: float) -> None:
    """Whatever a reason holds; but half of a surrogate pair, which no file can hold, and NUL come as escapes."""
    store = Store(tmp_path_factory.getbasetemp())
    row = {"target": "007", "model": "NA", "replicate": 0, "metric": "kl", "value": value, "error": None}
    store.write_tables([CellResult("failed", "", [row | {"status": "failed", "reason": reason}])])
    back = store.scores(exact=True).iloc[0]
    assert (back["target"], back["model"], back["status"]) == ("007", "NA", "failed")
    assert back["value"] == value or value != value
    if reason.isprintable():
        assert back["reason"] == reason
    assert plain(back["reason"]).isprintable()


@pytest.mark.parametrize("text", ["-0.1 [-0.2, 0.0]", "-3", "+1e-05", "0.5", "-0.040 [n/a]", "-1.5 [-2, -1] 2 of 3"])
def test_numbers_stay_as_they_are(text: str) -> None:
    assert spreadsheet.guarded(text) == text


NAMES = [attack for attack in ATTACKS if 0 < len(attack) < 100 and not re.search("[\ud800-\udfff]", attack)]


def hostile() -> Content:
    """A run in which everything that has a name is called like an attack."""
    targets = [TargetInfo(name, name, 2) for name in NAMES[:4]]
    run = content(targets, ["oracle", *NAMES[4:8], "gaussian"], 2, trouble=False)
    scores, custom = run.scores.copy(), NAMES[9]
    scores.loc[::7, ["value", "error"]] = float("nan")
    scores.loc[::7, "status"] = NAMES[10]
    scores.loc[::7, "reason"] = " ".join(NAMES)
    extra = scores[scores["metric"] == "kl"].assign(metric=custom)
    about = MetricInfo(custom, custom, "lower", custom)
    provenance = {f"key {name}": name for name in NAMES} | {"command": "".join(NAMES)}
    return Content(
        pd.concat([scores, extra]),
        run.costs,
        targets,
        run.models,
        lambda *_: None,
        metrics={**METRICS, custom: about},
        provenance=provenance,
    )


def test_a_whole_page_has_no_element_of_its_own() -> None:
    seen = Seen(page(hostile(), {name: {"png": b"x"} for name in figures(hostile())}))
    kinds = {element[0] for element in seen.elements}
    assert kinds <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "ul", "li", "nav", "a"),
        *("section", "figure", "img", "figcaption", "div", "table", "thead", "tbody", "tr", "th", "td", "button"),
        *("span", "small", "script", "code"),
    }
    assert sum(element[0] == "script" for element in seen.elements) == 1
    attributes = {name for element in seen.elements for name in element[1:]}
    assert attributes <= {
        *("lang", "charset", "name", "content", "class", "id", "href", "src", "alt", "style", "scope", "type"),
        *("data-name", "data-sort", "aria-label"),
    }
    links = [value for value in seen.values if value.startswith(("#", "javascript", "http", "data:"))]
    assert all(
        re.fullmatch(r"#[a-z0-9_]+|data:image/png;base64,[A-Za-z0-9+/=]*", link) for link in links if " " not in link
    )
    assert "alert(1)" in seen.text


def test_a_whole_readme_has_no_element_of_its_own() -> None:
    markdown = results_readme(hostile())
    found = tokens(markdown)
    images = re.findall(r"!\[[^\n]*\]\((figures/[a-z0-9_]+\.png)\)", markdown)
    kinds = [kind for kind, _ in found]
    assert kinds.count("image") == len(images)
    assert {"link_open", "html_inline", "code_inline", "fence", "code_block", "blockquote_open"}.isdisjoint(kinds)
    assert [content.strip() for kind, content in found if kind == "html_block"] == [
        "<!-- Generated by `pushforward report`: changes made here are lost. -->"
    ]


def test_figures_of_hostile_names_are_well_formed() -> None:
    """Every SVG parses, and holds no script and no link."""
    for name, drawing in figures(hostile()).items():
        root = ElementTree.fromstring(encode(drawing.make(), "svg"))
        for element in root.iter():
            assert element.tag.rpartition("}")[2] not in ("script", "a", "foreignObject", "image"), name
            assert not any(attribute.startswith("on") for attribute in element.attrib)
