"""The examples of docs/data.md are read as the page says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from engine.data.benchmarks import BENCHMARKS, NAMES
from engine.data.load import load_task
from engine.data.metrics import fitting_metrics
from engine.data.task import TaskKind
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "data.md").read_text("utf-8")
FILES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
EXPECTED = {
    "reviews.csv": ("classification", ("bad", "good"), False, "accuracy"),
    "pairs.jsonl": ("classification", ("contradiction", "entailment"), True, "accuracy"),
    "similarity.tsv": ("regression", (), True, "spearman"),
    "names.jsonl": ("tagging", ("B-person", "B-place", "I-person", "O"), False, "seqeval_f1"),
    "moods.jsonl": ("multi_label", ("joy", "love", "relief"), False, "f1_micro"),
    "columns": ("multi_label", ("joy", "love", "relief"), False, "f1_micro"),
    "questions.json": ("question_answering", (), False, "squad_f1"),
    "spam": ("classification", ("ham", "spam"), False, "f1"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_example_is_looked_at() -> None:
    assert {name.split("/")[0] for name in FILES} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example_files(name: str, folder: Path) -> None:
    task = load_task(folder / name, label="joy,love,relief" if name == "columns" else None)
    assert (task.kind, task.labels, task.pair, task.metric) == EXPECTED[name]


def test_python_example() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest(block, {}, "docs/data.md", None, 0)
    results = doctest.DocTestRunner().run(example)
    assert results.attempted >= 5
    assert results.failed == 0


@pytest.mark.parametrize("alias", [name for name in NAMES if name == "squad" or name.startswith("glue/")])
def test_the_table_names_every_benchmark(alias: str) -> None:
    section = PAGE.split("\n## Benchmarks\n")[1]
    (row,) = [line for line in section.splitlines() if line.startswith("|") and f"`{alias}`" in line]
    assert f"`{BENCHMARKS[NAMES[alias]].metric}`" in row


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("classification", ("a", "b")),
        ("classification", ("a", "b", "c")),
        ("regression", ()),
        ("tagging", ("B-x", "O")),
        ("tagging", ("X", "Y")),
        ("question_answering", ()),
    ],
)
def test_the_table_names_every_metric(kind: TaskKind, labels: tuple[str, ...]) -> None:
    section = PAGE.split("\n### Metrics\n")[1].split("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith(f"| {kind.replace('_', ' ')}")]
    names = [tuple(re.findall(r"`(\w+)`", row)) for row in rows]
    fitting = fitting_metrics(kind, labels)
    assert any(row[: len(fitting)] == fitting for row in names)
