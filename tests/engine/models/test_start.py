"""What a student starts as: a folder, random weights, or layers of its teacher."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from engine.base.errors import InputError
from engine.base.machine import machine_for
from engine.base.options import RunOptions
from engine.models.forward import accepted_inputs, forward
from engine.models.load import build, for_task, load_pretrained, parameter_count
from engine.models.names import parse_model
from engine.models.shallow import shallow_config
from engine.models.start import Start, begin, start_of
from engine.run.plan import length_problems
from engine.tokens.examples import encode
from tests.clock import within
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import ARCHITECTURES, perturb, save_tiny, tiny_config, toy_task

LAYERS = {
    "bert": "bert.encoder.layer.{}.",
    "roberta": "roberta.encoder.layer.{}.",
    "distilbert": "distilbert.transformer.layer.{}.",
    "electra": "electra.encoder.layer.{}.",
    "deberta-v2": "deberta.encoder.layer.{}.",
    "modernbert": "model.layers.{}.",
    "albert": None,
}
"""Architecture → where its layers are; ALBERT has one for all."""
ORIGIN = {1: [6], 2: [3, 6], 3: [2, 4, 6], 4: [1, 2, 3, 4], 6: [1, 2, 3, 4, 5, 6]}
"""Student layers → the layers of a teacher with 6 that they start from, by `i * (6 // count)`."""


def starts(teacher: str, student: str) -> tuple[Start, Start]:
    """What two models start as that are named as on the command line."""
    of_teacher = start_of(parse_model(teacher, "teacher"), "teacher")
    return of_teacher, start_of(parse_model(student, "student"), "student", of_teacher)


def started(teacher, tokenizer, student: str, task, folder: Path, seed: int = 0):
    """The student that starts from a teacher's model and tokenizer, and its own tokenizer."""
    machine = machine_for(RunOptions(device="cpu", precision="float32"))
    return begin(starts(str(folder), student)[1], task, seed, machine, (teacher, tokenizer))


@pytest.mark.parametrize("count", ORIGIN)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_of_the_teacher(architecture: str, count: int, tmp_path: Path) -> None:
    task = toy_task("single")
    teacher = save_tiny(tmp_path, task, architecture, layers=6)
    perturb(teacher)
    student, tokenizer = started(teacher, wordpiece(), f"layers:{count}", task, tmp_path)
    of_teacher, of_student = teacher.state_dict(), student.state_dict()
    place = LAYERS[architecture]
    taken = {key: key for key in of_teacher}
    if place is not None:
        taken = {key: key for key in of_teacher if not key.startswith(place.split("{")[0])}
        for index, origin in enumerate(ORIGIN[count]):
            prefix = place.format(origin - 1)
            pairs = {
                place.format(index) + key.removeprefix(prefix): key for key in of_teacher if key.startswith(prefix)
            }
            taken |= {key: of for key, of in pairs.items() if key in of_student or architecture != "modernbert"}
    assert taken.keys() == of_student.keys()
    assert all(torch.equal(of_student[key], of_teacher[origin]) for key, origin in taken.items())
    assert student.config.num_hidden_layers == count
    assert tokenizer is wordpiece()
    with torch.no_grad():  # its own copy, not the teacher's
        for parameter in student.parameters():
            parameter.zero_()
    assert any(parameter.any() for parameter in teacher.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_layers_are_the_teacher(architecture: str, tmp_path: Path) -> None:
    task = toy_task("single")
    teacher = save_tiny(tmp_path, task, architecture, layers=2).eval()
    student, tokenizer = started(teacher, wordpiece(), "layers:2", task, tmp_path)
    encoded = encode(task.train, task, tokenizer, 32)
    accepted = accepted_inputs(teacher)
    inputs = {name: value for name, value in encoded.inputs([0, 1, 2]).items() if name in accepted}
    found = [forward(model.eval(), inputs, task.kind).logits for model in (teacher, student)]
    assert torch.equal(*found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_what_is_per_layer_gets_shorter(architecture: str, tmp_path: Path) -> None:
    """A list in the configuration may be as long as the teacher is deep by chance."""
    task = toy_task("single")
    teacher = save_tiny(tmp_path / "teacher", task, architecture, layers=2)
    student, _ = started(teacher, wordpiece(), "layers:1", task, tmp_path / "teacher")
    student.save_pretrained(tmp_path / "student")
    whole, short = (AutoConfig.from_pretrained(tmp_path / name).to_dict() for name in ("teacher", "student"))
    changed = {key: (whole[key], short[key]) for key in whole if whole[key] != short.get(key)}
    changed.pop("_name_or_path", None)
    depth = {"distilbert": "n_layers"}.get(architecture, "num_hidden_layers")
    expected = {depth: (2, 1)}
    if architecture == "modernbert":
        expected["layer_types"] = (whole["layer_types"], whole["layer_types"][1:])
    assert changed == expected


def test_numbers_per_layer_are_thinned_alike() -> None:
    """As Longformer has them, under a name that does not say so."""
    config = tiny_config(layers=6)
    config.attention_window = [10, 20, 30, 40, 50, 60]
    config.languages = ["de", "en", "fr", "it", "rm", "sq"]
    shallow = shallow_config(config, 2)
    assert (shallow.attention_window, shallow.languages) == ([30, 60], config.languages)
    assert config.attention_window == [10, 20, 30, 40, 50, 60]


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
    student, tokenizer = started(teacher, byte_bpe(), "scratch:layers=2,hidden=8,heads=1", task, tmp_path)
    assert tokenizer is byte_bpe()
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
