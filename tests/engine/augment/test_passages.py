"""Texts in words: nothing is lost on the way there and back, whatever an operator does in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.augment.passages import Passage, core_of, passage_of, passages_of, row_of, with_core
from engine.augment.random import RandomWords
from engine.data.load import load_task
from engine.pipeline import Random

texts = st.text(alphabet="ab .,\n\t é中\"'", max_size=40)


def lengthened_words(passage: Passage) -> Passage:
    """The harshest operator: every word that may change becomes a longer one."""
    free = set(passage.changeable.tolist())
    return passage.with_words([f"{word}xyz" if place in free else word for place, word in enumerate(passage.words)])


@given(texts)
def test_a_text_comes_back_as_it_went(text: str) -> None:
    passage = passage_of(text)
    assert passage.text == text
    assert "".join(passage.words) == "".join(text.split())
    assert len(passage.gaps) == len(passage.words) + 1


@given(texts, st.data())
def test_an_answer_is_found_again_wherever_it_has_moved_to(context: str, data: st.DataObject) -> None:
    solid = [place for place, letter in enumerate(context) if not letter.isspace()]
    if not solid:
        return
    first, last = sorted(data.draw(st.tuples(st.sampled_from(solid), st.sampled_from(solid))))
    answer = context[first : last + 1]
    row = {"question": "why", "context": context, "answers": {"text": [answer], "answer_start": [first]}}
    passages = [lengthened_words(passage) for passage in passages_of(row, "question_answering")]
    found = row_of(row, passages, "question_answering")
    (start,) = found["answers"]["answer_start"]
    assert found["answers"]["text"] == [answer]
    assert found["context"][start : start + len(answer)] == answer
    assert found["context"][:start].replace("xyz", "") == context[:first]
    assert found["context"][start + len(answer) :].replace("xyz", "") == context[last + 1 :]


def test_whitespace_around_an_answer_is_no_part_of_it() -> None:
    row = {"question": "who", "context": "It was  Bell .", "answers": {"text": [" Bell "], "answer_start": [7]}}
    passages = [lengthened_words(passage) for passage in passages_of(row, "question_answering")]
    found = row_of(row, passages, "question_answering")
    assert found["context"] == "Itxyz wasxyz  Bell ."
    assert found["answers"] == {"text": ["Bell"], "answer_start": [14]}


@pytest.mark.parametrize("answers", [{"text": [], "answer_start": []}, {"text": [" "], "answer_start": [0]}])
def test_a_context_without_an_answer_changes_as_a_whole(answers: dict[str, Any]) -> None:
    row = {"question": "who", "context": "a b", "answers": answers}
    passages = [lengthened_words(passage) for passage in passages_of(row, "question_answering")]
    found = row_of(row, passages, "question_answering")
    assert (found["context"], found["answers"]) == ("axyz bxyz", answers)


def test_labels_of_texts_stay() -> None:
    row = {"text": "One, two.", "text_pair": "three", "label": 1}
    passages = [lengthened_words(passage) for passage in passages_of(row, "classification")]
    assert row_of(row, passages, "classification") == {"text": "One,xyz two.xyz", "text_pair": "threexyz", "label": 1}


@given(st.lists(st.tuples(st.sampled_from("abc."), st.integers(0, 2)), max_size=8), st.integers(0, 99))
def test_tags_stay_with_their_words(pairs: list[tuple[str, int]], seed: int) -> None:
    row = {"tokens": [word for word, _ in pairs], "tags": [tag for _, tag in pairs]}
    operator = RandomWords(Random(strength=1.0), None)
    passages = operator(passages_of(row, "tagging"), np.random.default_rng(seed))
    found = row_of(row, passages, "tagging")
    assert found["tags"] == row["tags"]
    assert sorted(zip(found["tokens"], found["tags"], strict=True)) == sorted(pairs)


@pytest.mark.parametrize(
    ("word", "core", "said"),
    [("film", "movie", "movie"), ('"Film,"', "movie", '"Movie,"'), ("...", "movie", "..."), ("A", "b", "B")],
)
def test_punctuation_and_capitals_stay(word: str, core: str, said: str) -> None:
    assert with_core(word, core) == said


def test_a_core_is_what_is_looked_up() -> None:
    assert [core_of(word) for word in ("(Don't)", "--", "U.S.")] == ["don't", "", "u.s"]


def test_at_least_one_word_is_drawn_and_never_one_that_is_kept() -> None:
    passage = replace(passage_of("a b c . d"), kept=frozenset({1}))
    dice = np.random.default_rng(0)
    assert {len(passage.some(0.01, dice)) for _ in range(20)} == {1}
    assert {int(place) for _ in range(50) for place in passage.some(0.5, dice)} == {0, 2, 4}
    assert passage_of("... !").some(1.0, dice).tolist() == []


@pytest.mark.shared
@pytest.mark.parametrize("name", ["wnut17_ner", "ud_ewt_pos"])
def test_tags_of_real_sentences(shared: Path, name: str) -> None:
    task = load_task(str(shared / "datasets" / name))
    operator, dice = RandomWords(Random(strength=0.5), None), np.random.default_rng(0)
    moved = 0
    for row in task.train:
        found = row_of(row, operator(passages_of(row, "tagging"), dice), "tagging")
        assert found["tags"] == row["tags"]
        pairs = [sorted(zip(each["tokens"], each["tags"], strict=True)) for each in (row, found)]
        assert pairs[0] == pairs[1]
        moved += found["tokens"] != row["tokens"]
    assert moved > len(task.train) / 2


@pytest.mark.shared
def test_answers_in_real_contexts(shared: Path) -> None:
    task = load_task(str(shared / "datasets" / "squad"))
    operator, dice = RandomWords(Random(strength=0.5), None), np.random.default_rng(0)
    for row in task.train:
        found = row_of(row, operator(passages_of(row, "question_answering"), dice), "question_answering")
        (answer,), (start,) = found["answers"]["text"], found["answers"]["answer_start"]
        assert answer == row["answers"]["text"][0].strip()
        assert found["context"][start : start + len(answer)] == answer
        assert found["context"] != row["context"]
