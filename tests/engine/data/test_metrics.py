"""Which scores a task can have, and which one counts."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from engine.base.errors import InputError
from engine.data.metrics import ALIASES, choose_metrics, fitting_metrics, marks_spans, positive_class
from engine.data.task import TASK_KINDS, TaskKind

METRIC_CASES: list[tuple[str, int, str | None, tuple[str, ...]]] = [
    ("classification", 2, None, ("accuracy", "balanced_accuracy", "f1", "f1_macro", "mcc")),
    ("classification", 2, "f1_macro", ("f1_macro", "accuracy", "balanced_accuracy", "f1", "mcc")),
    ("classification", 5, None, ("accuracy", "balanced_accuracy", "f1_macro", "mcc")),
    ("classification", 5, "matthews correlation", ("mcc", "accuracy", "balanced_accuracy", "f1_macro")),
    ("regression", 0, "Pearson", ("pearson", "spearman")),
    ("question_answering", 0, "squad f1", ("squad_f1", "exact_match")),
]


@pytest.mark.parametrize(("kind", "classes", "wanted", "expected"), METRIC_CASES)
def test_metrics(kind: Any, classes: int, wanted: str | None, expected: tuple[str, ...]) -> None:
    assert choose_metrics(kind, [str(index) for index in range(classes)], wanted) == expected


def test_a_metric_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(InputError, match="no metric of classification of 3 classes; got 'f1'; allowed: accuracy"):
        choose_metrics("classification", "abc", "f1")
    with pytest.raises(InputError, match="Did you mean spearman"):
        choose_metrics("regression", (), "speerman")


@pytest.mark.parametrize("kind", TASK_KINDS)
@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c"), ("O", "B-x", "I-x")], ids=len)
def test_every_metric_that_fits_is_computed_and_may_count(kind: TaskKind, labels: tuple[str, ...]) -> None:
    """Under its name and all of its other names, as people write them."""
    fitting = fitting_metrics(kind, labels)
    assert choose_metrics(kind, labels, None) == fitting
    others = [alias for alias, name in ALIASES.items() if name in fitting]
    for wanted in (*fitting, *others, *(name.upper().replace("_", "-") for name in fitting)):
        chosen = choose_metrics(kind, labels, f" {wanted} ")
        assert chosen[0] == ALIASES.get(wanted, wanted.lower().replace("-", "_"))
        assert sorted(chosen) == sorted(fitting)


def test_no_metric_of_one_kind_is_anothers_but_accuracy_and_a_mean_of_f1() -> None:
    fitting = {kind: set(fitting_metrics(kind, ("O", "B-x", "I-x"))) for kind in TASK_KINDS}
    for kind, other in combinations(TASK_KINDS, 2):
        assert fitting[kind] & fitting[other] <= {"accuracy", "f1_macro"}
        for name in fitting[kind] - fitting[other]:
            with pytest.raises(InputError, match=f"no metric of {other.replace('_', ' ')}"):
                choose_metrics(other, ("O", "B-x", "I-x"), name)


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        (("O", "B-x", "I-x"), True),
        (("B-x",), True),
        (("O", "S-x", "E-x", "B-x"), True),
        (("O",), False),
        (("O", "B-"), False),
        (("O", "B-x", "NOUN"), False),
        (("o", "B-x"), False),
    ],
)
def test_tags_that_mark_spans(labels: tuple[str, ...], spans: bool) -> None:
    assert marks_spans(labels) == spans
    assert ("seqeval_f1" in fitting_metrics("tagging", labels)) == spans


@pytest.mark.parametrize(
    ("counts", "wanted", "published", "expected"),
    [
        ((95, 5), None, False, (1, "the rarer one")),
        ((5, 95), None, False, (0, "the rarer one")),
        ((5, 5), None, False, (1, "the second one")),
        ((5, 95), None, True, (1, "as in the benchmark")),
        ((5, 95), "ok", False, (1, "as named")),
    ],
)
def test_the_positive_class(
    counts: tuple[int, int], wanted: str | None, published: bool, expected: tuple[int, str]
) -> None:
    assert positive_class(("bad", "ok"), counts, wanted, published) == expected


def test_a_positive_class_that_is_none() -> None:
    with pytest.raises(InputError, match="--positive: no such class; got 'goood'.*Did you mean good"):
        positive_class(("bad", "good"), (1, 1), "goood", False)
    with pytest.raises(InputError, match="--positive: only where there are two classes one is positive; got 3 classes"):
        positive_class(("a", "b", "c"), (1, 1, 1), "a", False)
