"""Static students: their mean against a plain loop, and the form of model2vec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.base.machine import Machine
from engine.data.task import Task
from engine.models.load import save_model
from engine.models.start import Model, begin
from engine.models.static import SIF, StaticConfig, StaticModel, zipf_weights
from engine.tokens.examples import encode
from tests.engine.models.scenes import starts
from tests.tokenizers import KINDS, wordpiece
from tests.toys import toy_task

TEACHER = "scratch:layers=2,hidden=32,heads=2"


def student_of(task: Task, machine: Machine) -> Model:
    return begin(starts(TEACHER, "static")[1], task, 0, machine)


@pytest.mark.parametrize("name", ["single", "pair"])
def test_the_mean_is_over_the_words_of_each_text_alone(name: str, machine: Machine) -> None:
    task = toy_task(name, rows=12, held_out=2)
    model, tokenizer = student_of(task, machine)
    torch.nn.init.normal_(model.get_input_embeddings().weight)  # those of added tokens are no longer 0
    encoded = encode(task.train, task, tokenizer, 32)
    rows = range(len(task.train))
    inputs = encoded.inputs(rows, encoded.padded_length(rows) + 16)
    means = model.static(**inputs).last_hidden_state
    for row, given in enumerate(task.train):
        for text, field in enumerate(("text", "text_pair")[: 1 + task.pair]):
            tokens = tokenizer(given[field], add_special_tokens=False).input_ids
            words = [model.get_input_embeddings().weight[token] for token in tokens if token != tokenizer.unk_token_id]
            torch.testing.assert_close(means[row, text], sum(words) / len(words), rtol=0, atol=1e-5)


def test_a_text_without_a_known_word_has_a_mean_of_zero() -> None:
    model = StaticModel(StaticConfig(vocab_size=8, hidden_size=4, added_ids=[2, 3], unk_token_id=1))
    assert model(torch.tensor([[2, 1, 1, 3]])).last_hidden_state.eq(0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_zipfs_law(kind: str) -> None:
    tokenizer = KINDS[kind]()
    weights, rank = zipf_weights(tokenizer), 0
    words = [number for number in range(len(tokenizer)) if number not in tokenizer.all_special_ids]
    total = sum(1 / place for place in range(2, len(words) + 2))
    for number in range(len(tokenizer)):
        if number not in words:
            assert weights[number] == 0
            continue
        chance = 1 / (rank + 2) / total
        assert weights[number] == pytest.approx(SIF / (SIF + chance))
        rank += 1


def test_what_the_vocabulary_keeps_free_weighs_nothing() -> None:
    tokenizer = wordpiece()
    before = zipf_weights(tokenizer)
    tokenizer = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, unk_token="[UNK]")
    tokenizer.add_tokens(["[unused0]"])
    assert zipf_weights(tokenizer)[-1] == 0
    assert len(zipf_weights(tokenizer)) == len(before) + 1


@pytest.mark.parametrize("name", ["single", "pair"])
def test_a_saved_student_has_model2vecs_names(name: str, machine: Machine, tmp_path: Path) -> None:
    model, tokenizer = student_of(toy_task(name), machine)
    save_model(model, tokenizer, tmp_path)
    vectors = load_file(tmp_path / "model.safetensors")["embeddings"]
    assert torch.equal(vectors, model.get_input_embeddings().weight)
    assert len(vectors) == len(tokenizer.get_vocab())


def test_model2vec_reads_a_saved_student(machine: Machine, tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    task = toy_task("single")
    model, tokenizer = student_of(task, machine)
    save_model(model, tokenizer, tmp_path)
    theirs = model2vec.StaticModel.from_pretrained(tmp_path).encode(task.train["text"][:8])
    ours = model.static(**encode(task.train, task, tokenizer, 64).inputs(range(8))).last_hidden_state[:, 0]
    np.testing.assert_allclose(theirs, ours.detach().numpy(), atol=1e-5)
