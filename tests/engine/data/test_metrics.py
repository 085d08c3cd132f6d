"""Which scores a task can have, and which one counts."""

from __future__ import annotations

from typing import Any

import pytest

from engine.base.errors import InputError
from engine.data.metrics import choose_metrics

METRIC_CASES: list[tuple[str, int, str | None, tuple[str, ...]]] = [
    ("classification", 2, None, ("accuracy", "f1", "mcc")),
    ("classification", 2, "f1_macro", ("f1_macro", "accuracy", "f1", "mcc")),
    ("classification", 5, None, ("accuracy", "f1_macro", "mcc")),
    ("classification", 5, "matthews correlation", ("mcc", "accuracy", "f1_macro")),
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
