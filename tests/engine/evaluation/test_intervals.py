"""Intervals: the way of the draws gives the libraries' scores, covers what it says, and is paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.metrics import fitting_metrics
from engine.data.task import Task
from engine.evaluation import intervals
from engine.evaluation.intervals import (
    RESAMPLES,
    Measured,
    as_record,
    draws,
    exact,
    from_record,
    in_words,
    lead_intervals,
    measure,
    ratio_interval,
)
from engine.evaluation.scores import scores
from tests.clock import within
from tests.tasks import make_task

NER = ("O", "B-PER", "I-PER", "B-LOC")
WORDS = ("the", "The,", "old", "wizard's", "an", "of", "Oz", "Oz.", "1984", "É", "-", "")


def classes(gold: list[int], labels: int) -> Task:
    names = tuple(map(str, range(labels)))
    rows = [{"text": "a", "label": label} for label in gold]
    return make_task("classification", rows, labels=names, metrics=fitting_metrics("classification", names))


def assert_same_scores(task: Task, answers: list) -> None:
    """scikit-learn's, scipy's, seqeval's and torchmetrics' scores are those of the sums."""
    assert exact(task, task.train, answers) == pytest.approx(scores(task, task.train, answers), abs=1e-6)


@given(st.data(), st.integers(2, 5), st.integers(0, 1))
def test_scores_of_classes(data: st.DataObject, labels: int, positive: int) -> None:
    pairs = st.lists(st.tuples(*[st.integers(0, labels - 1)] * 2), min_size=1, max_size=30)
    gold, answers = map(list, zip(*data.draw(pairs), strict=True))
    assert_same_scores(replace(classes(gold, labels), positive=positive), answers)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=30))
def test_scores_of_numbers(pairs: list[tuple[int, int]]) -> None:
    task = make_task("regression", [{"text": "a", "label": gold / 4} for gold, _ in pairs])
    assert_same_scores(task, [answer / 3 for _, answer in pairs])


@given(st.lists(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=8), min_size=1, max_size=8))
def test_scores_of_tags(rows: list[list[tuple[int, int]]]) -> None:
    tagged = [{"tokens": ["a"] * len(row), "tags": [gold for gold, _ in row]} for row in rows]
    task = make_task("tagging", tagged, labels=NER, metrics=("seqeval_f1", "accuracy"))
    assert_same_scores(task, [[answer for _, answer in row] for row in rows])


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.lists(st.sampled_from(WORDS), max_size=4)] * 3), min_size=1, max_size=5))
def test_scores_of_answers(rows: list[tuple[list[str], ...]]) -> None:
    asked = [
        {"question": "q", "context": "c", "answers": {"text": [" ".join(one), " ".join(two)], "answer_start": [0, 0]}}
        for one, two, _ in rows
    ]
    task = make_task("question_answering", asked)
    assert_same_scores(task, [" ".join(answer) for *_, answer in rows])


# --- what an interval says ---------------------------------------------------------------------------


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Of a model that is right with probability 0.8, 95 % of 200 intervals, give or take three errors."""
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        right = random.random(150) < 0.8
        gold = random.integers(0, 2, 150)
        low, high = measure(classes(gold.tolist(), 2), *_of(gold, right)).intervals["accuracy"]
        covered += low <= 0.8 <= high
    assert 0.90 <= covered / 200 <= 0.99


def _of(gold: np.ndarray, right: np.ndarray) -> tuple:
    task = classes(gold.tolist(), 2)
    return task.train, np.where(right, gold, 1 - gold).tolist()


def test_the_width_is_that_of_theory() -> None:
    gold = np.arange(400) % 2
    task = classes(gold.tolist(), 2)
    drawn = draws(task, *_of(gold, np.arange(400) % 10 < 8))["accuracy"]
    assert drawn.shape == (RESAMPLES,)
    assert drawn.std() == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.1)


