"""Names of models: every form is understood, every slip is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import InputError
from engine.models.names import FORMS, BiLSTM, LayersOfTeacher, Scratch, Static, parse_model


@given(st.integers(1, 99), st.integers(1, 16), st.integers(1, 64))
def test_scratch_says_its_sizes(layers: int, heads: int, width: int) -> None:
    name = f"scratch:layers={layers},hidden={heads * width},heads={heads}"
    assert parse_model(name, "teacher") == Scratch(layers, heads * width, heads)


@given(st.integers(1, 99))
def test_layers_of_the_teacher(count: int) -> None:
    assert parse_model(f"layers:{count}", "student") == LayersOfTeacher(count)


@pytest.mark.parametrize(
    "name, meant",
    [
        ("lstm", BiLSTM(64)),
        ("lstm:", BiLSTM(64)),
        ("lstm:hidden=100", BiLSTM(100)),
        ("static", Static()),
        ("static:width=128", Static(128)),
    ],
)
def test_students_that_are_no_transformers(name: str, meant: object) -> None:
    assert parse_model(name, "student") == meant
    for role in ("teacher", "team.members", "members"):
        with pytest.raises(InputError, match="it learns from a transformer and teaches none"):
            parse_model(name, role)


@pytest.mark.parametrize("word", FORMS)
def test_every_form_has_an_example(word: str) -> None:
    assert FORMS[word].example.startswith(f"{word}:")
    assert not isinstance(parse_model(FORMS[word].example, "student"), str)


@pytest.mark.parametrize("hidden, heads", [(256, 4), (64, 1), (32, 1), (100, 1), (200, 3)])
def test_heads_are_64_wide_where_they_are_not_named(hidden: int, heads: int) -> None:
    if hidden % heads:
        with pytest.raises(InputError, match=f"hidden={hidden} is not a multiple of heads={heads}"):
            parse_model(f"scratch:layers=1,hidden={hidden}", "student")
    else:
        assert parse_model(f"scratch:layers=1,hidden={hidden}", "student") == Scratch(1, hidden, heads)


@pytest.mark.parametrize("name", ["bert-base-uncased", "org/model", "./lstm", "C:\\models", "layers", "scratch"])
def test_everything_else_is_a_hub_name_or_a_folder(name: str) -> None:
    assert parse_model(name, "teacher") == name


@pytest.mark.parametrize(
    "name, words",
    [
        ("", "no model was named"),
        ("  ", "no model was named"),
        ("layers:0", "whole number above 0"),
        ("layers:-1", "whole number above 0"),
        ("layers:", "whole number above 0"),
        ("layers:²", "whole number above 0"),
        ("layers:3.5", "whole number above 0"),
        ("scratch:", "scratch needs layers"),
        ("scratch:layers=2", "scratch needs hidden"),
        ("scratch:layers=two,hidden=64", "layers must be a whole number above 0; got 'two'"),
        ("scratch:layers=²,hidden=64", "layers must be a whole number above 0"),
        ("scratch:layers=0,hidden=64", "layers must be a whole number above 0"),
        ("scratch:layers=2,hidden=64,heads=3", "not a multiple of heads=3"),
        ("scratch:layers=2,hidden=64,depth=1", "scratch has no 'depth'"),
        ("scratch:layers=2,hidden=64,deep", "scratch has no 'deep'"),
        ("scratch:layers=2,hidden=64,layers=3", "something twice"),
        ("lstm:width=3", "lstm has no 'width'; got 'lstm:width=3'; allowed: hidden"),
        ("lstm:64", "lstm has no '64'"),
        ("static:width=0", "width must be a whole number above 0"),
    ],
)
def test_slips(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")) as caught:
        parse_model(name, "student")
    assert all(problem.place == "--student" for problem in caught.value.problems)


def test_all_slips_of_a_name_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_model("scratch:layers=x,width=3", "teacher")
    assert len(caught.value.problems) == 3


def test_a_teacher_is_no_part_of_itself() -> None:
    with pytest.raises(InputError, match="layers:K is a way to start a student"):
        parse_model("layers:2", "teacher")
