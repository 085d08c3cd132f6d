"""Long texts that are classified in windows: tokens, scores of documents, teacher and student, predictions, exports."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.augment.examples import Augmenter, Tokenisation
from engine.augment.policy import policy_for
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.base.options import RunOptions
from engine.data.task import Task
from engine.evaluation.scores import calibration_error, logits_of_rows, predictions
from engine.export.export import export_model
from engine.export.predict import Model
from engine.pipeline.augmentation import Augmentation, Random
from engine.run.predictor import load_predictor
from engine.run.result import RunResult
from engine.tokens.alignment import align
from engine.tokens.examples import cut_in_words, encode
from engine.tokens.tokenise import FIRST
from tests.engine.runs import TRAINING, TUNING, small
from tests.tasks import make_task
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import BAD, DULL, FILLER, GOOD

LENGTH, OVERLAP = 16, 4
LABELS = ("bad", "dull", "good")


def a_row(dice: random.Random) -> dict[str, Any]:
    """The word that decides stands often, or, in a long text, only behind what one window reads."""
    label, words = dice.randrange(3), dice.choices(FILLER, k=dice.choice((4, 30)))
    telling = dice.choice((BAD, DULL, GOOD)[label])
    for place in (len(words) // 2, -1, -4) if len(words) > LENGTH else (2,):
        words[place] = telling
    return {"text": " ".join(words), "label": label}


def the_task() -> Task:
    dice = random.Random(0)
    train, held_out = ([a_row(dice) for _ in range(count)] for count in (300, 60))
    return replace(make_task("classification", train, held_out, LABELS), fingerprint="long texts")


# --- tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [wordpiece, byte_bpe])
def test_windows_hold_all_of_a_text_and_share_the_overlap(build: Callable[[], Any]) -> None:
    task, tokenizer = the_task(), build()
    whole, cut = encode(task.train, task, tokenizer, 512), encode(task.train, task, tokenizer, LENGTH, OVERLAP)
    assert whole.windows is None
    assert cut.lengths.max() == LENGTH
    assert (cut.cut, len(cut) > len(whole)) == (0, True)
    for row in range(20):
        inside = whole.tokens[row][whole.segments[row] == FIRST].tolist()
        found: list[int] = []
        for window in np.flatnonzero(cut.rows == row):
            piece = cut.tokens[window][cut.segments[window] == FIRST].tolist()
            assert not found or found[-OVERLAP:] == piece[:OVERLAP]
            found += piece[OVERLAP if found else 0 :]
        assert found == inside
    np.testing.assert_array_equal(cut.targets, np.array(task.train["label"])[cut.rows])


def test_another_tokenizer_sees_the_same_windows() -> None:
    task = the_task()
    student = encode(task.train, task, wordpiece(), LENGTH, OVERLAP)
    teacher = encode(task.train, task, byte_bpe(), 4 * LENGTH, None, student.windows)
    np.testing.assert_array_equal(teacher.rows, student.rows)
    weights = align(student, teacher, range(len(student))).sum(-1)
    own = np.arange(weights.shape[1]) < student.lengths[:, None]
    np.testing.assert_allclose(weights.numpy()[own], 1, atol=1e-6)  # each token has its partners


def test_how_many_texts_are_long_is_said() -> None:
    task = the_task()
    encoded = encode(task.train, task, wordpiece(), LENGTH, OVERLAP)
    long = np.bincount(encoded.rows)
    mean = long[long > 1].mean()
    sentence = f"{(long > 1).sum()} of 300 texts are longer than {LENGTH} tokens, and are read in {mean:.1f} windows"
    assert cut_in_words(encoded, task, LENGTH, None) == [f"{sentence} on average."]
    assert cut_in_words(encode(task.train, task, wordpiece(), 512, OVERLAP), task, 512, None) == []


# --- answers -----------------------------------------------------------------------------------------


def test_a_row_answers_by_the_mean_of_its_windows() -> None:
    rows = [{"text": " ".join(FILLER[:5]), "label": 0}, {"text": " ".join(FILLER * 2), "label": 1}]
    task = make_task("classification", rows, labels=LABELS)
    encoded = encode(task.train, task, wordpiece(), LENGTH, OVERLAP)
    count = int((encoded.rows == 1).sum())
    assert count > 1
    logits = [np.array([1.0, 0, 0]), np.array([0, 0, 9.0]), *[np.array([0, 6.0, 0])] * (count - 1)]
    means = logits_of_rows(encoded, logits)
    np.testing.assert_allclose(means[1], [0, 6 * (count - 1) / count, 9 / count])
    assert predictions(task, encoded, logits) == [0, int(np.argmax(means[1]))]
    assert calibration_error(task, task.train, means) is not None


STUDENTS = {"lstm": "lstm:hidden=32", "transformer": "scratch:layers=1,hidden=32,heads=2"}


@pytest.fixture(name="folder", scope="module", params=STUDENTS)
def _folder(request: pytest.FixtureRequest, warm: RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("windows") / request.param
    training = TRAINING | {"epochs": 12, "max_length": LENGTH, "window_overlap": OVERLAP, "learning_rate": 3e-3}
    training |= {"calibrate": True}
    small(warm, out, data=the_task(), teacher="scratch:layers=1,hidden=32,heads=2", student=STUDENTS[request.param],
          pipeline={"training": training, "weights": {"hard_label": 0.5}}, fine_tuning=TUNING)  # fmt: skip
    return out


def test_documents_are_scored_as_they_are_predicted(folder: Path) -> None:
    result, rows = RunResult.read(folder), the_task().validation["validation"]
    assert result.student_score > 0.7  # of long texts the first window says nothing
    answers = load_predictor(folder, RunOptions(device="cpu"))(rows["text"][:])
    assert len(answers) == len(rows)
    right = [each["label"] == LABELS[label] for each, label in zip(answers, rows["label"][:], strict=True)]
    assert np.mean(right) == pytest.approx(result.student_score)
    assert {*result.calibration} == {"teacher", "student"}


@pytest.mark.slow
def test_an_export_reads_windows_too(folder: Path, tmp_path: Path) -> None:
    export = export_model(folder, tmp_path / "out", data=the_task(), force=True)
    assert export.scores["onnx"] == pytest.approx(export.scores["pytorch"], abs=1e-3)
    rows = [{"text": text} for text in ["", *the_task().train["text"][:12]]]
    expected, found = load_predictor(folder, RunOptions(device="cpu"))(rows), Model(tmp_path / "out")(rows)
    for one, other in zip(expected, found, strict=True):
        assert other["label"] == one["label"]
        assert other["scores"] == pytest.approx(one["scores"], abs=1e-4)


def test_an_original_that_is_augmented_is_its_piece(machine: Machine) -> None:
    task, tokenizer = the_task(), wordpiece()
    encoded = encode(task.train, task, tokenizer, LENGTH, OVERLAP)
    policy = policy_for(Augmentation(operators=(Random(),)), task, machine)
    augmenter = Augmenter(
        task, policy, 1, encoded, Tokenisation(tokenizer, LENGTH), None, frozenset({"input_ids"}), frozenset(), False, 0
    )
    ids = np.flatnonzero(encoded.rows == int(np.bincount(encoded.rows).argmax()))
    pieces = [row["text"] for row in augmenter.originals(ids)]
    text = task.train[int(encoded.rows[ids[0]])]["text"]
    assert len({*pieces}) == len(ids) > 1
    assert text.startswith(pieces[0])
    assert text.endswith(pieces[-1])


def test_pairs_are_refused(options: RunOptions, tmp_path: Path) -> None:
    from tests.toys import toy_task

    pipeline = {"training": TRAINING | {"window_overlap": 8}}
    with pytest.raises(InputError, match="these are pairs"):
        small(options, tmp_path, data=toy_task("pair", rows=8, held_out=4), pipeline=pipeline)
