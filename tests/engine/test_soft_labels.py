"""Runs that learn from the soft labels of the data: they are those of the teacher that made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from engine import distill
from engine.base.errors import InputError
from engine.base.options import RunOptions
from engine.data.load import load_task
from engine.data.task import Task
from engine.models.load import HEADS
from engine.pipeline.pipeline import Pipeline
from engine.run.result import RunResult
from engine.tokens.examples import encode
from tests.engine.runs import TRAINING, Finished
from tests.toys import toy_task

STUDENT = "scratch:layers=1,hidden=16,heads=1"
PIPELINE = {"training": TRAINING | {"epochs": 2, "max_length": 32}}


def logits_of(teacher: Path, task: Task, rows: Any) -> np.ndarray:
    """What a teacher says of rows, one after the other."""
    model, tokenizer = HEADS[task.kind].from_pretrained(teacher).eval(), AutoTokenizer.from_pretrained(teacher)
    examples = encode(rows, task, tokenizer, 32)
    with torch.no_grad():
        return np.stack([model(**examples.inputs([row])).logits[0].numpy() for row in range(len(rows))])


def frames(task: Task, teacher: Path, prefix: str, probabilities: bool = False) -> dict[str, pd.DataFrame]:
    """The rows of a task with a teacher's answers in columns."""
    sets = {"train": task.train, "validation": task.validation["validation"]}
    found = {}
    for name, rows in sets.items():
        said = logits_of(teacher, task, rows).astype(np.float64)
        if probabilities:
            said = np.exp(said - np.logaddexp.reduce(said, axis=1, keepdims=True))
        frame = pd.DataFrame(rows[:])
        if task.labels:
            frame["label"] = [task.labels[label] for label in frame["label"]]
        for index, label in enumerate(task.labels or ("",)):
            frame[prefix + label] = said[:, index]
        found[name] = frame
    return found


@pytest.mark.parametrize(
    ("name", "how"),
    [("single", "logits"), ("single", "probabilities"), ("pair", "probabilities"), ("regression", "logits")],
)
def test_soft_labels_of_a_file_teach_as_the_teacher_that_made_them(
    name: str,
    how: str,
    finished: Callable[[str], Finished],
    saved: Callable[..., Path],
    options: RunOptions,
    tmp_path: Path,
) -> None:
    """The student has a tokenizer of its own, so nothing of the teacher but its answers reaches it."""
    teacher, toy = finished(name).folder, toy_task(name, rows=64, held_out=32)
    written = frames(toy, teacher, "t_", how == "probabilities")
    plain = load_task(
        {split: frame.drop(columns=[c for c in frame if c.startswith("t_")]) for split, frame in written.items()}
    )
    more: dict[str, Any] = {"student": str(saved(toy, layers=1)), "pipeline": PIPELINE, "options": options}
    by_model = distill(plain, teacher=str(teacher), out=tmp_path / "model", **more)
    by_file = distill(written, out=tmp_path / "file", **more, **{f"teacher_{how}": "t_"})
    assert (by_file.signals, by_file.teacher_examples, by_file.teacher) == ("given", 0, f"{how} t_*")
    assert by_file.labels == by_model.labels
    for role in ("teacher", "student"):
        of_file, of_model = by_file.scores[role]["validation"], by_model.scores[role]["validation"]
        assert of_file == pytest.approx(of_model, abs=5e-3)  # of rounding, which a training makes larger
    losses = [[entry["loss"]["prediction"] for entry in result.history] for result in (by_file, by_model)]
    assert losses[0] == pytest.approx(losses[1], rel=3e-3)
    assert by_file.distillation_ratio == pytest.approx(by_model.distillation_ratio, abs=5e-3)
    assert by_file.dataset_source == by_model.dataset_source
    assert by_file.identity != by_model.identity


