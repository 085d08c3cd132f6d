"""A page of figures and tables that needs nothing but itself.

Decided here: the page is an element tree, so whatever a name holds is text. It has no script, and forbids the browser
to fetch anything. Figures are pictures within it (SVG, with a text in their place); every number of theirs is in a
table beside them. A table that is wider than the screen is pushed sideways by itself.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from matplotlib.figure import Figure

from autodistill.evaluation.style import as_text

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = (Path(__file__).with_name("page.css")).read_text("utf-8")
FIGURE = re.compile(r"[+−-]?[\d.,]+(\xa0[kMG])?( \([+−\d., to]+\))?|–")
"""What stands to the right in its cell: a figure, perhaps with its unit and interval."""
FRAME = "width: 100%; height: 45em; border: 1px solid"
PIXELS = 96
"""Of an inch, in a browser."""


@dataclass(frozen=True)
class Picture:
    """A figure, and the sentence that stands in its place where it cannot be seen.

    Args:
        name: Of its files, without an ending.
    """

    name: str
    figure: Figure
    words: str


@dataclass(frozen=True)
class Table:
    """Headings and rows of text.

    Args:
        title: What its numbers are, with their unit.
        shades: Row → column → how dark its cell is, 0 to 1; of rows that have such cells.
        folded: Whether only the title is seen until it is opened.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    shades: Sequence[Sequence[float]] = ()
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """What is shown under a title: what is found, how it is made, figures, tables."""

    text: Sequence[str]
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Page:
    """A report.

    Args:
        lead: Paragraphs above everything else.
        notes: On the runs, folded.
        sections: Key → title, and what is shown, or why nothing is.
    """

    title: str
    lead: Sequence[str]
    notes: Sequence[str]
    sections: Mapping[str, tuple[str, Section | str]]

    def html(self) -> str:
        """The whole document."""
        sections = (_section(key, title, shown) for key, (title, shown) in self.sections.items())
        body = tag("body", tag("main", self._header(), *sections))
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
            tag("title", self.title),
            tag("style", STYLE),
        )
        document = tag("html", head, body, lang="en")
        return "<!DOCTYPE html>\n" + ElementTree.tostring(document, encoding="unicode", method="html") + "\n"

    def _repr_html_(self) -> str:
        """As a notebook shows it: in a frame, so that neither's style touches the other's."""
        return f'<iframe srcdoc="{escape(self.html())}" title="{escape(self.title)}" sandbox style="{FRAME}"></iframe>'

    def _header(self) -> Element:
        links = [_link(key, title, isinstance(shown, str)) for key, (title, shown) in self.sections.items()]
        notes = [
            tag("details", tag("summary", "Notes on the runs"), tag("ul", *(tag("li", note) for note in self.notes)))
        ]
        return tag(
            "header",
            tag("h1", self.title),
            *(tag("p", sentence) for sentence in self.lead),
            *(notes if self.notes else []),
            tag("nav", tag("ol", *links), **{"aria-label": "Sections"}),
        )

    def draw(self, folder: Path) -> list[Path]:
        """Writes all figures into a folder, each as PNG and SVG; gives their files."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        shown = (section for _, section in self.sections.values() if isinstance(section, Section))
        for picture in (picture for section in shown for picture in section.pictures):
            for form in ("png", "svg"):
                files.append(folder / f"{picture.name}.{form}")
                files[-1].write_bytes(bytes_of(picture.figure, form))
        return files


def tag(name: str, /, *children: Element | str, **attributes: str) -> Element:
    """An element; texts among its children are text, whatever stands in them.

    Example:
        >>> ElementTree.tostring(tag("p", "a < ", tag("b", "b"), " & c", id="x"), encoding="unicode")
        '<p id="x">a &lt; <b>b</b> &amp; c</p>'
    """
    element = Element(name, attributes)
    for child in children:
        if not isinstance(child, str):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def _link(key: str, title: str, is_missing: bool) -> Element:
    link = tag("a", title, href=f"#{key}")
    return tag("li", link, " ", tag("small", "(left out)")) if is_missing else tag("li", link)


def _section(key: str, title: str, shown: Section | str) -> Element:
    if isinstance(shown, str):
        return tag("section", tag("h2", title), tag("p", f"Left out: {shown}.", **{"class": "missing"}), id=key)
    pictures = tag("div", *map(_picture, shown.pictures), **{"class": "pictures"})
    return tag(
        "section",
        tag("h2", title),
        *(tag("p", sentence) for sentence in shown.text),
        *([pictures] if shown.pictures else []),
        *map(_table, shown.tables),
        id=key,
    )


def _picture(picture: Picture) -> Element:
    width, height = (str(round(PIXELS * inches)) for inches in picture.figure.get_size_inches())
    source = f"data:image/svg+xml;base64,{base64.b64encode(bytes_of(picture.figure, 'svg')).decode()}"
    return tag("img", src=source, alt=picture.words, width=width, height=height)


def bytes_of(figure: Figure, form: str) -> bytes:
    """A figure as the file of a form: `png` or `svg`."""
    buffer = io.BytesIO()
    with as_text():
        figure.savefig(
            buffer, format=form, dpi=200, facecolor="white", metadata={"Date": None} if form == "svg" else {}
        )
    return buffer.getvalue()


def _table(table: Table) -> Element:
    shades = [*table.shades, *[()] * (len(table.rows) - len(table.shades))]
    rows = [_row(row, own) for row, own in zip(table.rows, shades, strict=True)]
    sides = [
        {"class": "figure"} if all(map(FIGURE.fullmatch, column)) else {} for column in zip(*table.rows, strict=True)
    ]
    heads = zip(table.head, sides or [{}] * len(table.head), strict=True)
    head = tag("thead", tag("tr", *(tag("th", text, scope="col", **side) for text, side in heads)))
    whole = tag("table", head, tag("tbody", *rows))
    if not table.folded:
        whole.insert(0, tag("caption", table.title))
    region = tag("div", whole, role="region", tabindex="0", **{"aria-label": table.title, "class": "wide"})
    return tag("details", tag("summary", table.title), region) if table.folded else region


def _row(row: Sequence[str], shades: Sequence[float]) -> Element:
    """A row, whose first cell names it."""
    first, *others = row
    cells = [tag("th", first, scope="row")]
    for text, shade in zip(others, [*shades, *[0.0] * (len(others) - len(shades))], strict=True):
        attributes = {"class": "figure"} if FIGURE.fullmatch(text) else {}
        if shade > 0:
            attributes["style"] = f"background: rgb(0 114 178 / {min(shade, 1) * 0.55:.2f})"
        cells.append(tag("td", text, **attributes))
    return tag("tr", *cells)
