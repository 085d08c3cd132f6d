"""Whole runs whose students learn from attention, from embeddings, and from layers that were named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import Pipeline, distill
from engine.base.options import RunOptions
from engine.pipeline.presets import PRESETS
from engine.run.result import RunResult
from tests.engine.conftest import options_with
from tests.engine.runs import LEARNED, TEACHER, TRAINING, TUNING
from tests.toys import toy_task

TINYBERT = {name: getattr(PRESETS["tinybert"].pipeline, name).model_dump() for name in ("intermediate", "mapping")}
MINILM = {name: getattr(PRESETS["minilm"].pipeline, name).model_dump() for name in ("intermediate", "mapping")}
NAMED = {"intermediate": {"kind": "mse"}, "mapping": {"kind": "manual", "pairs": {"0": 0, "1": 2}, "weights": [0.5, 1]}}
ALL_MAPS = {"intermediate": {"kind": "attention"}, "mapping": {"kind": "emd"}}
STUDENT = "scratch:layers=2,hidden=48,heads=3"  # of another width, with other heads than its teacher


@pytest.fixture(name="warm", scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> RunOptions:
    """A cache that no other module's runs are counted by."""
    return options_with(tmp_path_factory.mktemp("own"))


def run(
    name: str, parts: dict[str, Any], out: Path, options: RunOptions, student: str = STUDENT, **more: Any
) -> RunResult:
    pipeline = Pipeline.model_validate({**parts, "training": TRAINING | {"learning_rate": 3e-3}})
    how = {"pipeline": pipeline, "out": out, "fine_tuning": TUNING, "options": options}
    return distill(toy_task(name), teacher=TEACHER, student=student, **{**how, **more})


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("single", TINYBERT),
        ("single", MINILM),
        ("single", NAMED),
        ("single", ALL_MAPS),
        ("tagging", TINYBERT),
        ("question_answering", MINILM),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else f"{value['intermediate']['kind']}-{value['mapping']['kind']}"
    ),
)
def test_the_student_learns_and_comes_nearer(
    name: str, parts: dict[str, Any], warm: RunOptions, tmp_path: Path, ear: Any
) -> None:
    result = run(name, parts, tmp_path / "run", warm, reporter=ear)
    assert result.student_score > LEARNED[name]
    assert result.signals == "cached"
    losses = [epoch["loss"]["intermediate"] for epoch in result.history]
    assert losses[-1] < losses[0]
    unequal = "3 attention heads of the student and 2 of the teacher are compared as 1 map of mean scores."
    notes = [unequal] if parts["intermediate"]["kind"] == "attention" else []
    assert result.warnings == notes
    assert [text for text in ear.messages if "attention" in text] == [f"student: {each}" for each in notes]


def test_students_share_what_the_teacher_said_of_its_attention(options: RunOptions, tmp_path: Path) -> None:
    """And where it runs along, a student learns nearly the same."""
    first = run("single", TINYBERT, tmp_path / "first", options)
    again = run("single", TINYBERT, tmp_path / "again", options)
    other = run("single", TINYBERT, tmp_path / "other", options, student="layers:1")
    online = run("single", TINYBERT, tmp_path / "online", options.model_copy(update={"signals": "online"}))
    assert first.teacher_examples == len(toy_task("single").train)
    assert (again.teacher_examples, online.signals) == (0, "online")
    assert again.history == first.history
    assert other.teacher_examples in (0, first.teacher_examples)  # of layer 2 of 2 for layer 1 of 1 all is there
    for one, two in zip(first.history, online.history, strict=True):
        assert one["loss"]["intermediate"] == pytest.approx(two["loss"]["intermediate"], rel=0.05)
