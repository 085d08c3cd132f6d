"""What is inferred, what overrides it, and how rows look in normal form."""

from __future__ import annotations

from typing import Any

import datasets
import pandas as pd
import pytest

from engine.base.errors import InputError
from engine.data.load import load_task
from tests.engine.data.written import load

TEXTS = [f"a text of some length, number {row}" for row in range(60)]
SHORT = [f"s{row}" for row in range(60)]


COLUMN_CASES: dict[str, tuple[dict[str, list[Any]], dict[str, str]]] = {
    "well-known names": ({"id": SHORT, "text": TEXTS, "label": ["a", "b"] * 30}, {"text": "text", "label": "label"}),
    "capital letters": ({"Review": TEXTS, "Sentiment": ["a", "b"] * 30}, {"text": "Review", "label": "Sentiment"}),
    "pairs": (
        {"premise": TEXTS, "hypothesis": SHORT, "label": [0, 1] * 30},
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
    ),
    "question and sentence": (
        {"question": TEXTS, "sentence": TEXTS, "label": [0, 1] * 30},
        {"text": "question", "text_pair": "sentence", "label": "label"},
    ),
    "yes/no questions": (
        {"question": SHORT, "passage": TEXTS, "answer": [True, False] * 30},
        {"text": "question", "text_pair": "passage", "label": "answer"},
    ),
    "the longest text": ({"aa": SHORT, "bb": TEXTS, "cc": ["x", "y"] * 30}, {"text": "bb", "label": "cc"}),
    "content before title": (
        {"title": SHORT, "content": TEXTS, "stars": [1, 2, 3] * 20},
        {"text": "content", "label": "stars"},
    ),
    "the one column that changes": (
        {"text": TEXTS, "spam": [True, False] * 30, "source": ["mail"] * 60},
        {"text": "text", "label": "spam"},
    ),
    "a name like a label beside what cannot be one": (
        {"id": list(range(60)), "text": TEXTS, "title": SHORT, "stars": [1, 2, 3] * 20, "language": ["en"] * 60},
        {"text": "text", "label": "stars"},
    ),
    "label is preferred to score": (
        {"score": [0.5, 0.1] * 30, "text": TEXTS, "label": ["x", "y"] * 30},
        {"text": "text", "label": "label"},
    ),
}


@pytest.mark.parametrize("case", COLUMN_CASES)
def test_columns_are_found(case: str) -> None:
    columns, expected = COLUMN_CASES[case]
    task = load(columns)
    assert task.columns == expected
    assert task.pair == ("text_pair" in expected)
    for column in expected.values():
        assert any(f"'{column}'" in note for note in task.notes), task.notes


KIND_CASES: dict[str, tuple[list[Any], str, tuple[str, ...]]] = {
    "words": (["spam", "ham"], "classification", ("ham", "spam")),
    "booleans": ([True, False], "classification", ("False", "True")),
    "whole numbers": ([10, 9, 1], "classification", ("1", "9", "10")),
    "minus one is a class": ([-1, 0, 1], "classification", ("-1", "0", "1")),
    "whole numbers written as decimals": ([1.0, 0.0], "classification", ("0", "1")),
    "texts of whole numbers": (["1", "0"], "classification", ("0", "1")),
    "decimal numbers": ([0.5, 1.25, 3.0], "regression", ()),
    "texts of decimal numbers": (["0.5", "1.25"], "regression", ()),
    "very many whole numbers": (list(range(60)), "regression", ()),
    "spaces around names": ([" a", "a ", "b"], "classification", ("a", "b")),
}


@pytest.mark.parametrize("case", KIND_CASES)
def test_kind_is_told_by_the_labels(case: str) -> None:
    values, kind, labels = KIND_CASES[case]
    task = load({"text": TEXTS, "label": (values * 60)[:60]})
    assert (task.kind, task.labels) == (kind, labels)
    assert any(note.startswith(f"task: {kind} (labels are ") for note in task.notes)
    assert task.outputs == (len(labels) or 1)