SOFT = {"yes": [0.9, 0.2], "no": [0.1, 0.8]}
ROWS = pd.DataFrame(
    {"text": [f"{word} {n}" for n in range(30) for word in ("good", "bad")], "label": ["yes", "no"] * 30}
)


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{f"p_{label}": values * (len(rows) // 2) for label, values in SOFT.items()})


def test_without_those_of_held_out_rows_the_teacher_has_no_score(options: RunOptions, tmp_path: Path) -> None:
    sets = {"train": labelled(ROWS[:40]), "validation": ROWS[40:]}
    same: dict[str, Any] = {"student": STUDENT, "pipeline": PIPELINE, "options": options, "out": tmp_path}
    result = distill(sets, teacher_probabilities="p_", student_alone=True, **same)
    assert result.teacher_score is result.distillation_ratio is result.teacher_parameters is None
    assert result.student_score is not None
    assert result.student_alone_score is not None
    assert {"student", "student_alone", "linear"} == result.scores.keys()
    assert {"student_alone", "linear"} == result.lead_intervals.keys()
    card = (tmp_path / "README.md").read_text()
    assert "a student of probabilities p\\_\\*" in card
    assert "| parameters | " in card
    assert RunResult.read(tmp_path) == result


def test_they_label_further_texts(options: RunOptions, tmp_path: Path) -> None:
    """As a large language model may, of which the training rows have the answers, too."""
    sets, more = {"train": labelled(ROWS[:20]), "validation": ROWS[40:]}, labelled(ROWS[20:40]).drop(columns="label")
    same: dict[str, Any] = {"student": STUDENT, "pipeline": PIPELINE, "options": options, "out": tmp_path}
    result = distill(sets, teacher_probabilities="p_", unlabelled=more, **same)
    assert (result.train_examples, result.unlabelled_examples, result.signals) == (20, 20, "given")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": "scratch:layers=2,hidden=16"}, "--teacher: the data bring soft labels"),
        ({"student": "layers:1"}, "--student: it takes layers or tokens from a teacher"),
        ({"student": "lstm"}, "--student: it takes layers or tokens from a teacher"),
        (
            {"pipeline": {"intermediate": {"kind": "mse"}}},
            "intermediate.kind: it learns from a teacher's hidden states",
        ),
        ({"pipeline": {"augmentation": "random"}}, "augmentation.operators: soft labels are of the texts as they are"),
        ({"pipeline": {"team": {"kind": "average", "members": [STUDENT]}}}, "team.kind: a team has models that teach"),
    ],
)
def test_what_needs_a_model_is_refused(
    change: dict[str, Any], message: str, options: RunOptions, tmp_path: Path
) -> None:
    usual: dict[str, Any] = {"student": STUDENT, "pipeline": Pipeline.model_validate(PIPELINE)}
    if "pipeline" in change:
        change = {"pipeline": Pipeline.model_validate(change["pipeline"])}
    task = load_task({"train": labelled(ROWS[:40]), "validation": ROWS[40:]}, teacher_probabilities="p_")
    with pytest.raises(InputError, match=message):
        distill(task, options=options, out=tmp_path, **(usual | change))


def test_nothing_but_its_data_tells_such_a_run_from_others(options: RunOptions, tmp_path: Path) -> None:
    """Where no preset is named it is one without hidden states; other soft labels are another run."""
    sets = {"train": labelled(ROWS[:40]), "validation": ROWS[40:]}
    first = load_task(sets, teacher_probabilities="p_")
    sets["train"] = sets["train"].assign(p_yes=[0.8, 0.2] * 20, p_no=[0.2, 0.8] * 20)
    other = load_task(sets, teacher_probabilities="p_")
    assert first.fingerprint != other.fingerprint
    assert first.source == other.source
    brief = replace(first, train=first.train.select(range(4)))
    result = distill(brief, student=STUDENT, out=tmp_path, options=options, until_epoch=1)
    assert result.pipeline["intermediate"]["kind"] == "none"
