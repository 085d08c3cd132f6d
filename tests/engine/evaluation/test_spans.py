"""Answers that are spans, and questions that have none: SQuAD 2.0's rules, and the threshold that scores best."""

from __future__ import annotations

import random

import numpy as np
import pytest

from engine.data.metrics import with_parts
from engine.evaluation.intervals import exact, measure
from engine.evaluation.scores import predictions, scores, trivial_score
from engine.evaluation.spans import Spans, best_threshold, spans_of
from engine.tokens.examples import encode
from tests.reference import squad2
from tests.tasks import make_task
from tests.tokenizers import wordpiece

CONTEXT = "In the year 1815 Ada Byron was born; an engine of the Countess, The Analytical one, came later."
PIECES = ["1815", "the year 1815", "Ada Byron", "Byron", "an engine", "The Analytical one", "The Countess!", "later"]
METRICS = with_parts(("squad_f1", "exact_match"))


def a_task(seed: int, rows: int = 40, metrics: tuple[str, ...] = METRICS):
    """Questions of which about a third have no answer, some with several accepted ones."""
    dice, made = random.Random(seed), []
    for row in range(rows):
        texts = dice.sample(PIECES[:6], k=0 if dice.random() < 0.35 else dice.randint(1, 3))
        answers = {"text": texts, "answer_start": [CONTEXT.index(text) for text in texts]}
        made.append({"id": str(row), "question": "Who was it?", "context": CONTEXT, "answers": answers})
    return make_task("question_answering", made, metrics=metrics), dice


def golds(task) -> list[list[str]]:
    return [answers["text"] for answers in task.train["answers"][:]]


@pytest.mark.parametrize("seed", range(4))
def test_the_scores_are_those_of_squad_2(seed: int) -> None:
    task, dice = a_task(seed)
    answers = [dice.choice(["", *PIECES]) for _ in range(len(task.train))]
    expected = squad2.evaluated(golds(task), answers)
    assert scores(task, task.train, answers) == pytest.approx(expected)
    assert exact(task, task.train, answers) == pytest.approx(expected)
    measured = measure(task, task.train, answers)
    assert all(low <= measured.scores[name] <= high for name, (low, high) in measured.intervals.items())


def test_a_part_without_rows_scores_0() -> None:
    answered = [{"id": "0", "question": "Who?", "context": "Ada", "answers": {"text": ["Ada"], "answer_start": [0]}}]
    task = make_task("question_answering", answered, metrics=METRICS)
    found = scores(task, task.train, ["Ada"])
    assert found == {"squad_f1": 1, "exact_match": 1, "has_answer_f1": 1, "has_answer_exact_match": 1,
                     "no_answer_accuracy": 0}  # fmt: skip
    assert exact(task, task.train, ["Ada"]) == found


def test_the_trivial_answer_is_that_there_is_none() -> None:
    task, _ = a_task(0)
    share = sum(not gold for gold in golds(task)) / len(task.train)
    assert trivial_score(task, task.train) == pytest.approx(share)
    plain, _ = a_task(0, metrics=METRICS[:2])
    assert trivial_score(plain, plain.train) is None


@pytest.mark.parametrize("metric", METRICS[:2])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_threshold_scores_better(metric: str, seed: int) -> None:
    task, dice = a_task(seed)
    texts = [dice.choice(PIECES) for _ in range(len(task.train))]
    margins = [dice.choice([-2.0, dice.gauss(0, 3), dice.gauss(2, 3)]) for _ in texts]
    spans = Spans(texts, np.array(margins))
    threshold = best_threshold(spans, task.train["answers"][:], metric)
    found = squad2.evaluated(golds(task), spans.answers(threshold))[metric]
    assert found == pytest.approx(squad2.best_score(golds(task), texts, margins, metric))


def test_where_no_threshold_helps_it_is_near_0() -> None:
    none = [{"text": []}] * 2
    assert best_threshold(Spans(["a", "b"], np.array([3.0, np.inf])), none, "squad_f1") == 2.0
    assert best_threshold(Spans(["a", "b"], np.array([np.inf, np.inf])), none, "squad_f1") == 0.0


def test_of_a_rows_windows_the_one_that_says_none_least_counts() -> None:
    """A window without the answer says so rightly; another one may hold it."""
    task, _ = a_task(0, rows=1)
    encoded = encode(task.train, task, wordpiece(), 24, 4)
    assert len(encoded) > 2
    logits = [np.zeros((n, 2)) for n in encoded.lengths]
    for values, null in zip(logits, [9.0, 1.0, 9.0, 9.0, 9.0, 9.0], strict=False):
        values[0] = null / 2
    token = int(np.flatnonzero(encoded.segments[1] == 3)[0])
    logits[1][token] = 2.0, 2.0
    spans = spans_of(encoded, logits)
    assert spans.margins == pytest.approx([1.0 - 4.0])
    assert predictions(task, encoded, logits, threshold=-4.0) == [""]
    assert predictions(task, encoded, logits, threshold=-2.0) == spans.texts == predictions(task, encoded, logits)
    assert spans.chances_of_none(-3.0) == [0.5]
    assert spans.chances_of_none(-6.0)[0] > 0.9