@pytest.mark.parametrize("rows", [10, 100])
def test_a_model_without_an_error_may_still_err(rows: int) -> None:
    task = classes([0, 1] * (rows // 2), 2)
    perfect = measure(task, task.train, [0, 1] * (rows // 2)).intervals["accuracy"]
    wrong = measure(task, task.train, [1, 0] * (rows // 2)).intervals["accuracy"]
    assert perfect == pytest.approx([0.025 ** (1 / rows), 1.0])
    assert wrong == pytest.approx([0.0, 1 - 0.025 ** (1 / rows)])


def test_a_class_of_two_rows_tells_little() -> None:
    """A model never finds it: F1 may be anything up to 0.84, and no draw without it makes the other scores perfect."""
    task = replace(classes([0] * 48 + [1] * 2, 2), positive=1)
    found = measure(task, task.train, [0] * 50).intervals
    assert found["f1"] == pytest.approx([0.0, 1 - 0.025**0.5])
    assert found["balanced_accuracy"] == pytest.approx([0.5, 0.5])
    assert found["f1_macro"][1] <= 0.5
    perfect = measure(task, task.train, [0] * 48 + [1] * 2).intervals
    for metric in ("f1_macro", "balanced_accuracy", "mcc"):
        assert perfect[metric] == pytest.approx([0.025**0.5, 1.0])


def test_draws_in_pieces_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gold = np.arange(50) % 2
    task, (rows, answers) = classes(gold.tolist(), 2), _of(gold, np.arange(50) % 7 > 1)
    whole = draws(task, rows, answers)["mcc"]
    monkeypatch.setattr(intervals, "CELLS", 50 * 300)
    assert draws(task, rows, answers)["mcc"] == pytest.approx(whole)


def test_a_ratio_is_paired() -> None:
    """A student that errs where its teacher does, and once more, is closer to it than one that errs elsewhere."""
    gold = np.arange(300) % 2
    task = classes(gold.tolist(), 2)
    teacher = np.arange(300) >= 60
    near, far = teacher & (np.arange(300) != 299), np.arange(300) < 239
    assert near.sum() == far.sum() == 239
    measured = [measure(task, *_of(gold, right)) for right in (near, far, teacher)]
    widths = []
    for student in measured[:2]:
        low, high = ratio_interval(task, task.train, student, measured[2])
        assert low <= 239 / 240 <= high
        widths.append(high - low)
    assert widths[0] < widths[1] / 5


def test_the_ratio_to_a_perfect_teacher_is_as_uncertain_as_the_student() -> None:
    gold = np.arange(40) % 2
    task = classes(gold.tolist(), 2)
    teacher, student = (measure(task, *_of(gold, right)) for right in (np.arange(40) >= 0, np.arange(40) >= 4))
    low, high = ratio_interval(task, task.train, student, teacher)
    assert low <= student.intervals["accuracy"][0]
    assert high > student.intervals["accuracy"][1]


def test_a_lead_is_paired() -> None:
    """A student that errs where another model does, and more, is below it for sure; one that errs elsewhere is not."""
    gold = np.arange(300) % 2
    task = classes(gold.tolist(), 2)
    other = np.arange(300) >= 60
    near, far = other & (np.arange(300) < 292), np.arange(300) < 232
    students = [measure(task, *_of(gold, right)) for right in (near, far)]
    others = {"one": measure(task, *_of(gold, other)), "unknown": Measured({"accuracy": 0.8})}
    (sure, unsure) = (lead_intervals(task, task.train, student, others) for student in students)
    assert sure.keys() == unsure.keys() == {"one"}
    assert sure["one"][0] < -8 / 300 < sure["one"][1] < 0
    assert unsure["one"][0] < -8 / 300 < 0 < unsure["one"][1]


def test_a_lead_over_a_perfect_model_is_as_uncertain_as_the_student() -> None:
    gold = np.arange(40) % 2
    task = classes(gold.tolist(), 2)
    perfect, student = (measure(task, *_of(gold, right)) for right in (np.arange(40) >= 0, np.arange(40) >= 4))
    low, high = lead_intervals(task, task.train, student, {"perfect": perfect})["perfect"]
    assert low <= student.intervals["accuracy"][0] - 1
    assert high >= student.intervals["accuracy"][1] - 1
    assert lead_intervals(task, task.train, student, {}) == {}


def test_there_is_no_interval_where_the_teacher_may_know_nothing() -> None:
    gold = np.arange(40) % 2
    task = make_task("classification", [{"text": "a", "label": int(label)} for label in gold], labels=("a", "b"))
    task = classes(gold.tolist(), 2)
    by_chance = measure(task, task.train, [0, 0, 1, 1] * 10)
    told = ratio_interval(_by(task, "mcc"), task.train, by_chance, by_chance)
    assert told is None
    without_answers = from_record({"test": {"scores": {"accuracy": 0.5}}})["test"]
    assert ratio_interval(task, task.train, by_chance, without_answers) is None


def _by(task: Task, metric: str) -> Task:
    rows = task.train.to_list()
    return make_task("classification", rows, labels=task.labels, metrics=(metric,))


def test_the_same_every_time_and_as_json() -> None:
    gold = np.arange(30) % 2
    task = classes(gold.tolist(), 2)
    first, second = (measure(task, *_of(gold, np.arange(30) % 3 > 0)) for _ in range(2))
    assert first == second
    assert from_record(as_record({"test": first})) == {"test": first}
    assert in_words({"test": first}).startswith("accuracy 0.6667 (")


def test_scores_of_several_sets_say_whose_they_are() -> None:
    measures = {"matched": Measured({"accuracy": 0.5}), "mismatched": Measured({"mcc": -0.125, "accuracy": 0.25})}
    assert in_words(measures) == "accuracy 0.5000 on matched; mcc -0.1250 on mismatched"


def test_many_rows_and_classes_take_seconds() -> None:
    random = np.random.default_rng(0)
    task = classes(random.integers(0, 77, 3000).tolist(), 77)
    with within(seconds=20):
        measured = measure(task, task.train, random.integers(0, 77, 3000).tolist())
    assert measured.intervals["accuracy"][0] < 1 / 77 < measured.intervals["accuracy"][1]


def test_thousands_of_classes_fit_into_memory() -> None:
    """A dense matrix of rows and classes would have 6 · 10⁷ cells."""
    random = np.random.default_rng(0)
    gold = random.permutation(np.arange(10_000) % 2_000)
    task = classes(gold.tolist(), 2_000)
    with within(seconds=60):
        answers = np.where(random.random(10_000) < 0.7, gold, (gold + 1) % 2_000)
        measured = measure(task, task.train, answers.tolist())
    assert measured.intervals["accuracy"][0] < 0.7 < measured.intervals["accuracy"][1]
    assert measured.intervals["f1_macro"][0] < measured.scores["f1_macro"] < measured.intervals["f1_macro"][1]


def test_a_ratio_and_a_lead_lie_in_their_intervals_however_many_the_classes() -> None:
    """Draws miss classes of two rows, of the one model more than of the other."""
    random = np.random.default_rng(0)
    gold = random.integers(1_000, size=2_000)
    task = _by(classes(gold.tolist(), 1_000), "f1_macro")
    student, teacher = (
        measure(task, task.train, np.where(random.random(2_000) < right, gold, (gold + 1) % 1_000).tolist())
        for right in (0.7, 0.9)
    )
    one, other = (measured.scores["f1_macro"] for measured in (student, teacher))
    low, high = ratio_interval(task, task.train, student, teacher)
    assert low < one / other < high
    low, high = lead_intervals(task, task.train, student, {"teacher": teacher})["teacher"]
    assert low < one - other < high


def test_more_errors_never_make_it_surer() -> None:
    gold = np.arange(50) % 2
    task = classes(gold.tolist(), 2)
    lows = [measure(task, *_of(gold, np.arange(50) >= wrong)).intervals["accuracy"][0] for wrong in range(4)]
    assert lows == sorted(lows, reverse=True)


def test_a_correlation_of_equal_answers_is_nothing_for_sure() -> None:
    gold = np.arange(494) % 2
    task = classes(gold.tolist(), 2)
    measured = measure(task, task.train, [0] * 494)
    assert measured.intervals["mcc"] == [0, 0]
    values = make_task("regression", [{"text": "a", "label": float(row % 7)} for row in range(60)])
    assert measure(values, values.train, [1.0] * 60).intervals == {"spearman": [0, 0], "pearson": [0, 0]}


def test_names_in_few_sentences_tell_little_but_something() -> None:
    rows = [{"tokens": ["a", "b"], "tags": [1, 2] if row < 3 else [0, 0]} for row in range(200)]
    task = make_task("tagging", rows, labels=NER, metrics=("seqeval_f1", "accuracy"))
    perfect = measure(task, task.train, task.train["tags"][:])
    assert perfect.intervals["seqeval_f1"] == pytest.approx([0.025 ** (1 / 3), 1])


def test_the_ratio_of_equal_answers_may_go_either_way() -> None:
    gold = np.arange(400) % 2
    task = classes(gold.tolist(), 2)
    one = measure(task, *_of(gold, np.arange(400) >= 60))
    low, high = ratio_interval(task, task.train, one, one)
    assert 0.98 < low < 1 < high < 1.02
    assert lead_intervals(task, task.train, one, {"other": one}) == {"other": [0, 0]}


def test_draws_are_those_of_the_answers() -> None:
    """They are kept as long as the process lives; of measures that were read again they are computed anew."""
    gold = np.arange(100) % 2
    task = classes(gold.tolist(), 2)
    one, other = (measure(task, *_of(gold, np.arange(100) >= wrong)) for wrong in (10, 20))
    read = from_record(as_record({"one": one, "other": other}))
    assert ratio_interval(task, task.train, one, other) == ratio_interval(task, task.train, read["one"], read["other"])


def test_a_narrower_interval_of_more_rows() -> None:
    widths = []
    for n in (20, 200):
        gold = np.array([0, 1] * n)
        measured = measure(classes(gold.tolist(), 2), *_of(gold, np.arange(2 * n) % 4 < 2))
        widths.append(np.ptp(measured.intervals["accuracy"]))
    assert widths[1] < widths[0] / 2
