"""The rules of docs/architecture.md: who may import whom, how large things get, and who prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "autodistill", "meta_data")
MAY_IMPORT = {
    "engine": set(),
    "meta_data": set(),
    "autodistill": {"engine", "meta_data"},
    "cli": {"engine", "autodistill", "meta_data"},
}
WITHOUT_TORCH = (
    *("base.errors", "base.options", "base.progress", "models.names", "run.result"),
    *("pipeline", "pipeline.presets", "pipeline.read"),
)
SHOWS = {"cli", "autodistill.commands.options", "autodistill.commands.console", "autodistill.commands.look"}
FILE_LINES, FUNCTION_LINES = 350, 40
LONGER = {"engine.training.loop.train": 80}


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    files = [
        ROOT / "cli.py",
        *(file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))),
    ]
    dotted = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in dotted.items()}


MODULES = modules()
TREES = {name: ast.parse(file.read_text("utf-8")) for name, file in MODULES.items()}


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a tree imports; of ours, the module and not a name inside it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)


def test_all_packages_are_looked_at() -> None:
    assert {name.split(".")[0] for name in MODULES} == {"cli", *PACKAGES}


@pytest.mark.parametrize("module", MODULES)
def test_directions_between_packages(module: str) -> None:
    package = module.split(".")[0]
    ours = {name.split(".")[0] for name in imported(TREES[module])} & {"cli", "tests", *PACKAGES}
    assert ours <= MAY_IMPORT[package] | {package}


def test_no_import_cycles() -> None:
    graph = {name: set(imported(tree)) & MODULES.keys() - {name} for name, tree in TREES.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_the_light_modules_import_neither_torch_nor_transformers(module: str) -> None:
    code = f"import sys, engine.{module}; print(*{{'torch', 'transformers'}} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not found.stdout.split()


@pytest.mark.parametrize("module", MODULES)
def test_only_the_console_prints(module: str) -> None:
    if module in SHOWS:
        return
    calls = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert not {"rich", "typer"} & {name.split(".")[0] for name in imported(TREES[module])}


@pytest.mark.parametrize("module", MODULES)
def test_sizes(module: str) -> None:
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= FILE_LINES
    long = {}
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :] or node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1
            if lines > LONGER.get(f"{module}.{node.name}", FUNCTION_LINES):
                long[node.name] = lines
    assert not long
