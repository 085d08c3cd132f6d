"""From logits to scores: an oracle scores 1, a fool scores what a fool scores, hand-computed values agree."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.base.errors import RunError
from engine.evaluation.scores import BINS, agreement, calibration_error, of_classes, predictions, scores, trivial_score
from engine.evaluation.spans import MAX_ANSWER, best_span
from engine.tokens.examples import encode
from engine.tokens.ragged import NO_LABEL
from tests.clock import within
from tests.tasks import make_task, shared_task
from tests.tokenizers import CORPUS, KINDS, byte_bpe, wordpiece

kinds = pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)

NER = ("B-PER", "I-PER", "O", "B-LOC")
CLASSES = [{"text": text, "label": index % 3} for index, text in enumerate(CORPUS)]
VALUES = [{"text": text, "label": index / 2} for index, text in enumerate(CORPUS)]
TAGGED = [
    {"tokens": ["Johann", "Müller", "wrote", "in", "Vienna", "."], "tags": [0, 1, 2, 2, 3, 2]},
    {"tokens": ["中文", "🙂"], "tags": [2, 0]},
]
CONTEXT = " ".join(CORPUS)
ASKED = [
    {
        "id": str(index),
        "question": "What is it?",
        "context": CONTEXT,
        "answers": {"text": [answer, "nothing of the kind"], "answer_start": [CONTEXT.index(answer), 0]},
    }
    for index, answer in enumerate(["seven wizards", "Málaga don't", "Antarctica", "1984", "Johann wrote it"])
]


def oracle(encoded, outputs):
    """Logits that say exactly what the labels say, one array for each example."""
    logits = []
    for example in range(len(encoded)):
        labels = encoded.labels([example])[0].numpy()
        n = int(encoded.lengths[example])
        if encoded.kind == "regression":
            logits.append(np.array([labels], dtype=np.float32))
        elif encoded.kind == "classification":
            logits.append(np.eye(outputs)[labels])
        elif encoded.kind == "tagging":
            logits.append(np.eye(outputs)[np.where(labels[:n] == NO_LABEL, 0, labels[:n])])
        else:
            span = np.zeros((n, 2))
            span[labels, [0, 1]] = 5
            logits.append(span)
    return logits


@kinds
@pytest.mark.parametrize(
    ("kind", "rows", "labels", "metrics"),
    [
        ("classification", CLASSES, ("a", "b", "c"), ("accuracy", "f1_macro", "mcc")),
        ("classification", [row | {"label": row["label"] % 2} for row in CLASSES], ("a", "b"), ("f1", "accuracy")),
        ("regression", VALUES, (), ("spearman", "pearson")),
        ("tagging", TAGGED, NER, ("seqeval_f1", "accuracy")),
        ("question_answering", ASKED, (), ("squad_f1", "exact_match")),
    ],
)
def test_an_oracle_scores_one(build, kind, rows, labels, metrics):
    task = make_task(kind, rows, labels=labels, metrics=metrics)
    encoded = encode(task.train, task, build(), 64, 24 if kind == "question_answering" else None)
    predicted = predictions(task, encoded, oracle(encoded, task.outputs))
    measured = scores(task, task.train, predicted)
    assert tuple(measured) == metrics
    assert measured == pytest.approx(dict.fromkeys(metrics, 1.0))


# --- predictions -------------------------------------------------------------------------------------


def test_predictions_have_the_types_of_their_kind():
    task = make_task("classification", CLASSES[:2], labels=("a", "b", "c"))
    encoded = encode(task.train, task, wordpiece(), 32)
    assert predictions(task, encoded, np.array([[0.0, 2, 1], [3, 1, 1]])) == [1, 0]
    task = make_task("regression", VALUES[:2])
    encoded = encode(task.train, task, wordpiece(), 32)
    assert predictions(task, encoded, [np.array([0.5]), np.array([-1.0])]) == [0.5, -1.0]


@kinds
@pytest.mark.parametrize(("labels", "filler"), [(NER, NER.index("O")), (("X", "Y", "Z", "W"), 3)])
def test_words_that_were_truncated_get_the_usual_tag(build, labels, filler):
    rows = [{"tokens": ["wizards"] * 40, "tags": [3] * 40}]
    task = make_task("tagging", rows, labels=labels)
    encoded = encode(task.train, task, build(), 16)
    logits = [np.tile([9.0, 0, 0, 0], (16, 1))]
    (tags,) = predictions(task, encoded, logits)
    kept = encoded.label_count([0])
    assert 0 < kept < 40
    assert tags == [0] * kept + [filler] * (40 - kept)


def naive_best_score(logits):
    """Every start with every end."""
    n = len(logits)
    ends = [range(first, min(n, first + MAX_ANSWER)) for first in range(n)]
    return max(logits[first, 0] + logits[last, 1] for first in range(n) for last in ends[first])


@given(arrays(np.float64, st.tuples(st.integers(1, 45), st.just(2)), elements=st.floats(-9, 9)))
def test_the_best_span_is_the_best_of_all(logits):
    score, first, last = best_span(logits)
    assert score == naive_best_score(logits) == logits[first, 0] + logits[last, 1]
    assert first <= last < min(len(logits), first + MAX_ANSWER)


def test_the_answer_comes_from_the_best_window_and_never_from_the_question():
    task = make_task("question_answering", ASKED[:1])
    encoded = encode(task.train, task, wordpiece(), 48, 16)
    assert len(encoded) > 3
    logits = [np.zeros((n, 2)) for n in encoded.lengths]
    logits[1][20], logits[2][22] = 3, 4
    for values in logits:
        values[:4] = 100  # [CLS] and question
        values[-1] = 100  # [SEP]
    wanted = CONTEXT[encoded.starts[2][22] : encoded.ends[2][22]]
    assert predictions(task, encoded, logits) == [wanted]


def test_of_equal_windows_the_first_one_answers():
    task = make_task("question_answering", ASKED[:1])
    encoded = encode(task.train, task, wordpiece(), 48, 0)
    first = encoded.windows.starts[0], encoded.ends[0][np.argmax(encoded.segments[0] == 3)]
    assert predictions(task, encoded, [np.zeros((n, 2)) for n in encoded.lengths]) == [CONTEXT[slice(*first)]]


def test_answers_have_no_whitespace_around_them():
    row = {"id": "0", "question": "Who?", "context": "the \n fox \n ran", "answers": ASKED[0]["answers"]}
    task = make_task("question_answering", [row])
    encoded = encode(task.train, task, byte_bpe(), 32)
    inside = np.flatnonzero(encoded.segments[0] == 3)
    pieces = [row["context"][encoded.starts[0][i] : encoded.ends[0][i]] for i in inside]
    logits = np.zeros((encoded.lengths[0], 2))
    first, last = (inside[i] for i, piece in enumerate(pieces) if piece == "\n")
    logits[first, 0] = logits[last, 1] = 9
    assert predictions(task, encoded, [logits]) == ["fox"]


def test_a_row_without_context_has_no_answer():
    row = {"id": "0", "question": "Who?", "context": " ", "answers": {"text": ["x"], "answer_start": [0]}}
    task = make_task("question_answering", [row])
    encoded = encode(task.train, task, wordpiece(), 16, 4)
    assert predictions(task, encoded, [np.zeros((n, 2)) for n in encoded.lengths]) == [""]
    assert scores(task, task.train, [""])["squad_f1"] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("kind", "rows"),
    [("classification", CLASSES), ("regression", VALUES), ("tagging", TAGGED), ("question_answering", ASKED)],
)
def test_numbers_that_are_none_are_an_error(kind, rows, bad):
    task = make_task(kind, rows, labels=NER)
    encoded = encode(task.train, task, wordpiece(), 512)
    logits = oracle(encoded, task.outputs)
    logits[1] = np.full_like(logits[1], bad, dtype=float)
    with pytest.raises(RunError, match="row 2 of made: the model's output is not a finite number"):
        predictions(task, encoded, logits)


def test_values_that_are_none_are_not_scored():
    task = make_task("regression", VALUES)
    with pytest.raises(RunError, match="not a finite number"):
        scores(task, task.train, [math.nan] * len(VALUES))


# --- scores, against values computed by hand -----------------------------------------------------------


def measure(kind, metric, gold, predicted, labels=("a", "b", "c")):
    column = {"tagging": "tags", "question_answering": "answers"}.get(kind, "label")
    rows = [{column: value, "tokens": ["w"] * len(value) if kind == "tagging" else []} for value in gold]
    task = make_task(kind, rows, labels=labels, metrics=(metric,))
    return scores(task, task.train, predicted)[metric]


@pytest.mark.parametrize(
    ("metric", "gold", "predicted", "want"),
    [
        ("accuracy", [0, 1, 2, 1], [0, 1, 1, 1], 0.75),
        ("f1", [1, 1, 0, 0, 1], [1, 0, 1, 0, 1], 2 / 3),  # precision 2/3, recall 2/3
        ("f1", [0, 0], [0, 0], 0.0),
        ("balanced_accuracy", [1, 1, 1, 0], [1, 1, 0, 0], (2 / 3 + 1) / 2),
        ("f1", [1, 1, 0], [0, 0, 0], 0.0),
        ("f1_macro", [0, 0, 1, 1], [0, 1, 1, 1], (2 / 3 + 4 / 5) / 2),
        ("mcc", [1, 1, 1, 0, 0], [1, 1, 0, 0, 1], (2 * 1 - 1 * 1) / 6),  # tp 2, tn 1, fp 1, fn 1; √(3·3·2·2)
        ("mcc", [1, 0, 1], [1, 1, 1], 0.0),
        ("mcc", [1, 1], [1, 1], 0.0),
    ],
)
def test_classification_scores(metric, gold, predicted, want):
    assert measure("classification", metric, gold, predicted) == pytest.approx(want)


@pytest.mark.parametrize(
    ("metric", "gold", "predicted", "want"),
    [
        ("pearson", [1.0, 2.0, 3.0], [1.0, 2.0, 6.0], 5 / math.sqrt(2 * 14)),
        ("spearman", [1.0, 2.0, 3.0, 4.0], [0.1, 9.0, 0.3, 10.0], 0.8),  # 1 − 6·2/(4·15)
        ("spearman", [1.0, 2.0, 3.0], [3.0, 2.0, 1.0], -1.0),
        ("pearson", [1.0, 2.0], [4.0, 4.0], 0.0),
        ("spearman", [1.0, 1.0], [4.0, 5.0], 0.0),
        ("spearman", [1.0], [4.0], 0.0),
    ],
)
def test_regression_scores(metric, gold, predicted, want):
    assert measure("regression", metric, gold, predicted) == pytest.approx(want)


def test_tagging_scores():
    gold, predicted = [[0, 1, 2, 3], [2, 2]], [[0, 2, 2, 3], [2, 3]]
    assert measure("tagging", "accuracy", gold, predicted, NER) == pytest.approx(4 / 6)
    # names: PER (half found: wrong), LOC right, one LOC too many: precision 1/3, recall 1/2
    assert measure("tagging", "seqeval_f1", gold, predicted, NER) == pytest.approx(0.4)
    assert measure("tagging", "seqeval_f1", [[2, 2]], [[2, 2]], NER) == 0
    assert measure("tagging", "seqeval_f1", [[0]], [[0]], ("NOUN", "VERB")) == 1


def test_question_answering_scores():
    gold = [
        {"text": ["the old stone bridge", "bridge"], "answer_start": [0, 0]},
        {"text": ["Vienna"], "answer_start": [0]},
        {"text": [], "answer_start": []},
    ]
    predicted = ["stone bridge!", "vienna", ""]  # 1: f1 of {stone, bridge} and {old, stone, bridge} is 0.8
    assert measure("question_answering", "squad_f1", gold, predicted) == pytest.approx((0.8 + 1 + 1) / 3)
    assert measure("question_answering", "exact_match", gold, predicted) == pytest.approx(2 / 3)


# --- trivial answers -----------------------------------------------------------------------------------


def trivial(kind, rows, *, train=None, **more):
    task = make_task(kind, train or rows, rows, **more)
    return trivial_score(task, task.validation["validation"])


def test_the_trivial_score_is_that_of_one_constant_answer():
    rows = [{"text": "a", "label": label} for label in (1, 1, 1, 0)]
    for metric, score in {"f1": 6 / 7, "accuracy": 0.75, "mcc": 0, "balanced_accuracy": 0.5}.items():
        assert trivial("classification", rows, labels=("a", "b"), metrics=(metric,)) == pytest.approx(score)
    assert trivial("regression", VALUES) == 0
    assert trivial("tagging", TAGGED, labels=NER, metrics=("seqeval_f1", "accuracy")) == 0
    assert trivial("tagging", TAGGED, labels=NER, metrics=("accuracy",)) == 0.5
    assert trivial("question_answering", ASKED) is None


def test_the_trivial_answer_is_known_from_the_training_rows():
    rows = [{"text": "a", "label": label} for label in (1, 1, 1, 0)]
    turned = [{"text": "a", "label": 1 - row["label"]} for row in rows]
    assert trivial("classification", rows, train=turned, labels=("a", "b"), metrics=("accuracy",)) == 0.25


def test_of_a_rare_class_always_giving_it_is_the_trivial_answer():
    """Never giving it has an F1 of 0, which any answer beats."""
    rows = [{"text": "a", "label": int(row == 0)} for row in range(20)]
    assert trivial("classification", rows, labels=("ham", "spam"), metrics=("f1",)) == pytest.approx(2 / 21)


# --- real data -----------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "metrics", "least"),
    [
        ("squad", ("squad_f1", "exact_match"), 0.99),
        ("ud_ewt_pos", ("accuracy",), 0.995),
        ("wnut17_ner", ("seqeval_f1", "accuracy"), 0.98),
    ],
)
def test_an_oracle_scores_nearly_one_on_real_data(shared, name, metrics, least):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "all-MiniLM-L6-v2")
    task = shared_task(shared / "datasets" / name, limit=300, metrics=metrics)
    rows = task.validation["validation"]
    overlap = 128 if task.kind == "question_answering" else None
    encoded = encode(rows, task, tokenizer, 320 if overlap else 128, overlap)
    measured = scores(task, rows, predictions(task, encoded, oracle(encoded, task.outputs)))
    assert all(score >= least for score in measured.values()), measured


def test_answers_are_found_quickly():
    task = make_task("question_answering", ASKED * 40)
    encoded = encode(task.train, task, wordpiece(), 320, 64)
    generator = np.random.default_rng(0)
    logits = [generator.normal(size=(n, 2)) for n in encoded.lengths]
    with within(0.015 * len(task.train)):
        predictions(task, encoded, logits)


# --- imbalance ---------------------------------------------------------------------------------------


def test_a_model_that_never_finds_the_rare_class_is_not_praised():
    rows = [{"text": "a", "label": int(row >= 5)} for row in range(100)]  # class 0 has 5 %
    metrics = ("accuracy", "balanced_accuracy", "f1", "f1_macro")
    task = replace(make_task("classification", rows, labels=("spam", "used"), metrics=metrics), positive=0)
    found = scores(task, task.train, [1] * 100)
    assert found == pytest.approx({"accuracy": 0.95, "balanced_accuracy": 0.5, "f1": 0.0, "f1_macro": 0.95 / 1.95})
    table, confusion = of_classes(task, task.train, [1] * 100)
    assert confusion == [[0, 5], [0, 95]]
    assert table[0] == {"label": "spam", "precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 5}
    assert (table[1]["recall"], table[1]["rows"]) == (1.0, 95)
    assert table[1]["precision"] == pytest.approx(0.95)


def test_a_class_that_no_row_has_stands_in_the_table():
    task = make_task("classification", [{"text": "a", "label": 0}, {"text": "b", "label": 2}], labels=("a", "b", "c"))
    table, confusion = of_classes(task, task.train, [0, 1])
    assert confusion == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert [each["rows"] for each in table] == [1, 0, 1]


# --- calibration and agreement ------------------------------------------------------------------------


def naive_calibration_error(shares: np.ndarray, gold: list[int]) -> float:
    """Guo et al. 2017, equation 3, one row after the other."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(shares, gold, strict=True):
        bins.setdefault(min(int(row.max() * BINS), BINS - 1), []).append((row.max(), row.argmax() == label))
    gaps = [len(each) * abs(np.mean([c for c, _ in each]) - np.mean([r for _, r in each])) for each in bins.values()]
    return sum(gaps) / len(gold)


