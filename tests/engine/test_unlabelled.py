"""Runs with a pool: the teacher labels further texts, and the student learns from both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import Pipeline, distill
from engine.augment.mixup import draw
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.base.options import FineTuning, RunOptions
from engine.data.load import with_pool
from engine.data.task import KINDS, Task
from engine.models.start import begin
from engine.pipeline.augmentation import Mixup
from engine.run.plan import RunPlan, plan_run
from engine.run.prepare import objective_for, online_data
from engine.run.result import RunResult
from engine.run.teacher import prepare_teacher
from engine.training.batches import TrainingData
from tests.engine.conftest import options_with
from tests.engine.runs import RUNS, TRAINING, Finished, assert_same_end, small
from tests.toys import ROWS, toy_task

LABELLED, POOL = 24, 40
BRIEF = FineTuning(epochs=1, learning_rate=1e-3)
MODELS = ("scratch:layers=2,hidden=16,heads=2", "layers:1")


@pytest.fixture(name="own", scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> RunOptions:
    """A cache that no other module's runs are counted by."""
    return options_with(tmp_path_factory.mktemp("own"))


def pooled(name: str = "single", rows: int = LABELLED, pool: int = POOL, held_out: int = 16) -> Task:
    """A toy task of which some training rows have lost their labels."""
    whole = toy_task(name, rows + pool, held_out)
    task = replace(whole, train=whole.train.select(range(rows)), fingerprint="")
    columns = [field for field in ("id", *KINDS[task.kind].fields) if field in whole.train.column_names]
    texts = whole.train.select(range(rows, rows + pool)).select_columns(columns)
    return with_pool(task, texts.with_format("arrow")[:])


def brief(parts: dict[str, Any]) -> Pipeline:
    return Pipeline.model_validate({"weights": {"hard_label": 0.5}, **parts, "training": TRAINING | {"epochs": 2}})


def data_of(task: Task, parts: dict[str, Any], machine: Machine) -> tuple[RunPlan, TrainingData]:
    """The training examples of a run, with the teacher along."""
    plan = plan_run(task, brief(parts), *MODELS, fine_tuning=BRIEF)
    teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    student = begin(plan.student, task, 0, machine, teacher.as_model)
    return plan, online_data(plan, teacher, student, objective_for(plan, teacher, student[0]), machine)


@pytest.mark.parametrize("name", ROWS)
def test_every_kind_of_task_learns_from_both(name: str, own: RunOptions, tmp_path: Path, ear: Any) -> None:
    task, (student, components) = pooled(name), RUNS[name]
    same = {"student": student, "pipeline": brief(components), "options": own}
    alone = small(data=task.labelled, out=tmp_path / "alone", **same)
    result = small(data=task, out=tmp_path / "both", reporter=ear, **same)
    assert result.teacher_score == alone.teacher_score
    assert "teacher" not in ear.worked  # that of the labelled rows is known
    assert (result.train_examples, result.unlabelled_examples) == (LABELLED, POOL)
    assert result.teacher_examples == ear.worked["teacher signals"] == LABELLED + POOL
    assert ear.worked["student"] == 2 * (LABELLED + POOL) // 8
    assert len({result.identity, alone.identity, result.dataset_fingerprint, alone.dataset_fingerprint}) == 4
    assert f"Training rows: {LABELLED}, and {POOL} without labels;" in (tmp_path / "both" / "README.md").read_text()


def test_what_no_label_tells_the_teacher_does(
    finished: Callable[[str], Finished], options: RunOptions, tmp_path: Path
) -> None:
    """Of 24 labels a student learns hardly anything, of a teacher's answers to 168 further texts it learns the task."""
    teacher = finished("single").folder
    task = pooled(rows=24, pool=168, held_out=64)
    student, pipeline = "scratch:layers=2,hidden=48,heads=2", {"training": TRAINING | {"epochs": 12}}
    alone, both = (
        distill(each, teacher=str(teacher), student=student, pipeline=pipeline, out=out, options=options)
        for each, out in ((task.labelled, tmp_path / "alone"), (task, tmp_path / "both"))
    )
    assert alone.student_score < 0.6 < 0.75 < both.student_score


@pytest.mark.parametrize("augmentation", ["contextual", "random+mixup"])
@pytest.mark.parametrize("name", ROWS)
def test_every_augmentation(name: str, augmentation: str, own: RunOptions, tmp_path: Path) -> None:
    parts = {"augmentation": augmentation, "weights": {}, "prediction": {"kind": "mse"}}
    first, again = (
        small(data=pooled(name), out=tmp_path / out, pipeline=brief(parts), options=own) for out in ("one", "two")
    )
    assert first.status == again.status == "ok"
    assert again.teacher_examples == 0  # what was made for the first is read
    files = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ROWS)
