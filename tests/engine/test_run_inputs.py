"""Runs from other ways in: two tokenizers, files, tasks made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from engine import distill
from engine.base.options import RunOptions
from engine.models.load import save_model
from tests.engine.runs import LEARNED, MI_ALPHA, TRAINING, TUNING, small
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import WORDS, save_tiny, toy_task

# --- two tokenizers ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def byte_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa encoder with a byte-level BPE of the toy tasks' words, that has learned nothing yet."""
    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = byte_bpe(tuple(" ".join(WORDS[at:] + WORDS[:at]) for at in range(len(WORDS))), 600)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "layers": 2, "seed": 0}
    model = save_tiny(folder / "whole", toy_task("single"), "roberta", tokenizer, **sizes)
    save_model(model.roberta, tokenizer, folder / "encoder")
    return folder / "encoder"


@pytest.mark.parametrize("name", ["single", "tagging", "question_answering"])
@pytest.mark.parametrize("kind", ["mi_alpha", "mse"])
def test_a_teacher_with_another_tokenizer(
    name: str, kind: str, byte_teacher: Path, warm: RunOptions, tmp_path: Path
) -> None:
    """The student learns from soft labels and hidden states alone, token by token."""
    task = toy_task(name)
    save_tiny(
        tmp_path / "student", task, tokenizer=wordpiece(WORDS, 400), hidden_size=64, layers=2, intermediate_size=128
    )
    training = TRAINING | {"learning_rate": 2e-3, "max_length": 32}
    if name == "question_answering":
        training |= {"window_overlap": 8}
    intermediate = MI_ALPHA | {"level": "token", "max_tokens": 64} if kind == "mi_alpha" else {"kind": "mse"}
    result = distill(
        task,
        teacher=str(byte_teacher),
        student=str(tmp_path / "student"),
        pipeline={"intermediate": intermediate, "weights": {"intermediate": 0.1}, "training": training},
        out=tmp_path / "out",
        fine_tuning=TUNING,
        options=warm,
    )
    assert result.teacher_score > LEARNED[name]
    assert result.student_score > LEARNED[name] - 0.1
    assert all(math.isfinite(value) for entry in result.history for value in entry["loss"].values())
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == wordpiece(WORDS, 400).get_vocab()


def test_long_texts_under_a_teacher_that_reads_less(tmp_path: Path, options: RunOptions) -> None:
    """More tokens in the teacher's tokenizer than it has positions: what it does not see has no partner."""
    task = toy_task("question_answering", rows=12, held_out=4)
    longer = {"context": " ".join(FILLING)}
    stretched = [
        rows.map(lambda row: {"context": f"{row['context']} {longer['context']}"})
        for rows in (task.train, task.validation["validation"])
    ]
    task = replace(task, train=stretched[0], validation={"validation": stretched[1]}, fingerprint="long")
    save_tiny(tmp_path / "teacher", task, "roberta", byte_bpe())
    save_tiny(tmp_path / "student", task, tokenizer=wordpiece(WORDS, 400))
    training = TRAINING | {"epochs": 1, "max_length": 48, "window_overlap": 8}
    result = distill(
        task,
        teacher=str(tmp_path / "teacher"),
        student=str(tmp_path / "student"),
        pipeline={"intermediate": {"kind": "mse"}, "training": training},
        out=tmp_path / "out",
        options=options,
    )
    assert result.status == "ok"
    assert result.teacher_examples > len(task.train)


FILLING = WORDS * 2

# --- ways in -----------------------------------------------------------------------------------------


def test_a_file_and_its_columns(options: RunOptions, tmp_path: Path) -> None:
    task = toy_task("single", rows=60)
    rows = task.train.to_pandas().rename(columns={"text": "review", "label": "stars"})
    rows["stars"] = rows["stars"].map(lambda index: task.labels[index])
    rows.to_csv(tmp_path / "reviews.csv", index=False)
    columns = {"text": "review", "label": "stars", "metric": "f1_macro"}
    result = small(options, tmp_path / "out", data=tmp_path / "reviews.csv", **columns)
    assert (result.task, result.task_kind, result.metric) == ("reviews", "classification", "f1_macro")
    assert result.labels == ["bad", "dull", "good"]


def test_tasks_made_by_hand_are_told_apart(options: RunOptions, tmp_path: Path) -> None:
    keys = set()
    for seed in (0, 1, 1):
        task = replace(toy_task("single", rows=16, held_out=8, seed=seed), fingerprint="")
        result = small(options, tmp_path / f"out{len(keys)}{seed}", data=task)
        keys.add((result.dataset_fingerprint, result.identity))
        assert result.dataset_fingerprint
    assert len(keys) == 2
    assert len([*(options.cache / "teachers").glob("*/teacher.json")]) == 2
