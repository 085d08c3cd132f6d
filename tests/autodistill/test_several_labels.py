"""Several labels a row, from columns of 0 and 1 to a student that is shown, asked and exported, on the command line."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from engine.export.predict import Model
from engine.run.predictor import load_predictor
from tests.command_line import Answer, assert_one_clear_message, write
from tests.toys import BAD, FILLER, GOOD

MODELS = ("--teacher", "scratch:layers=2,hidden=64,heads=2", "--student")
SHORT = ("--teacher-epochs", "6", "--teacher-learning-rate", "1e-3", "--teacher-batch-size", "8")
SET = ("--set", "training.epochs=6", "--set", "training.batch_size=8", "--set")


def rows(count: int) -> list[tuple[str, int, int]]:
    """Texts, and whether a bad and a good word stand in them."""
    dice, found = random.Random(0), []
    for _ in range(count):
        marks = [int(dice.random() < 0.4) for _ in range(2)]
        words = [
            *dice.choices(FILLER, k=2),
            *(words[0] for words, mark in zip((BAD, GOOD), marks, strict=True) if mark),
        ]
        found.append((" ".join(dice.sample(words, len(words))), *marks))
    return found


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> str:
    path = tmp_path / "moods.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "bad", "good"), *rows(400)])
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(("student", "rate"), [("layers:1", 1e-3), ("lstm:hidden=32", 1e-2)])
def test_from_columns_to_an_export(student: str, rate: float, data: str, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    ran = Answer(
        "run",
        data,
        "--label",
        "bad,good",
        *MODELS,
        student,
        *SHORT,
        *SET,
        f"training.learning_rate={rate}",
        "--out",
        out,
    )
    assert ran.code == 0, ran.err
    assert "f1_micro" in ran.out + ran.err
    result = json.loads((Path(out) / "result.json").read_text("utf-8"))
    assert result["task_kind"] == "multi_label"
    assert result["labels"] == ["bad", "good"]
    assert result["student_score"] > 0.9 > 0.7 > result["trivial_score"]
    assert {each["label"] for each in result["classes"]} == {"bad", "good"}
    assert result["confusion"] == []
    assert "| label | precision | recall | F1 | rows |" in (Path(out) / "README.md").read_text("utf-8")

    assert "always giving the same labels" in Answer("show", out).out
    page = tmp_path / "page.html"
    assert Answer("report", out, "--out", str(page)).code == 0
    assert "on the rows with each label of" in page.read_text("utf-8")

    text = f"the {BAD[0]} and {GOOD[0]} house"
    said = json.loads(Answer("predict", out, "--text", text, "--json").out)
    (expected,) = load_predictor(out)([text])
    assert expected["labels"] == ["bad", "good"]
    assert "bad" in json.dumps(said)
    exported = Answer("export", out, "--data", data)
    assert exported.code == 0, exported.err
    (found,) = Model(Path(out) / "onnx")([{"text": text}])
    assert found["labels"] == expected["labels"]
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)


def test_what_does_not_go_with_it_is_refused_before_anything_is_loaded(data: str, tmp_path: Path) -> None:
    command = ("run", data, "--label", "bad,good", *MODELS, "layers:1", "--out", str(tmp_path / "run"))
    for more, words in (
        (("--calibrate",), "only probabilities of classes are calibrated, and this task is multi label"),
        (("--windows", "4"), "only question answering and classification have windows"),
        (("--metric", "accuracy"), "no metric of multi label"),
    ):
        assert_one_clear_message(Answer(*command, *more), words)
    assert_one_clear_message(Answer("run", data, "--label", "bad,god", *MODELS, "layers:1"), "Did you mean good?")
    odd = write(tmp_path, "odd.csv", "text,bad,good\n" + "a,0,1\nb,1,2\n" * 9)
    assert_one_clear_message(
        Answer("run", odd, "--label", "bad,good", *MODELS, "layers:1"), "odd.csv:3: column 'good' must hold 0 or 1; got"
    )