@pytest.mark.parametrize("classes", [2, 77])
def test_calibration_error_is_that_of_the_paper(classes: int) -> None:
    rng = np.random.default_rng(classes)
    logits, gold = 4 * rng.normal(size=(300, classes)).astype(np.float32), rng.integers(classes, size=300).tolist()
    rows = [{"text": "a", "label": label} for label in gold]
    task = make_task("classification", rows, rows, tuple(map(str, range(classes))))
    shares = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    found = calibration_error(task, task.train, logits)
    assert found == pytest.approx(naive_calibration_error(shares, gold), abs=1e-6)
    sure = np.eye(classes)[gold] * 100
    assert calibration_error(task, task.train, sure) == pytest.approx(0, abs=1e-6)


def test_other_kinds_have_no_calibration_error() -> None:
    task = make_task("regression", VALUES, VALUES)
    assert calibration_error(task, task.train, [np.array([0.5])] * len(VALUES)) is None


def test_agreement_counts_rows_and_of_tagging_words() -> None:
    classes = make_task("classification", CLASSES, CLASSES, ("a", "b", "c"))
    assert agreement(classes, [0, 1, 2, 2], [0, 1, 1, 2]) == 0.75
    tagged = make_task("tagging", TAGGED, TAGGED, NER)
    assert agreement(tagged, [[0, 1, 2], [3]], [[0, 1, 2], [2]]) == 0.75
    answers = make_task("question_answering", ASKED, ASKED)
    assert agreement(answers, ["in Rome", ""], ["Rome", ""]) == 0.5
    assert agreement(make_task("regression", VALUES, VALUES), [0.5], [0.5]) is None