def test_a_mixed_example_has_a_label_where_both_partners_have(name: str, machine: Machine) -> None:
    _, data = data_of(pooled(name), {"augmentation": "mixup", "prediction": {"kind": "mse"}, "weights": {}}, machine)
    ids = np.arange(LABELLED - 8, LABELLED + 8)
    assert data.augmenter is not None
    partners, _ = draw(Mixup(), len(ids), np.random.default_rng(0))
    made = data.augmenter.batch(ids, np.random.default_rng(0))
    assert made.labelled is not None
    expected = (ids < LABELLED) & (ids[partners] < LABELLED)
    assert made.labelled.tolist() == expected.tolist()
    assert 0 < expected.sum() < 8


@pytest.mark.parametrize("name", ROWS)
def test_no_target_of_the_pool_is_read(name: str, machine: Machine) -> None:
    plan, data = data_of(pooled(name), {"prediction": {"kind": "mse"}}, machine)
    ids = np.arange(LABELLED - 4, LABELLED + 4)
    batch = data.batch(ids, {"examples": 8.0, "tokens": 8.0})
    assert batch.labelled is not None
    assert batch.labelled.tolist() == [True] * 4 + [False] * 4
    other = batch.labels.clone()
    other[4:] = torch.where(other[4:] == -100, other[4:], 1)
    teacher = prepare_teacher(plan.teacher, plan.task, plan.pipeline.training, machine)
    student = begin(plan.student, plan.task, 0, machine, teacher.as_model)
    objective = objective_for(plan, teacher, student[0])
    features = data.view(batch)
    terms = [
        objective(features, features, labels, batch.totals, labelled=batch.labelled) for labels in (batch.labels, other)
    ]
    assert terms[0] == terms[1]
    assert terms[0]["hard_label"] > 0
    assert objective(features, features, other, batch.totals)["hard_label"] != terms[0]["hard_label"]


TEAMS: dict[str, dict[str, Any]] = {
    "average": {},
    "weighted": {},
    "assistants": {},
    "stochastic": {},
    "autoskd": {"dropped": 1, "candidates": 2},
}


@pytest.mark.parametrize("kind", TEAMS)
def test_every_team(kind: str, own: RunOptions, tmp_path: Path) -> None:
    team = {"kind": kind, "members": ["layers:1", "scratch:layers=1,hidden=16,heads=1"], **TEAMS[kind]}
    result = small(data=pooled("tagging"), out=tmp_path, pipeline=brief({"team": team}), options=own)
    assert (result.status, result.unlabelled_examples) == ("ok", POOL)


def test_a_run_that_is_stopped_goes_on(options: RunOptions, tmp_path: Path, ear: Any) -> None:
    """In its signals, in its first epoch, and after a pause; it ends as one that was not."""
    task, pipeline = pooled(), brief({"intermediate": {"kind": "mse"}, "augmentation": "random"})

    class Stopped(Exception):
        pass

    def stops(stage: str, count: int) -> Any:
        class Stopping(type(ear)):  # type: ignore[misc]
            def advance(self, name: str, units: int = 1, note: str = "") -> None:
                super().advance(name, units, note)
                if name == stage and self.advanced[name] >= count:
                    raise Stopped

        return Stopping()

    often = options.model_copy(update={"checkpoint_seconds": 0})
    for stage, count in (("teacher signals", 32), ("student", 3), ("student", 3)):
        with pytest.raises(Stopped):
            small(data=task, out=tmp_path / "stopped", pipeline=pipeline, options=often, reporter=stops(stage, count))
    paused = small(data=task, out=tmp_path / "stopped", pipeline=pipeline, options=often, until_epoch=1)
    assert (paused.status, paused.unlabelled_examples) == ("pruned", POOL)
    small(data=task, out=tmp_path / "stopped", pipeline=pipeline, options=often)
    other = options.model_copy(update={"cache_dir": str(tmp_path / "other")})
    small(data=task, out=tmp_path / "whole", pipeline=pipeline, options=other)
    assert_same_end(tmp_path / "stopped", tmp_path / "whole")


def test_the_student_alone_learns_from_labels_for_as_many_steps(own: RunOptions, tmp_path: Path, ear: Any) -> None:
    task = pooled(rows=24, pool=48)
    small(data=task, out=tmp_path, pipeline=brief({}), options=own, student_alone=True, reporter=ear)
    assert ear.worked["student alone"] == ear.worked["student"] == 2 * 72 // 8


def test_a_pipeline_that_learns_from_labels_alone_is_refused(options: RunOptions, tmp_path: Path) -> None:
    pipeline = brief({"weights": {"prediction": 0.0, "hard_label": 1.0}})
    with pytest.raises(InputError, match="--unlabelled: this pipeline learns from labels alone"):
        small(data=pooled(), out=tmp_path, pipeline=pipeline, options=options)
    assert small(data=pooled().labelled, out=tmp_path, pipeline=pipeline, options=options).unlabelled_examples == 0


def test_records_of_before_have_no_such_texts(finished: Callable[[str], Finished]) -> None:
    record = finished("single").result.model_dump(exclude={"unlabelled_examples"})
    assert RunResult.model_validate(record).unlabelled_examples == 0
