"""The documentation as a site: every page, link and formula of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import autodistill

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("mkdocs", reason="mkdocs is not installed")


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does; a link or an anchor that leads nowhere fails here."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def pages(site: Path) -> dict[str, str]:
    return {str(page.relative_to(site)): page.read_text("utf-8") for page in site.rglob("*.html")}


@pytest.mark.slow
def test_every_page_is_in_the_menu(site: Path) -> None:
    menu = pages(site)["index.html"]
    for page in [*(ROOT / "docs").rglob("*.md"), Path("meta_data.md"), Path("measurements.md")]:
        name = page.relative_to(ROOT / "docs") if page.is_absolute() else page
        assert f'href="{name.with_suffix(".html")}"' in menu.replace("index.html", "README.html"), name


@pytest.mark.slow
def test_the_reference_has_every_public_name_with_its_docstring(site: Path) -> None:
    reference = pages(site)["python.html"]
    for name in autodistill.__all__:
        assert re.search(rf'<h3 id="[\w.]+\.{name}"', reference), name
    assert "Recommends pipelines for a dataset from past runs" in reference
    assert "&gt;&gt;&gt;" in reference  # an example is code, not a quotation
    assert "<blockquote>" not in reference


@pytest.mark.slow
def test_formulas_are_drawn_and_nothing_is_fetched(site: Path) -> None:
    found = pages(site)
    assert "<math" in found["methods/mi_alpha.html"]
    for name, page in found.items():
        assert "arithmatex" not in page, name
        assert not re.search(r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//', page), name
        assert not re.search(r'<link[^>]* rel="stylesheet"[^>]* href="(?:https?:)?//', page), name
