"""Label words are as likely as a loop over rows, labels and tokens says that reads one text at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.models.label_words import EMPTY, LabelWords, word_tokens
from engine.models.load import load_tokenizer
from engine.models.question import Question
from engine.models.start import Model, begin, start_of
from engine.tokens.examples import encode
from tests.toys import CAUSAL, save_causal, toy_task

PAIR = toy_task("pair", rows=6, held_out=6)
SINGLE = toy_task("single", rows=6, held_out=6)
PROMPT = "Text: {text}\nIt is"
WORDS = ("cold", "cold coffee after nine", "cold coffee before")
"""One is the beginning of the others, and two share more than their first token."""


def asked(folder: Path, machine: Machine, question: Question, task=SINGLE) -> Model:
    return begin(start_of(str(folder), "teacher", question=question), task, 0, machine)


def naive(folder: Path, text: str, words: tuple[str, ...]) -> torch.Tensor:
    """The log-likelihood of each word behind a prompt with this text, token by token, without a cache."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), load_tokenizer(str(folder), "teacher")
    begun, sums = tokenizer(text).input_ids, []
    for word in words:
        whole = tokenizer(f"{text} {word}").input_ids
        assert whole[: len(begun)] == begun
        likelihood = 0.0
        for place in range(len(begun), len(whole)):
            with torch.no_grad():
                likelihood += model(torch.tensor([whole[:place]])).logits[0, -1].log_softmax(-1)[whole[place]].item()
        sums.append(likelihood)
    return torch.tensor(sums)


@pytest.mark.parametrize("architecture", CAUSAL)
def test_they_are_as_likely_as_one_by_one(architecture: str, tmp_path: Path, machine: Machine) -> None:
    save_causal(tmp_path, architecture)
    model, tokenizer = asked(tmp_path, machine, Question(PROMPT, WORDS, calibrated=False))
    examples = encode(SINGLE.train, SINGLE, tokenizer, 32)
    with torch.no_grad():
        said = model(**examples.inputs(range(6), accepted={"input_ids", "attention_mask"})).logits
    expected = [naive(tmp_path, PROMPT.replace("{text}", text), WORDS) for text in SINGLE.train["text"]]
    assert len({len(text.split()) for text in SINGLE.train["text"]}) > 1  # so that some are padded
    torch.testing.assert_close(said, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_a_question_about_two_texts(tmp_path: Path, machine: Machine) -> None:
    save_causal(tmp_path)
    prompt, words = "A: {text}\nB: {text_pair}\nSame?\n", ("cold", "old")
    model, tokenizer = asked(tmp_path, machine, Question(prompt, words, calibrated=False), PAIR)
    examples = encode(PAIR.train, PAIR, tokenizer, 32)
    with torch.no_grad():
        said = model(**examples.inputs([0], accepted={"input_ids", "attention_mask"})).logits[0]
    row = PAIR.train[0]
    whole = prompt.replace("{text}", row["text"]).replace("{text_pair}", row["text_pair"])
    plain = load_tokenizer(str(tmp_path), "teacher")
    network, expected = AutoModelForCausalLM.from_pretrained(tmp_path), []
    for word in words:  # behind the end of a line there is no space
        ids, begun = plain(whole + word).input_ids, len(plain(whole).input_ids)
        with torch.no_grad():
            steps = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected.append(sum(steps[place - 1, ids[place]] for place in range(begun, len(ids))))
    torch.testing.assert_close(said, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_what_it_says_of_no_text_is_taken_off(tmp_path: Path, machine: Machine) -> None:
    save_causal(tmp_path)
    plain, tokenizer = asked(tmp_path, machine, Question(PROMPT, WORDS, calibrated=False))
    model, _ = asked(tmp_path, machine, Question(PROMPT, WORDS))
    shares = []
    for text in EMPTY:
        ids = torch.tensor([tokenizer.backend_tokenizer.encode(text).ids])
        said = [each(ids, torch.ones_like(ids)).logits.detach() for each in (plain, model)]
        shares.append(said[0].softmax(-1))
        torch.testing.assert_close(said[0] - model.prior, said[1])
    torch.testing.assert_close(model.prior.exp(), torch.cat(shares).mean(0))
    assert not plain.prior.any()


@pytest.mark.parametrize(("words", "says"), [(("cold", ""), "has no tokens for this word")])
def test_words_that_the_model_cannot_say(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    save_causal(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path), "teacher")
    with pytest.raises(InputError, match=says):
        word_tokens(Question("{text}\n", words), tokenizer)


def test_it_is_left_in_evaluation_mode(tmp_path: Path, machine: Machine) -> None:
    save_causal(tmp_path, "gpt2")  # which has dropout
    model, _ = asked(tmp_path, machine, Question(PROMPT, WORDS))
    assert isinstance(model, LabelWords)
    assert not model.training
    assert not model.causal.training


def test_a_prompt_that_leaves_no_room_for_a_text(tmp_path: Path) -> None:
    save_causal(tmp_path)
    with pytest.raises(InputError, match="which leaves no room for a text"):
        start_of(str(tmp_path), "teacher", question=Question("the old stone bridge " * 20 + "{text}", WORDS))


def test_prompt_words_and_calibration_decide_its_identity(tmp_path: Path) -> None:
    save_causal(tmp_path)
    questions = [Question(PROMPT, WORDS), Question("{text} is", WORDS), Question(PROMPT, WORDS[::-1])]
    questions.append(Question(PROMPT, WORDS, calibrated=False))
    starts = [start_of(str(tmp_path), "teacher"), *(start_of(str(tmp_path), "teacher", question=q) for q in questions)]
    assert len({start.identity for start in starts}) == 5
    assert starts[1].positions == starts[0].positions - starts[1].beside
