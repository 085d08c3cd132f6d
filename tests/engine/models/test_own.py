"""Models that are no transformers: whose token is whose, what starts from the teacher, what is saved, what is mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, PreTrainedTokenizerFast

from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.evaluation.inference import evaluating
from engine.models.bilstm import BiLSTMConfig, BiLSTMModel
from engine.models.forward import SHARES, forward
from engine.models.load import (
    depth_and_width,
    load_config,
    load_pretrained,
    load_tokenizer,
    parameter_count,
    save_model,
)
from engine.models.names import parse_model
from engine.models.own import FIRST, NEITHER, SECOND, added_ids, tells_apart
from engine.models.start import Model, begin, planned_parameters, start_of
from engine.models.token_vectors import read_vectors
from engine.tokens.examples import encode
from tests.engine.models.scenes import starts
from tests.tokenizers import KINDS, bare_bpe
from tests.toys import ROWS, toy_task

TEACHER = "scratch:layers=2,hidden=32,heads=2"
ANSWERS_TEXTS = ("single", "pair", "regression")
STUDENTS = [*(("lstm:hidden=8", name) for name in ROWS), *(("static", name) for name in ANSWERS_TEXTS)]


def begun(student: str, name: str, machine: Machine) -> Model:
    """A student of a teacher with random weights."""
    return begin(starts(TEACHER, student)[1], toy_task(name), 0, machine)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("typed", [True, False])
def test_tokens_are_told_apart_as_the_tokenizer_counts_them(kind: str, typed: bool) -> None:
    tokenizer: PreTrainedTokenizerFast = KINDS[kind]()
    pairs = [("the old stone bridge", "a dog"), ("cold", "nobody answered the telephone")]
    batch = tokenizer(pairs, padding=True, return_tensors="pt", return_token_type_ids=True)
    model = BiLSTMModel(BiLSTMConfig(vocab_size=len(tokenizer), added_ids=added_ids(tokenizer)))
    types = batch["token_type_ids"] if typed else None
    found = model.texts(batch["input_ids"], batch["attention_mask"], types).tolist()
    for row in range(len(pairs)):
        for place, sequence in enumerate(batch.sequence_ids(row)):
            if sequence is not None:
                assert found[row][place] == (FIRST, SECOND)[sequence]
            assert (found[row][place] == NEITHER) == (batch["attention_mask"][row, place] == 0)


def test_berts_types_are_found_without_them() -> None:
    tokenizer = KINDS["wordpiece"]()
    batch = tokenizer([("a dog", "nobody answered"), ("cold", "cold")], padding=True, return_tensors="pt")
    model = BiLSTMModel(BiLSTMConfig(vocab_size=len(tokenizer), added_ids=added_ids(tokenizer)))
    found = model.texts(batch["input_ids"], batch["attention_mask"])
    assert torch.equal(found, (batch["token_type_ids"] + 1) * batch["attention_mask"])


def test_without_anything_between_two_texts_they_cannot_be_told_apart() -> None:
    assert all(tells_apart(make()) for make in KINDS.values())
    assert not tells_apart(bare_bpe())
    assert added_ids(bare_bpe()) == []


@pytest.mark.parametrize("student, name", STUDENTS)
def test_what_is_saved_is_what_is_loaded(student: str, name: str, machine: Machine, tmp_path: Path) -> None:
    task, (model, tokenizer) = toy_task(name), begun(student, name, machine)
    save_model(model, tokenizer, tmp_path)
    config = load_config(str(tmp_path), "model")
    loaded = load_pretrained(str(tmp_path), config, task.kind, 1, "model", new_head=False)
    inputs = encode(task.train, task, load_tokenizer(str(tmp_path), "model"), 32, 8).inputs(range(6))
    with evaluating(model), evaluating(loaded):
        expected, found = (forward(each, inputs, task.kind).logits for each in (model, loaded))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    weights = loaded.state_dict()
    assert all(torch.equal(weights[key], weight) for key, weight in model.state_dict().items())
    body = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(body.get_input_embeddings().weight, model.get_input_embeddings().weight)


@pytest.mark.parametrize("student, name", STUDENTS)
def test_its_size_is_known_before_it_is_built(student: str, name: str, machine: Machine) -> None:
    teacher, own = starts(TEACHER, student)
    model, _ = begun(student, name, machine)
    assert planned_parameters(own, toy_task(name), machine, teacher) == parameter_count(model)
    assert depth_and_width(model.config) == (own.layers, own.width)


@pytest.mark.parametrize("student, name", STUDENTS)
def test_the_seed_decides_what_is_random(student: str, name: str, machine: Machine) -> None:
    own, task = starts(TEACHER, student)[1], toy_task(name)
    first, again, other = (begin(own, task, seed, machine)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(again[key], weight) for key, weight in first.items())
    assert not torch.equal(first["output.weight"], other["output.weight"])


@pytest.mark.parametrize("width, taken", [(96, False), (128, True)])
def test_a_bilstm_reads_what_its_teacher_reads_where_that_is_wide_enough(
    width: int, taken: bool, machine: Machine
) -> None:
    teacher, own = starts(f"scratch:layers=1,hidden={width},heads=1", "lstm")
    task = toy_task("single")
    donor = begin(teacher, task, 0, machine)
    model, tokenizer = begin(own, task, 0, machine, donor)
    read = read_vectors(donor[0], len(tokenizer), min(width, model.config.word_width))
    assert read is not None
    words = model.get_input_embeddings().weight.detach().numpy()
    assert (words.shape == read.shape and np.array_equal(words, read * np.float32(0.3))) == taken
    assert words.std() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize("name", ["single", "pair", "tagging"])
def test_mixed_with_a_share_of_one_it_is_the_first(name: str, machine: Machine) -> None:
    task, (model, tokenizer) = toy_task(name), begun("lstm:hidden=8", name, machine)
    encoded = encode(task.train, task, tokenizer, 32)
    rows = [0, 1, 2, 3]
    both = encoded.inputs(rows)
    with evaluating(model):
        mixed = forward(model, both | {SHARES: torch.ones(2)}, task.kind).logits
        first = forward(model, {key: values[:2] for key, values in both.items()}, task.kind).logits
    for row, length in enumerate(encoded.lengths[:2]):
        found, expected = (logits[row, :length] if task.token_level else logits[row] for logits in (mixed, first))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("student, layers", [("lstm:hidden=8", (1,)), ("static", ())])
def test_layers_are_given_where_they_are_asked_for(student: str, layers: tuple[int, ...], machine: Machine) -> None:
    task, (model, tokenizer) = toy_task("single"), begun(student, "single", machine)
    inputs = encode(task.train, task, tokenizer, 32).inputs(range(3))
    assert model(**inputs).hidden_states is None
    assert len(model(**inputs, output_hidden_states=True).hidden_states) == 1 + len(layers)
    shapes = [tuple(each.shape) for each in forward(model, inputs, task.kind, layers).hidden.values()]
    assert shapes == [(*inputs["input_ids"].shape, 16)] * len(layers)


def test_a_teacher_has_no_more_numbers_than_it_has() -> None:
    teacher = start_of(parse_model(TEACHER, "teacher"), "teacher")
    assert start_of(parse_model("static", "student"), "student", teacher).width == 32
    with pytest.raises(InputError, match=r"--student: the teacher's vectors.*have only 32"):
        start_of(parse_model("static:width=64", "student"), "student", teacher)
