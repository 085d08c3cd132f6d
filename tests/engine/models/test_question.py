"""What a language model is asked, as it is typed or where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.base.options import FineTuning
from engine.models.question import is_asked, question_for
from tests.tasks import make_task
from tests.toys import save_causal, save_tiny, toy_task

SINGLE = toy_task("single", rows=8, held_out=8)


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("causal")
    save_causal(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ({}, False),
        ({"when": "never"}, True),
        ({"prompt": "{text} is"}, True),
        ({"label_words": "bad=awful"}, True),
        ({"uncalibrated": True}, True),
        ({"when": "always", "prompt": "{text} is"}, False),
    ],
)
def test_who_is_asked(how: dict[str, object], asked: bool, causal: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, SINGLE)
    assert is_asked(causal, FineTuning(**how)) is asked
    assert not is_asked(str(tmp_path), FineTuning(**how))
    assert not is_asked("scratch:layers=2,hidden=8", FineTuning(**how))


def test_the_usual_question_names_the_words() -> None:
    question = question_for(SINGLE, FineTuning())
    assert question.prompt == "Text: {text}\nWhich of these fits best: bad, dull, good?\nAnswer:"
    assert question.words == ("bad", "dull", "good")
    assert question.calibrated
    assert "{text_pair}" in question_for(toy_task("pair", rows=8, held_out=8), FineTuning()).prompt


def test_dozens_of_labels_are_not_read_with_every_text() -> None:
    labels = tuple(f"intent_{number}" for number in range(40))
    question = question_for(make_task("classification", [{"text": "a", "label": 0}], labels=labels), FineTuning())
    assert question.words[3] == "intent 3"
    assert question.prompt == "Text: {text}\nAnswer:"


def test_words_may_hold_commas_and_some_may_be_left_out() -> None:
    typed = question_for(SINGLE, FineTuning(label_words="bad = not good, awful,good=great"))
    assert typed.words == ("not good, awful", "dull", "great")
    assert question_for(SINGLE, FineTuning(label_words={"good": "great"})).words == ("bad", "dull", "great")
    assert typed.in_words(SINGLE.labels).endswith("answers bad as not good, awful, dull, good as great")


def test_a_typed_prompt_has_lines_and_no_space_at_its_end() -> None:
    assert question_for(SINGLE, FineTuning(prompt=r"{text}\n{labels}: ")).prompt == "{text}\nbad, dull, good:"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"label_words": "goood=great"}, "Did you mean good?"),
        ({"label_words": "good="}, "a label needs a word"),
        ({"label_words": "good=a,good=b"}, "a label has two words"),
        ({"label_words": "good=fine,bad=fine"}, "these labels have the same word; got 'bad, good: 'fine''"),
        ({"label_words": "great"}, "this dataset has no such label"),
        ({"prompt": "It was"}, "{text} must stand in it once"),
    ],
)
def test_what_cannot_be_asked(how: dict[str, str], says: str) -> None:
    with pytest.raises(InputError) as error:
        question_for(SINGLE, FineTuning(**how))
    assert says.replace("'bad, good: 'fine''", "") in str(error.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as error:
        question_for(SINGLE, FineTuning(prompt="{txt}", label_words="goood=a"))
    assert len(error.value.problems) == 3


def test_only_classes_have_words() -> None:
    with pytest.raises(InputError, match="only classification has some; got regression"):
        question_for(toy_task("regression", rows=8, held_out=8), FineTuning(prompt="{text}"))
