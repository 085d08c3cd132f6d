"""A model is read once for all runs that are planned together, and anew for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.models.names import parse_model
from engine.models.start import KnownModels, start_of
from engine.pipeline.pipeline import Pipeline
from engine.run.plan import plan_run
from tests.toys import save_tiny, toy_task

STUDENTS = ("layers:1", "lstm", "static", "scratch:layers=1,hidden=8,heads=1")


def test_it_is_what_it_would_be_alone(tmp_path: Path) -> None:
    save_tiny(tmp_path, toy_task("single"))
    name, known_models = str(tmp_path), KnownModels()
    whole = known_models.start_of(name, "teacher")
    assert known_models.start_of(name, "teacher") is whole
    assert whole.identity == start_of(name, "teacher").identity
    for student in STUDENTS:
        named = parse_model(student, "student")
        start = known_models.start_of(named, "student", whole)
        assert known_models.start_of(named, "student", whole) is start
        assert (start.identity, start.role) == (start_of(named, "student", whole).identity, "student")
    assert known_models.start_of(name, "student") is not whole


def test_of_two_teachers_each_has_its_layers(tmp_path: Path) -> None:
    known_models, named = KnownModels(), parse_model("layers:1", "student")
    teachers = [parse_model(f"scratch:layers=2,hidden={hidden},heads=2", "teacher") for hidden in (8, 16)]
    widths = [
        known_models.start_of(named, "student", known_models.start_of(each, "teacher")).width for each in teachers
    ]
    assert widths == [8, 16]


def test_plans_that_are_made_together_read_a_folder_once(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", toy_task("single"))
    name, known_models, tasks = (
        str(tmp_path / "model"),
        KnownModels(),
        [toy_task("single", rows=rows) for rows in (20, 30)],
    )
    alone = [plan_run(task, Pipeline(), name, "layers:1").identity for task in tasks]
    together = [plan_run(tasks[0], Pipeline(), name, "layers:1", known_models=known_models)]
    (tmp_path / "model" / "tokenizer.json").unlink(missing_ok=True)
    together.append(plan_run(tasks[1], Pipeline(), name, "layers:1", known_models=known_models))
    assert [plan.identity for plan in together] == alone
    with pytest.raises(InputError):
        plan_run(tasks[1], Pipeline(), name, "layers:1")