def test_labels_become_indices_of_sorted_names() -> None:
    task = load({"text": TEXTS, "label": ["b", "c", "a"] * 20})
    assert task.train["label"][:3] == [1, 2, 0]
    assert "3 classes: a (33 %), b (33 %), c (33 %)" in task.notes
    rare = load({"text": TEXTS * 5, "label": ["no"] * 298 + ["yes", "maybe"]})
    assert "3 classes: maybe (<1 %), no (99 %), yes (<1 %)" in rare.notes


def test_class_names_of_features_keep_their_order() -> None:
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["z", "a", "m"]))
    rows = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1] * 30}, features=features)
    task = load_task({"train": rows, "validation": rows})
    assert task.labels == ("z", "a", "m")
    assert "classes without a training row: m" in task.notes
    assert any("the source names its classes" in note for note in task.notes)


def test_splits_that_number_their_classes_differently_agree() -> None:
    def rows(names: list[str], labels: list[int]) -> datasets.Dataset:
        features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=names))
        return datasets.Dataset.from_dict({"text": list("abcd"), "label": labels}, features=features)

    numbered, named = rows(["no", "yes"], [0, 1, 1, 1]), rows(["yes", "no"], [1, 0, 0, 0])
    words = pd.DataFrame({"text": list("abcd"), "label": ["no", "yes", "yes", "yes"]})
    for train in (numbered, words):
        for validation in (numbered, named, words):
            task = load_task({"train": train, "validation": validation})
            assert task.labels == ("no", "yes")
            assert task.train["label"][:] == task.validation["validation"]["label"][:] == [0, 1, 1, 1]


def test_tagging() -> None:
    columns = {
        "id": SHORT,
        "tokens": [["Ada", "wrote"]] * 60,
        "pos_tags": [["NOUN", "VERB"]] * 60,
        "ner_tags": [["B-PER", "O"]] * 60,
    }
    task = load(columns, label="ner_tags")
    assert (task.kind, task.labels, task.metrics) == ("tagging", ("B-PER", "O"), ("seqeval_f1", "accuracy"))
    assert task.train[0] == {"tokens": ["Ada", "wrote"], "tags": [0, 1]}
    assert "2 tags: B-PER (50 %), O (50 %)" in task.notes
    assert load({name: columns[name] for name in ("tokens", "ner_tags")}).labels == ("B-PER", "O")
    other = load(columns, label="pos_tags")
    assert (other.labels, other.metrics) == (("NOUN", "VERB"), ("accuracy",))


