"""Contextual augmentation: whole words, drawn by probability."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from engine.augment import contextual
from engine.augment.contextual import MaskedWords, whole_words
from engine.augment.passages import passage_of
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.pipeline import Contextual
from tests.tokenizers import byte_bpe, unigram, wordpiece
from tests.toys import GOOD, tiny_config


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


@pytest.mark.parametrize("text", ["the [MASK] was good", "[MASK] [MASK]", "a[MASK]b mouse (the[MASK])", "[MASK]"])
def test_a_mask_of_the_text_s_own_is_a_word_like_any_other(text: str, machine: Machine) -> None:
    """It is filled in where it was drawn, and elsewhere stays without shifting what is filled in."""
    model = Favours({"cat": 5.0})
    for strength in (0.3, 0.5, 1.0):
        for made in filled(text, model, machine, count=8, top_k=1, strength=strength):
            changed = [new for old, new in zip(text.split(), made.split(), strict=True) if new != old]
            assert len(changed) == len(passage_of(text).some(strength, np.random.default_rng(0)))
            assert all("cat" in word.lower() for word in changed)


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


def test_good_words_are_words() -> None:
    assert set(GOOD) <= set(whole_words(wordpiece(tuple(GOOD) * 50), 300))


def test_the_words_are_those_of_the_whole_forward_pass(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = wordpiece()
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(tiny_config(vocabulary=len(tokenizer)))
    operator = MaskedWords(Contextual(top_k=50), model, tokenizer, machine)
    passages = [passage_of(" ".join(np.random.default_rng(seed).choice(GOOD, 12))) for seed in range(90)]
    made = operator(passages, np.random.default_rng(0))
    monkeypatch.setattr(contextual, "logits_at", lambda places, model, inputs: model(**inputs).logits[places])
    assert operator(passages, np.random.default_rng(0)) == made
    assert sum(one != other for one, other in zip(passages, made, strict=True)) > 80


def test_another_process_makes_the_same(machine: Machine) -> None:
    """The operator goes there with nothing of this one: a process that is not forked takes it as bytes."""
    operator = MaskedWords(
        Contextual(strength=1.0), model := Favours({"cat": 1.0, "dog": 1.0}), model.tokenizer, machine
    )
    passages = [passage_of("a b c d e f g h")]
    sent = pickle.loads(pickle.dumps(operator))
    assert sent(passages, np.random.default_rng(0)) == operator(passages, np.random.default_rng(0))
