"""What is counted on a dataset, against slow counts over its rows."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from autodistill.datasets.descriptors import Descriptors, dataset_name, describe, sentence_about
from autodistill.datasets.words import words_of
from engine.data.task import Task
from tests.tasks import make_task
from tests.toys import ROWS, toy_task

TEXTS = {
    "classification": ("text", "text_pair"),
    "regression": ("text", "text_pair"),
    "tagging": ("tokens",),
    "multi_label": ("text", "text_pair"),
    "question_answering": ("question", "context"),
}


def example_words(row: dict[str, Any], kind: str) -> list[str]:
    """All words of an example."""
    words = []
    for field in TEXTS[kind]:
        if field in row:
            text = row[field] if isinstance(row[field], str) else " ".join(row[field])
            words += words_of(text)
    return words


def labelled(*labels: int, names: tuple[str, ...] = ("no", "yes"), text: str = "a text") -> Task:
    return make_task("classification", [{"text": text, "label": label} for label in labels], labels=names)


@pytest.mark.parametrize("name", ROWS)
def test_every_kind_of_task_is_counted(name: str) -> None:
    task = toy_task(name, rows=40, held_out=10)
    found, rows = describe(task), list(task.train)
    lengths = [len(example_words(row, task.kind)) for row in rows]
    assert found.words_mean == pytest.approx(np.mean(lengths))
    assert found.words_deviation == pytest.approx(np.std(lengths))
    words = {word for row in rows for word in example_words(row, task.kind)}
    assert found.type_token_ratio == pytest.approx(len(words) / sum(lengths))
    assert (found.dataset, found.fingerprint) == (f"toy{name}", task.fingerprint)
    assert (found.task_kind, found.metric, found.pair) == (task.kind, task.metric, task.pair)
    assert (found.n_train, found.labels) == (40, len(task.labels))
    assert found.bilstm_score is None


@pytest.mark.parametrize("name", ["single", "tagging"])
def test_label_entropy_is_a_share_of_the_largest_possible(name: str) -> None:
    task = toy_task(name, rows=40, held_out=10)
    labels = [tag for row in task.train for tag in row["tags"]] if name == "tagging" else task.train["label"]
    shares = [count / len(labels) for count in Counter(labels).values()]
    expected = -sum(share * math.log(share) for share in shares) / math.log(len(task.labels))
    assert describe(task).label_entropy == pytest.approx(expected)


def test_of_several_labels_a_row_the_entropy_is_that_of_all() -> None:
    rows = [{"text": "a text", "label": label} for label in ([0, 1], [0], [], [0, 2])]
    found = describe(make_task("multi_label", rows, labels=("a", "b", "c", "d")))
    assert found.label_entropy == pytest.approx(-(0.6 * math.log(0.6) + 2 * 0.2 * math.log(0.2)) / math.log(4))
    assert "Say which of these apply to a text, several or none: a, b, c, d." in sentence_about(
        make_task("multi_label", rows, labels=("a", "b", "c", "d"))
    )


@pytest.mark.parametrize(
    ("labels", "names", "entropy"),
    [
        ((0, 1, 0, 1), ("no", "yes"), 1.0),
        ((0, 0, 0), ("no", "yes"), 0.0),
        ((0, 0), ("only",), 0.0),
        ((0, 1), ("a", "b", "c", "never"), 0.5),
        (tuple(range(60)), tuple(map(str, range(60))), 1.0),
    ],
)
def test_label_entropy(labels: tuple[int, ...], names: tuple[str, ...], entropy: float) -> None:
    assert describe(labelled(*labels, names=names)).label_entropy == pytest.approx(entropy)


@pytest.mark.parametrize("name", ["regression", "question_answering"])
def test_without_classes_there_is_no_entropy(name: str) -> None:
    found = describe(toy_task(name, rows=10, held_out=5))
    assert (found.labels, found.label_entropy) == (0, 0.0)


def test_variety_is_taken_over_the_first_words() -> None:
    """Otherwise it would fall with the size of the dataset."""
    short, long = (labelled(*[0] * rows, text=" ".join(map(str, range(100)))) for rows in (100, 300))
    assert describe(short).type_token_ratio == describe(long).type_token_ratio == pytest.approx(0.01)


@pytest.mark.parametrize("text", ["!!! …", "这部电影很好看,我喜欢。", "😀"])
def test_texts_without_words_as_we_know_them(text: str) -> None:
    found = describe(labelled(0, 1, 0, text=text))
    assert found.words_mean == len(words_of(text))
    assert found.words_deviation == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("single", "Say to which class a text belongs: bad, dull, good."),
        ("pair", "Say to which class a pair of texts belongs: bad, good."),
        ("regression", "Give a number to a text."),
        ("tagging", "Give a tag to each word of a text: O, NAME, VERB."),
        ("question_answering", "Find the answer to a question in a text."),
    ],
)
def test_a_task_that_nobody_describes_is_put_into_a_sentence(name: str, sentence: str) -> None:
    task = toy_task(name, rows=10, held_out=5)
    assert sentence_about(task) == describe(task).description == sentence


def test_a_description_is_taken_as_given() -> None:
    assert describe(labelled(0, 1), "Say whether it is so.").description == "Say whether it is so."


def test_label_names_are_words() -> None:
    assert sentence_about(labelled(0, 1, names=("card_arrival", "lost_card"))).endswith("card arrival, lost card.")


def test_descriptors_come_back_from_text() -> None:
    """As a table of text holds them."""
    found = describe(toy_task("pair", rows=10, held_out=5)).model_copy(update={"bilstm_score": 0.75})
    assert Descriptors.model_validate({key: str(value) for key, value in found.model_dump().items()}) == found


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("glue/SST-2", "sst2"),
        ("sst_2", "sst2"),
        ("STS-B", "stsb"),
        ("QNLI", "qnli"),
        ("ud_ewt_pos", "ud_ewt_pos"),
        ("wnut17_ner", "wnut17_ner"),
        ("somebody/Film Reviews", "filmreviews"),
        ("评论", "评论"),
    ],
)
def test_a_dataset_has_one_spelling(given: str, name: str) -> None:
    assert dataset_name(given) == name
    assert dataset_name(name) == name
