"""What a student starts as: a folder, random weights, or layers of its teacher."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from engine.base.errors import InputError
from engine.models.load import build, for_task, load_pretrained, parameter_count
from engine.models.start import Start
from engine.run.plan import length_problems
from tests.clock import within
from tests.engine.models.scenes import started, starts
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import save_tiny, tiny_config, toy_task


def test_a_student_of_layers_knows_the_labels_of_the_dataset(tmp_path: Path) -> None:
    task = toy_task("single")
    teacher = save_tiny(tmp_path, task)
    teacher.config.id2label = {index: f"LABEL_{index}" for index in range(3)}
    student, _ = started(teacher, wordpiece(), "layers:2", task, tmp_path)
    assert tuple(student.config.id2label.values()) == task.labels


@pytest.mark.parametrize("teacher", ["scratch:layers=2,hidden=64", "folder"])
def test_a_teacher_that_is_not_deep_enough(teacher: str, saved: Callable[..., Path]) -> None:
    name = str(saved(layers=2)) if teacher == "folder" else teacher
    with pytest.raises(InputError, match=r"--student: the teacher has only 2 layers; got layers:3; allowed: 1 to 2"):
        starts(name, "layers:3")


def test_a_student_from_scratch_speaks_the_teachers_tokens(tmp_path: Path) -> None:
    task = toy_task("tagging")
    teacher = save_tiny(tmp_path, task, "roberta", tokenizer=byte_bpe())
    made = [
        started(teacher, byte_bpe(), "scratch:layers=2,hidden=8,heads=1", task, tmp_path, seed)[0] for seed in (0, 0, 1)
    ]
    of_teacher = byte_bpe()
    student, tokenizer = started(teacher, of_teacher, "scratch:layers=2,hidden=8,heads=1", task, tmp_path)
    assert tokenizer is of_teacher
    assert student.config.vocab_size == len(byte_bpe())
    assert student.config.pad_token_id == byte_bpe().pad_token_id
    assert tuple(student.config.id2label.values()) == task.labels
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in made]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_student_from_a_folder_keeps_its_encoder_and_tokenizer(tmp_path: Path) -> None:
    task, other = toy_task("tagging"), toy_task("pair")
    teacher = save_tiny(tmp_path / "teacher", task, "roberta", tokenizer=byte_bpe())
    origin = save_tiny(tmp_path / "student", other, layers=3)
    student, tokenizer = started(teacher, byte_bpe(), str(tmp_path / "student"), task, tmp_path / "teacher")
    assert tokenizer.get_vocab() == wordpiece().get_vocab()
    assert student.config.num_labels == 3
    encoder = {key: value for key, value in origin.state_dict().items() if key.startswith("bert.encoder")}
    assert encoder
    assert all(torch.equal(student.state_dict()[key], value) for key, value in encoder.items())


def test_plans_know_depth_width_and_what_a_student_is(saved: Callable[..., Path]) -> None:
    folder, other = str(saved()), str(saved(seed=1))
    names = ["scratch:layers=2,hidden=8,heads=1", "layers:3", folder, other]
    found = [starts(folder, name)[1] for name in names]
    assert [(start.layers, start.width) for start in found] == [(2, 8), (3, 16), (4, 16), (4, 16)]
    assert len({start.identity for start in found}) == 4


def test_a_hub_student_that_cannot_be_fetched_is_named_at_once(saved: Callable[..., Path]) -> None:
    refused = pytest.raises(InputError, match=r"--student: .*the model hub cannot be reached.*'org/student'")
    with within(10, time.monotonic), refused:
        starts(str(saved()), "org/student")


@pytest.mark.parametrize("architecture, limit", [("bert", 64), ("roberta", 64), ("modernbert", 64)])
def test_texts_that_are_longer_than_a_model_reads(architecture: str, limit: int) -> None:
    start = Start("any", "teacher", "", 2, 16, tiny_config(architecture, pad_token_id=1))
    assert length_problems(start, limit) == []
    (problem,) = length_problems(start, limit + 1)
    what = f"the teacher reads at most {limit} tokens"
    assert str(problem) == f"training.max_length: {what}; got {limit + 1}; allowed: 8 to {limit}"


def test_layers_of_the_teacher_read_as_far_as_the_teacher(saved: Callable[..., Path]) -> None:
    far = saved(architecture="modernbert", max_position_embeddings=2048)
    _, plan = starts(str(far), "layers:2")
    assert length_problems(plan, 2048) == []
    assert length_problems(plan, 2049) != []


def test_a_student_can_be_saved_and_loaded(tmp_path: Path) -> None:
    task = toy_task("single")
    teacher = save_tiny(tmp_path / "teacher", task, "modernbert", layers=4)
    student, _ = started(teacher, wordpiece(), "layers:2", task, tmp_path / "teacher")
    student.save_pretrained(tmp_path / "student")
    loaded = load_pretrained(
        str(tmp_path / "student"), AutoConfig.from_pretrained(tmp_path / "student"), task.kind, 0, "model", False
    )
    assert parameter_count(loaded) == parameter_count(student)
    assert build(for_task(student.config, task, wordpiece()), task.kind, 0).config.num_hidden_layers == 2
