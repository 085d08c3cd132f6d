"""A prompt as a tokenizer's template gives the tokens that the whole text would have."""

from __future__ import annotations

import pickle

import pytest
from transformers import PreTrainedTokenizerFast

from engine.tokens.examples import encode
from engine.tokens.prompt import following, prompt_problems, prompt_tokens, with_prompt
from tests.tasks import make_task
from tests.tokenizers import bare_bpe, byte_bpe, unigram, wordpiece

ONE, TWO = "Film: {text}\nIt was", "One: {text} two: {text_pair}\nSame?"
TOKENIZERS = {"wordpiece": wordpiece, "byte_bpe": byte_bpe, "bare_bpe": bare_bpe, "unigram": unigram}


def plain(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Its tokens with what begins all texts, and without what ends them."""
    encoding = tokenizer.backend_tokenizer.encode(text)
    last = max(place for place, sequence in enumerate(encoding.sequence_ids) if sequence is not None)
    return encoding.ids[: last + 1]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", ["seven wizards watch", "Café", "nobody"])
def test_a_text_in_a_prompt_has_the_tokens_of_the_whole(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]()
    own = with_prompt(tokenizer, ONE)
    assert own.backend_tokenizer.encode(text).ids == plain(tokenizer, ONE.replace("{text}", text))
    alone = [sequence for sequence in own.backend_tokenizer.encode(text).sequence_ids if sequence is None]
    assert prompt_tokens(own) == len(alone)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_two_texts_in_a_prompt(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    own = with_prompt(tokenizer, TWO).backend_tokenizer.encode("the old stone bridge", "cold coffee")
    whole = TWO.replace("{text}", "the old stone bridge").replace("{text_pair}", "cold coffee")
    assert own.ids == plain(tokenizer, whole)
    assert [sequence for sequence in own.sequence_ids if sequence is not None] == sorted(
        sequence for sequence in own.sequence_ids if sequence is not None
    )


def test_the_tokenizer_itself_is_left_as_it_was() -> None:
    tokenizer = byte_bpe()
    before = tokenizer.backend_tokenizer.to_str()
    with_prompt(tokenizer, ONE)
    assert tokenizer.backend_tokenizer.to_str() == before
    assert prompt_tokens(tokenizer) == 0


def test_a_worker_process_has_the_prompt_too() -> None:
    own = with_prompt(byte_bpe(), ONE)
    again = pickle.loads(pickle.dumps(own))
    assert again.backend_tokenizer.encode("cold").ids == own.backend_tokenizer.encode("cold").ids
    assert prompt_tokens(again) == prompt_tokens(own) > 0


@pytest.mark.parametrize("pair", [False, True])
def test_a_long_text_is_cut_and_never_the_question(pair: bool) -> None:
    text = "the worst service imaginable " * 40
    rows = [{"text": text, "label": 0, **({"text_pair": text} if pair else {})}]
    prompt = TWO if pair else ONE
    own = with_prompt(byte_bpe(), prompt)
    examples = encode(
        make_task("classification", rows, labels=("a", "b")).train, make_task("classification", rows), own, 16
    )
    tokens = examples.tokens[0].tolist()
    assert len(tokens) == 16 + prompt_tokens(own)
    assert examples.cut == 1
    assert byte_bpe().decode(tokens).endswith("Same?" if pair else "\nIt was")
    assert (examples.segments[0] % 2 == 1).sum() == 16  # tokens of the texts alone count


def test_words_go_on_behind_the_prompt() -> None:
    tokenizer = bare_bpe()
    whole = tokenizer.backend_tokenizer.encode("It was wonderful").ids
    begun = tokenizer.backend_tokenizer.encode("It was").ids
    assert [*begun, *following(tokenizer.backend_tokenizer, "", " wonderful")] == whole


@pytest.mark.parametrize(
    ("prompt", "pair", "says"),
    [
        ("It was", False, "{text} must stand in it once"),
        ("{text} {text}", False, "{text} must stand in it once"),
        ("{text} {text_pair}", False, "no second texts"),
        ("{text} is", True, "{text_pair} must stand in it once"),
        ("{txt} is", False, "Did you mean text?"),
    ],
)
def test_what_is_wrong_with_a_prompt(prompt: str, pair: bool, says: str) -> None:
    assert says in "\n".join(map(str, prompt_problems(prompt, pair)))


def test_what_is_right_with_a_prompt() -> None:
    assert not [*prompt_problems("{text}: {labels}?", False), *prompt_problems("{text} and {text_pair}", True)]