AMBIGUOUS: dict[str, tuple[dict[str, list[Any]], list[str]]] = {
    "by their values": (
        {"Text": TEXTS, "Genre": ["novel", "novel", "poem"] * 20, "Editor": ["A", "B"] * 30},
        ["'Genre' (2 values: novel (67 %), poem (33 %))", "'Editor' (2 values: A (50 %), B (50 %))"],
    ),
    "by their names": (
        {"text": TEXTS, "stars": [1, 2] * 30, "sentiment": ["bad", "good"] * 30, "score": [n / 2 for n in range(60)]},
        [
            "'sentiment' (2 values: bad (50 %), good (50 %))",
            "'stars' (2 values: 1 (50 %), 2 (50 %))",
            "'score' (60 numbers from 0 to 29.5)",
        ],
    ),
    "by the name of one and the values of another": (
        {"text": TEXTS, "score": [n / 2 for n in range(60)], "spam": ["yes", "no"] * 30, "source": ["mail"] * 60},
        ["'score' (60 numbers from 0 to 29.5)", "'spam' (2 values: yes (50 %), no (50 %))"],
    ),
    "an answer beside a topic": (
        {"topic": ["p", "q", "r"] * 20, "text": TEXTS, "answer": ["A", "B"] * 30},
        ["'answer' (2 values: A (50 %), B (50 %))", "'topic' (3 values: p (33 %), q (33 %), r (33 %))"],
    ),
    "of tags": (
        {"tokens": [["Ada", "wrote"]] * 60, "pos_tags": [["N", "V"]] * 60, "ner_tags": [["B-PER", "O"]] * 60},
        ["'ner_tags' (2 values: B-PER (50 %), O (50 %))", "'pos_tags' (2 values: N (50 %), V (50 %))"],
    ),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_a_label_is_never_guessed(case: str) -> None:
    columns, described = AMBIGUOUS[case]
    with pytest.raises(InputError) as caught:
        load(columns)
    (problem,) = caught.value.problems
    assert problem.what == f"{len(described)} columns could hold the labels"
    assert problem.got == "; ".join(described)
    assert "--label" in problem.suggestion
    for column in columns:
        if f"'{column}'" in problem.got:
            assert column in load(columns, label=column).columns.values()


def test_tag_names_of_features() -> None:
    features = datasets.Features(
        words=datasets.List(datasets.Value("string")),
        tags=datasets.List(datasets.ClassLabel(names=["O", "B-x", "I-x"])),
    )
    rows = datasets.Dataset.from_dict({"words": [["a", "b"]] * 4, "tags": [[1, 2], [0, 0]] * 2}, features=features)
    task = load_task({"train": rows, "validation": rows})
    assert task.labels == ("O", "B-x", "I-x")
    assert task.train["tags"][0] == [1, 2]


def test_question_answering() -> None:
    columns = {
        "question": ["Who?", "What?"],
        "context": ["It was Ada.", "The engine it was."],
        "answers": [{"text": ["Ada"], "answer_start": [7]}, {"text": ["engine"], "answer_start": [5]}],
    }
    task = load(columns)
    assert (task.kind, task.outputs, task.token_level) == ("question_answering", 2, True)
    assert task.train["id"][:] == ["0", "1"]
    assert task.train["answers"][1] == {"text": ["engine"], "answer_start": [4]}
    assert any("1 wrong answer_start mended" in note for note in task.notes)


def test_what_the_user_names_goes_first() -> None:
    columns = {"text": SHORT, "summary": TEXTS, "label": ["a", "b"] * 30, "score": [0.5, 1.5] * 30}
    task = load(columns, text="summary", label="score", name="mine", metric="pearson")
    assert task.columns == {"text": "summary", "label": "score"}
    assert (task.kind, task.name, task.metrics) == ("regression", "mine", ("pearson", "spearman"))
    assert "columns that are not used: text, label" in task.notes
    assert load(columns, text="text", text_pair="summary").pair
    assert load(columns, text_pair="summary").columns["text"] == "text"
    assert load({"text": TEXTS, "label": [1, 2, 3] * 20}, kind="regression").train["label"][:2] == [1.0, 2.0]


def test_every_column_that_is_not_used_is_named() -> None:
    """Names of rows, too; those of questions are used."""
    rows = {"id": list("abcdef"), "text": ["good", "bad"] * 3, "region": list("nsnsns"), "label": [1, 0] * 3}
    assert "columns that are not used: id, region" in load_task(pd.DataFrame(rows)).notes
    answers = [{"text": ["Ada"], "answer_start": [0]}] * 6
    rows = {"id": list("abcdef"), "question": ["Who?"] * 6, "context": ["Ada did."] * 6, "answers": answers}
    assert not [note for note in load_task(pd.DataFrame(rows)).notes if "not used" in note]


@pytest.mark.parametrize(
    ("column", "different", "found"),
    [
        ("category", 77, True),
        ("Intent", 150, True),
        ("category", 151, False),
        ("category", 300, False),
        ("topic", 77, False),
    ],
)
def test_a_column_that_is_called_like_labels_may_have_many_classes(column: str, different: int, found: bool) -> None:
    """BANKING77 has 77 in `category`; what differs in more than half of the rows is no class."""
    rows = {"text": [f"text {row}" for row in range(300)], column: [f"c{row % different}" for row in range(300)]}
    if found:
        assert len(load(rows).labels) == different
        return
    with pytest.raises(InputError, match="cannot tell which column holds the labels"):
        load(rows)
