"""Temperature scaling of a whole run: the same answers, honest probabilities, in whatever reads the folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import engine.models.load  # noqa: F401 - brings the model types of students that are no transformers
from engine.base.errors import InputError
from engine.base.options import RunOptions
from engine.data.task import Task
from engine.run.calibration import NO_LAYER
from engine.run.predictor import load_predictor
from engine.run.result import RunResult
from tests.engine.runs import TRAINING, small
from tests.toys import toy_task

NOISY = 3  # of so many rows one has another label


def noisy_task() -> Task:
    """Labels that are often wrong, of which a model grows too sure."""
    task = toy_task("single", rows=90, held_out=300)

    def spoilt(row: dict[str, int], index: int) -> dict[str, int]:
        return {"label": (row["label"] + (index % NOISY == 0)) % len(task.labels)}

    splits = [rows.map(spoilt, with_indices=True) for rows in (task.train, task.validation["validation"])]
    held = splits[1]
    parts = {"validation": {"validation": held.select(range(150))}, "test": {"test": held.select(range(150, 300))}}
    return replace(task, train=splits[0], fingerprint="noisy", **parts)


def pipeline(**more: bool) -> dict[str, object]:
    """Many epochs on few rows; `hard_label` alone, which makes sure."""
    weights = {"prediction": 0.0, "hard_label": 1.0}
    return {"training": TRAINING | {"epochs": 12, "learning_rate": 1e-2} | more, "weights": weights}


@pytest.fixture(name="both", scope="module", params=["lstm", "scratch:layers=1,hidden=16,heads=2"])
def _both(
    request: pytest.FixtureRequest, warm: RunOptions, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The folders of a run with calibration and of the same one without."""
    folder, task = tmp_path_factory.mktemp("calibrated"), noisy_task()
    for name, more in {"with": {"calibrate": True}, "without": {}}.items():
        small(warm, folder / name, data=task, student=request.param, pipeline=pipeline(**more))
    return folder / "with", folder / "without"


def test_the_scores_stay_and_the_probabilities_are_honest(both: tuple[Path, Path]) -> None:
    with_it, without = (RunResult.read(folder) for folder in both)
    assert with_it.scores == without.scores
    assert with_it.confusion == without.confusion
    assert with_it.identity != without.identity
    own = with_it.calibration["student"]
    assert own.temperature > 1.2  # it was too sure
    assert own.before == pytest.approx(without.calibration_error["student"], abs=1e-6)
    assert own.after == pytest.approx(with_it.calibration_error["student"], abs=1e-4)
    assert own.after < own.before
    assert (with_it.calibration["teacher"].before, without.calibration) == (without.calibration_error["teacher"], {})
    assert [*with_it.calibration] == ["teacher", "student"]


def test_everything_that_reads_the_folder_answers_so(both: tuple[Path, Path]) -> None:
    texts = noisy_task().train["text"][:8]
    temperature = RunResult.read(both[0]).calibration["student"].temperature
    plain = []
    for folder in both:
        tokenizer, model = (
            each.from_pretrained(folder) for each in (AutoTokenizer, AutoModelForSequenceClassification)
        )
        with torch.no_grad():
            plain.append(model.eval()(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits)
    torch.testing.assert_close(plain[0] * temperature, plain[1], rtol=1e-4, atol=1e-4)
    shares = plain[0].softmax(-1).numpy()
    answers = load_predictor(both[0], RunOptions(device="cpu"))(texts)
    np.testing.assert_allclose([[*each["scores"].values()] for each in answers], shares, atol=1e-5)


def test_it_is_said(both: tuple[Path, Path]) -> None:
    result, card = RunResult.read(both[0]), (both[0] / "README.md").read_text()
    (of_teacher, of_student) = result.calibration_in_words
    own = result.calibration["student"]
    assert of_student == (
        f"student calibrated on validation: temperature {own.temperature:.2f}, expected calibration error on test "
        f"{own.before:.3f} → {own.after:.3f}; its output layer holds it"
    )
    assert of_teacher.endswith("the teacher stays as it is")
    assert of_student in card
    assert "calibrated" not in (both[1] / "README.md").read_text()
    assert "calibrate = true" in (both[0] / "pipeline.toml").read_text()
    assert "calibrate" not in (both[1] / "pipeline.toml").read_text()


def test_other_kinds_are_refused(options: RunOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training.calibrate: only probabilities of classes .* is tagging"):
        small(options, tmp_path, data=toy_task("tagging", rows=8, held_out=4), pipeline=pipeline(calibrate=True))


def test_a_head_that_cannot_hold_it_is_a_warning(
    options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.run.calibration.divide_outputs", lambda *_: False)
    result = small(options, tmp_path / "out", pipeline={"training": TRAINING | {"epochs": 1, "calibrate": True}})
    assert NO_LAYER in result.warnings
    assert [*result.calibration] == ["teacher"]
