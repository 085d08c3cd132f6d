"""The document: its structure, what is escaped, and that nothing is fetched; in a browser, too."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from autodistill.report.page import Page, Picture, Section, Table
from tests.autodistill.report.browser import BROWSER, seen

EVIL = "</script><script>alert(1)</script><img src='http://127.0.0.1:9/x' onerror=alert(1)>&amp;\"]]>"


def a_page(name: str = "a & b") -> Page:
    figure = Figure(figsize=(4, 3), layout="constrained")
    figure.subplots().set_title(name, parse_math=False)
    table = Table(f"title {name}", [name, "score", "words"], [[name, "−0.500", name], ["b", "–", "w"]], [[1.0]])
    folded = Table("folded", ["a", "b"], [["x", "12 (34)"]], folded=True)
    section = Section([name], [Picture("one", figure, name)], [table, folded])
    return Page(name, [name], [name], {"key": (name, section), "none": ("Empty", name)})


class Tags(HTMLParser):
    """All elements of a page, its texts, and whether each was closed in its turn."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_has_its_parts_in_their_order() -> None:
    page = Tags(a_page().html())
    assert page.named("html") == [{"lang": "en"}]
    assert [each["id"] for each in page.named("section")] == ["key", "none"]
    assert [each["href"] for each in page.named("a")] == ["#key", "#none"]
    assert len(page.named("h1")) == 1
    assert len(page.named("h2")) == 2
    assert "Left out: a & b." in page.texts
    (image,) = page.named("img")
    assert image["alt"] == "a & b"
    assert (image["width"], image["height"]) == ("384", "288")
    assert str(image["src"]).startswith("data:image/svg+xml;base64,")
    assert len(page.named("details")) == 2, "the notes, and the folded table"
    assert [each.get("scope") for each in page.named("th")].count("row") == 3


def test_figures_stand_to_the_right_and_cells_are_shaded() -> None:
    cells = Tags(a_page().html()).named("td")
    assert cells[0] == {"class": "figure", "style": "background: rgb(0 114 178 / 0.55)"}
    assert cells[1] == {}
    assert [each.get("class") for each in cells[2:]] == ["figure", None, "figure"]


def test_whatever_a_name_holds_is_text() -> None:
    page = Tags(a_page(EVIL).html())
    assert not page.named("script")
    assert len(page.named("img")) == 1
    assert not [tag for tag, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert page.texts.count(EVIL) == 10


def test_nothing_in_it_leads_outside() -> None:
    text = a_page().html()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.split("base64,")[0] + text.split("base64,")[-1][-2000:])
    (policy,) = [each["content"] for each in Tags(text).named("meta") if "http-equiv" in each]
    assert str(policy).startswith("default-src 'none'")


def test_figures_are_files_too(tmp_path: Path) -> None:
    files = a_page().draw(tmp_path / "new" / "folder")
    assert [path.name for path in files] == ["one.png", "one.svg"]
    assert matplotlib.image.imread(files[0]).shape[:2] == (600, 800)
    assert files[1].read_text("utf-8").count("<svg") == 1
    before = files[1].read_bytes()
    assert a_page().draw(tmp_path / "again")[1].read_bytes() == before, "equal figures, equal files"


in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")


@in_a_browser
@pytest.mark.slow
def test_the_browser_that_watches_sees_an_error_and_a_request(tmp_path: Path) -> None:
    """What the next test trusts in: without the policy the same page is caught."""
    bad = "<html><body><main><script>console.error('boom')</script><img src='http://127.0.0.1:9/x.png'></main></body></html>"
    found = seen(bad, 390, tmp_path)
    assert any("boom" in line for line in found.console)
    assert found.hosts == {"127.0.0.1"}
    assert found.measured["drawn"] == 0


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_it_without_an_error_or_a_request(tmp_path: Path, width: int) -> None:
    found = seen(a_page(EVIL).html(), width, tmp_path)
    assert found.console == []
    assert found.hosts == set()
    assert found.measured["width"] == found.measured["scroll"] == width
    assert found.measured["beyond"] == []
    assert found.measured["drawn"] == found.measured["images"] == 1
    assert EVIL in str(found.measured["text"])


def test_a_notebook_shows_it_in_a_frame() -> None:
    """Nothing of the page is a part of the notebook, and nothing of it may run."""
    page = a_page(EVIL)
    ((tag, attributes),) = Tags(page._repr_html_()).tags
    assert tag == "iframe"
    assert attributes["srcdoc"] == page.html()
    assert attributes["sandbox"] is None  # nothing is allowed
