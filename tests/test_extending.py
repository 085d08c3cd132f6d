"""docs/extending.md adds a component; here it is added as the page says, to a copy of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
USED = """
import torch
from engine.models.forward import Features
from engine.objective.equation import Objective
from engine.pipeline.pipeline import component_kinds
from engine.pipeline.read import load_pipeline
from autodistill import Huber
from autodistill.recommend.space import pipelines

assert "huber" in component_kinds()["intermediate"]
pipeline = load_pipeline("vanilla_kd", ["intermediate.kind=huber", "mapping.kind=skip"])
assert load_pipeline(pipeline.model_dump()) == pipeline
assert pipeline.intermediate == Huber()
sizes = dict(student_layers=1, student_width=3, teacher_layers=2, teacher_width=3)
objective = Objective(pipeline, "classification", **sizes)
mask = torch.tensor([[True, True, False]])
apart = torch.tensor([[[0.5, 3.0, 0.0], [0.0, -0.1, 1.0], [9.0, 9.0, 9.0]]])
student = Features(torch.zeros(1, 2), {1: apart}, mask)
teacher = Features(torch.zeros(1, 2), {2: torch.zeros(1, 3, 3)}, mask)
value = objective(student, teacher, torch.zeros(1), {"examples": 1})["intermediate"]
naive = [d * d / 2 if abs(d) <= 1 else abs(d) - 0.5 for d in apart[0, :2].flatten().tolist()]
torch.testing.assert_close(value, torch.tensor(sum(naive) / len(naive)))
assert any(found.intermediate.kind == "huber" for found in pipelines("classification"))
print("added")
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with what the page's blocks of code say."""
    copy = tmp_path_factory.mktemp("extended")
    for package in ("engine", "autodistill", "meta_data", "tests"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    spec, union, function, reference = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    components, hidden = copy / "engine/pipeline/components.py", copy / "engine/objective/hidden.py"
    _put(components, spec, before=r"^class MIAlpha")
    _put(components, union, instead=r"^Hidden = .*?\n")
    loss, registry = re.split(r"(?=^HIDDEN)", function, flags=re.MULTILINE)
    _put(hidden, loss, before=r"^HiddenLoss = ")
    _put(hidden, registry, instead=r"^HIDDEN: .*?\n(?=\"\"\")")
    _put(copy / "tests/reference/objectives.py", reference, instead=r"^TOKEN_LOSS = .*?\n(?=\n)")
    return copy


def _put(file: Path, code: str, before: str = "", instead: str = "") -> None:
    text = file.read_text("utf-8")
    (match,) = re.finditer(before or instead, text, flags=re.MULTILINE | re.DOTALL)
    end = match.start() if before else match.end()
    gap = "\n\n" if before else ""
    file.write_text(text[: match.start()] + code + gap + text[end:], "utf-8")


def test_a_component_is_added_as_the_page_says(extended: Path) -> None:
    done = subprocess.run([sys.executable, "-c", USED], cwd=extended, capture_output=True, text=True)
    assert done.stdout.strip() == "added", done.stderr


def test_it_is_tested_like_the_others(extended: Path) -> None:
    about = ["tests/engine/objective/test_hidden.py", "tests/autodistill/test_init.py"]
    about += ["tests/autodistill/recommend/test_space.py", "autodistill/recommend/space.py", "engine/pipeline"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *about]
    done = subprocess.run(command, cwd=extended, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_takes_two_files_and_a_test(extended: Path) -> None:
    files = {file.relative_to(extended) for file in extended.rglob("*.py")}
    changed = {file.as_posix() for file in files if (extended / file).read_bytes() != (ROOT / file).read_bytes()}
    sources = {"engine/pipeline/components.py", "engine/objective/hidden.py"}
    assert changed == {*sources, "tests/reference/objectives.py"}


def test_the_page_names_files_that_are_there() -> None:
    named = re.findall(r"`((?:engine|autodistill|tests)/[\w/.]+)`", PAGE)
    assert len(named) > 10
    assert not [path for path in named if not (ROOT / path).exists()]
