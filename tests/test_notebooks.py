"""The notebooks of examples/ run from top to bottom in a kernel, without anything but `import autodistill`."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def cells_of(file: Path) -> list[Any]:
    return [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert [file.stem for file in NOTEBOOKS] == ["comparing", "quickstart"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_one_import_is_all_and_no_output_is_kept(file: Path) -> None:
    cells = cells_of(file)
    assert cells[0].source == "import autodistill"
    trees = [ast.parse(cell.source) for cell in cells[1:]]
    assert not [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert all(cell.execution_count is None and cell.outputs == [] for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file: Path, readers_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a reader sees it: bars while it works, tables, a page; no warning of any library."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AUTODISTILLER_CACHE", str(readers_cache))
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [each for cell in notebook.cells if cell.cell_type == "code" for each in cell.outputs]
    assert [each.text for each in outputs if each.output_type == "stream" and each.name == "stderr"] == []
    shown = [(each.output_type, each.data.get("text/html", "")) for each in outputs if "data" in each]
    pages = [page for _, page in shown]
    progress = [page for kind, page in shown if kind == "display_data"]
    assert any(re.search(r"student: epoch \d+ of \d+", page) for page in progress)
    assert sum("<progress" in page for page in pages) == 0  # every stage is over
    assert sum(page.startswith("<iframe") for page in pages) == 1
    assert any("accuracy" in page and "<table>" in page for page in pages)
    assert (tmp_path / "runs").is_dir()
