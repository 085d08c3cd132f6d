"""Runs whose teacher is a language model that is asked in words: nothing of it is trained, and its answers teach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from engine import Pipeline, distill
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.data.load import with_pool
from engine.data.task import Task
from engine.run.plan import plan_run
from engine.run.result import RunResult
from tests.engine.conftest import Ear
from tests.engine.runs import TRAINING
from tests.toys import save_causal, save_tiny, toy_task

STUDENT = "scratch:layers=1,hidden=16,heads=1"
ASKED = FineTuning(prompt="Text: {text}\nIt is")
PIPELINE = {"training": TRAINING | {"epochs": 2, "max_length": 32}}


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    save_causal(folder)
    return folder


@pytest.fixture
def run(causal: Path, options: RunOptions, tmp_path: Path) -> Callable[..., RunResult]:
    """A run on few rows."""

    def started(task: Task | None = None, out: str = "run", student: str = STUDENT, **more: Any) -> RunResult:
        given: dict[str, Any] = {"pipeline": PIPELINE, "fine_tuning": ASKED, "options": options, **more}
        task = task or toy_task("single", rows=48, held_out=16)
        return distill(task, teacher=str(causal), student=student, out=tmp_path / out, **given)

    return started


@pytest.mark.parametrize("student", [STUDENT, "lstm", "static"])
def test_students_learn_what_it_says(student: str, run: Callable[..., RunResult], tmp_path: Path, ear: Ear) -> None:
    training = TRAINING | {"epochs": 12, "max_length": 32}
    result = run(student=student, pipeline={"training": training}, reporter=ear)
    assert result.status == "ok"
    assert result.agreement is not None
    assert result.agreement > 0.5
    assert result.scores["teacher"]
    assert ear.worked.keys() <= {"teacher signals", "student", "token vectors", "linear"}
    assert next(m for m in ear.messages if "it is asked" in m).startswith("teacher: it is asked 'Text: {text}\\nIt is'")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert "Text" not in tokenizer.decode(tokenizer("great").input_ids)  # the student has no prompt
    if student == STUDENT:
        assert len(tokenizer) < 400  # its vocabulary is the task's, and not the language model's
        assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").num_labels == 3


def test_two_texts(run: Callable[..., RunResult]) -> None:
    asked = FineTuning(prompt="A: {text} B: {text_pair}\nIt is", label_words={"good": "fine"})
    assert run(toy_task("pair", rows=32, held_out=16), fine_tuning=asked).status == "ok"


def test_its_signals_are_kept(run: Callable[..., RunResult], ear: Ear) -> None:
    run()
    run(out="again", seed=1, reporter=ear)
    assert "teacher signals" not in ear.worked
    assert any("teacher: known on this dataset" in message for message in ear.messages)


def test_signals_that_are_kept_are_those_of_a_teacher_that_runs_along(run: Callable[..., RunResult], options) -> None:
    online = run(out="online", options=options.model_copy(update={"signals": "online"}))
    assert run().scores == online.scores


def test_augmented_texts_are_asked_about_too(run: Callable[..., RunResult]) -> None:
    pipeline = PIPELINE | {"augmentation": {"operators": ["random"]}}
    assert run(pipeline=pipeline).status == "ok"


def test_texts_without_labels_are_asked_about_too(run: Callable[..., RunResult], ear: Ear) -> None:
    pool = toy_task("single", rows=24, held_out=8, seed=5).train.select_columns(["text"])
    task = with_pool(toy_task("single", rows=32, held_out=16), pool.with_format("arrow")[:])
    assert run(task, reporter=ear).status == "ok"
    assert ear.worked["teacher signals"] == 32 + 24


def test_without_a_pipeline_answers_alone_are_compared(run: Callable[..., RunResult]) -> None:
    result = run(pipeline=None, fine_tuning=FineTuning(prompt="{text} is"), until_epoch=1)
    assert result.pipeline["intermediate"]["kind"] == "none"


def test_the_student_alone_and_a_team(run: Callable[..., RunResult], causal: Path, tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny", toy_task("single", rows=8, held_out=8))
    team = {"team": {"kind": "average", "members": [str(tmp_path / "tiny")]}}
    result = run(student="lstm", pipeline=PIPELINE | team, student_alone=True)
    assert result.scores["student_alone"]
    assert result.team
    assert len(result.team.teachers) == 2


SINGLE = toy_task("single", rows=8, held_out=8)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pipeline": {"intermediate": {"kind": "mse"}, "mapping": {"kind": "skip"}}}, "--pipeline vanilla_kd learns"),
        ({"pipeline": {"augmentation": {"operators": ["mixup"]}}}, "mixed texts cannot stand in a prompt"),
        ({"pipeline": {"team": {"kind": "assistants", "members": ["scratch:layers=1,hidden=16"]}}}, "is not trained"),
        ({"student": "layers:1"}, "its layers would have to learn the task without a head"),
        ({"fine_tuning": FineTuning(when="always", prompt="{text} is")}, "a model that is asked in words is not"),
        ({"task": toy_task("regression", rows=8, held_out=8)}, "only classification has some"),
        ({"teacher": "scratch:layers=1,hidden=16"}, "saved as a causal language model, and this one was not"),
    ],
)
def test_what_it_cannot_teach(changes: dict[str, Any], says: str, causal: Path) -> None:
    given: dict[str, Any] = {"task": SINGLE, "teacher": str(causal), "student": STUDENT, "fine_tuning": ASKED}
    given |= {"pipeline": {}} | changes
    pipeline = Pipeline.model_validate(given.pop("pipeline"))
    with pytest.raises(InputError) as error:
        plan_run(given.pop("task"), pipeline, given.pop("teacher"), given.pop("student"), **given)
    assert says in str(error.value)
    assert len(error.value.problems) == 1


def test_never_asks_and_auto_fine_tunes(causal: Path) -> None:
    def plan(**how: Any) -> Any:
        return plan_run(
            SINGLE, Pipeline.model_validate(PIPELINE), str(causal), STUDENT, fine_tuning=FineTuning(**how)
        ).teacher

    auto, never = plan(), plan(when="never", prompt="{text} is", label_words="good=great")
    assert auto.fine_tune
    assert auto.start.question is None
    assert not never.fine_tune
    assert never.start.question.words == ("bad", "dull", "great")
    assert never.tuned == ""


@pytest.mark.shared
def test_a_real_language_model(shared: Path, options: RunOptions, tmp_path: Path) -> None:
    result = distill(
        shared / "datasets" / "sst2",
        teacher=shared / "models" / "stories260K",
        student="static",
        pipeline=PIPELINE,
        fine_tuning=FineTuning(prompt=r"The movie is {text}\nThe child was", label_words="negative=sad,positive=happy"),
        out=tmp_path / "run",
        options=options,
        max_train=64,
        max_validation=400,
    )
    assert result.scores["teacher"]["validation"]["accuracy"] > 0.53


def test_it_is_asked_about_whole_texts(run: Callable[..., RunResult]) -> None:
    training = TRAINING | {"max_length": 32, "window_overlap": 4}
    with pytest.raises(InputError, match=r"training\.window_overlap: a language model is asked about whole texts"):
        run(pipeline={"training": training})
