"""Contextual augmentation: whole words, drawn by probability; and the model of the dataset's own texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from engine.augment import language_model
from engine.augment.contextual import MaskedWords, whole_words
from engine.augment.language_model import in_domain, load_language_model
from engine.augment.passages import passage_of
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.data.task import Task
from engine.models.load import save_model
from engine.pipeline import Contextual
from tests.tokenizers import byte_bpe, unigram, wordpiece
from tests.toys import GOOD, save_tiny, tiny_config, toy_task


class Favours(torch.nn.Module):
    """A language model that gives each word the logit that a test wants."""

    def __init__(self, logits: dict[str, float]):
        super().__init__()
        tokenizer = wordpiece(tuple(" ".join(logits) for _ in range(50)))
        self.config = tiny_config(vocabulary=len(tokenizer))
        self.tokenizer = tokenizer
        self.logits = torch.full((len(tokenizer),), -20.0)
        for word, value in logits.items():
            self.logits[tokenizer.convert_tokens_to_ids(word)] = value

    def forward(self, input_ids: torch.Tensor, **_: object) -> object:
        logits = self.logits.expand(*input_ids.shape, -1)
        return type("Output", (), {"logits": logits})()


def filled(text: str, model: Favours, machine: Machine, count: int = 1, **knobs: object) -> list[str]:
    spec = Contextual.model_validate({"strength": 1.0, **knobs})
    operator = MaskedWords(spec, model, model.tokenizer, machine)  # type: ignore[arg-type]
    dice = np.random.default_rng(0)
    return [operator([passage_of(text)], dice)[0].text for _ in range(count)]


def test_words_are_drawn_by_their_probability_among_the_best(machine: Machine) -> None:
    model = Favours({"cat": 2.0, "dog": 1.0, "cow": 0.0})
    found = Counter(filled("A mouse!", model, machine, count=400, strength=0.01, top_k=2))
    words = Counter(text.split()[-1] if "mouse" not in text else "" for text in found.elements())
    share = words["Cat!"] + words["cat!"]
    assert not words["cow!"]
    assert share / (share + words["dog!"]) == pytest.approx(1 / (1 + np.exp(-1)), abs=0.08)


def test_punctuation_capitals_and_kept_words_stay(machine: Machine) -> None:
    model = Favours({"cat": 5.0})
    assert filled('"Mouse," he said...', model, machine, top_k=1) == ['"Cat," cat cat...']


def test_more_are_asked_for_than_there_are(machine: Machine) -> None:
    found = filled("a b c", Favours({"cat": 1.0, "dog": 1.0}), machine, count=20, top_k=5000)
    assert all(word.isalpha() for text in found for word in text.split())


def test_a_vocabulary_without_words_is_refused(machine: Machine) -> None:
    model = Favours({"1984": 1.0})
    model.tokenizer = wordpiece(("1 9 8 4 1984",) * 9, size=20)
    model.config = tiny_config(vocabulary=len(model.tokenizer))
    with pytest.raises(InputError, match="no whole words"):
        filled("a b", model, machine)


def test_the_same_seed_draws_the_same(machine: Machine) -> None:
    model = Favours({"cat": 1.0, "dog": 1.0, "cow": 1.0})
    once, again = (filled("a b c d e f", model, machine, count=5, top_k=3) for _ in range(2))
    assert once == again
    assert len(set(once)) > 1


def test_what_lies_behind_the_model_s_last_position_stays(machine: Machine) -> None:
    model = Favours({"cat": 5.0})
    (text,) = filled(" ".join(["mouse"] * 100), model, machine, top_k=1)
    words = text.split()
    assert len(words) == 100
    assert words.index("mouse") == words.count("cat") > 10


@pytest.mark.parametrize("make", [wordpiece, byte_bpe, unigram])
def test_only_whole_words_are_filled_in(make: object) -> None:
    tokenizer = make()  # type: ignore[operator]
    words = whole_words(tokenizer, len(tokenizer) + 3)
    assert len(words) == len(tokenizer) + 3
    known = [word for word in words if word]
    assert "the" in known
    assert all(word.isalpha() for word in known)
    for place, token in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        if token.startswith("##") or token in tokenizer.all_special_tokens:
            assert not words[place]


def test_the_model_of_the_dataset_s_own_texts_knows_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "EPOCHS", 60)
    task = toy_task("single")
    model, tokenizer = in_domain(task, machine)
    inputs = tokenizer(task.train["text"][:64], padding=True, return_tensors="pt")
    torch.manual_seed(0)
    loss = language_model._loss(model, inputs, tokenizer, machine)
    assert loss < 0.8 * np.log(len(tokenizer)), "no better than any word as likely as any other"
    operator = MaskedWords(Contextual(strength=1.0), model, tokenizer, machine)
    (passage,) = operator([passage_of("zzz great zzz")], np.random.default_rng(0))
    vocabulary = {word for text in task.train["text"] for word in text.split()}
    assert set(passage.text.split()) <= vocabulary


def test_it_is_trained_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "EXAMPLES", 300)
    task = toy_task("tagging", rows=40, held_out=8)
    first, _ = in_domain(task, machine)
    monkeypatch.delattr(language_model, "_trained")
    second, _ = load_language_model("in_domain", task, machine)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_the_same_texts_give_the_same_model(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "EXAMPLES", 200)
    task = toy_task("pair", rows=30, held_out=8)
    tokenizer = language_model.scratch_tokenizer(task, machine)
    one, other = (language_model._trained(task, tokenizer, machine).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_named_model_is_used(tmp_path: Path, machine: Machine) -> None:
    tokenizer = wordpiece()
    config = tiny_config(vocabulary=len(tokenizer))
    save_model(AutoModelForMaskedLM.from_config(config), tokenizer, tmp_path)
    model, read = load_language_model(str(tmp_path), toy_task("single", rows=8, held_out=4), machine)
    assert model.config.vocab_size == len(read)
    spec = Contextual(model=str(tmp_path), strength=1.0, top_k=5)
    (passage,) = MaskedWords(spec, model, read, machine)([passage_of("The dog.")], np.random.default_rng(0))
    assert passage.text.endswith(".")
    assert passage.text != "The dog."


def test_a_model_without_the_head_is_refused(tmp_path: Path, machine: Machine) -> None:
    task: Task = toy_task("single", rows=8, held_out=4)
    save_tiny(tmp_path, task)
    with pytest.raises(InputError, match=r"augmentation\.contextual\.model: .*without the head"):
        load_language_model(str(tmp_path), task, machine)


def test_no_such_model(machine: Machine) -> None:
    with pytest.raises(InputError, match=r"augmentation\.contextual\.model: no such folder"):
        load_language_model("./none", toy_task("single", rows=8, held_out=4), machine)


def test_good_words_are_words() -> None:
    assert set(GOOD) <= set(whole_words(wordpiece(tuple(GOOD) * 50), 300))
