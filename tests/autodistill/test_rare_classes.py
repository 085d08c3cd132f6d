"""Classes that weigh more: on the command line, through a run, a recommendation, a pipeline file and a study."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from autodistill.study.design import core_of
from autodistill.study.spec import read_study
from tests.command_line import Answer, assert_one_clear_message, write
from tests.toys import BAD, FILLER, GOOD

MODELS = ("--teacher", "scratch:layers=1,hidden=16", "--student", "layers:1")
QUICK = ("--teacher-epochs", "1", "--set", "training.epochs=1", "--precision", "float32")


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> str:
    """Nine of ten rows are ham."""
    dice = random.Random(0)
    words = [(dice.choice(BAD if number % 10 == 0 else GOOD), *dice.choices(FILLER, k=4)) for number in range(300)]
    rows = [f"{' '.join(each)},{'spam' if each[0] in BAD else 'ham'}" for each in words]
    return write(tmp_path, "mails.csv", "\n".join(["text,label", *rows]))


@pytest.mark.parametrize(
    ("given", "weights", "said"),
    [
        ("balanced", "balanced", "gold labels weigh: ham 0.556, spam 5"),
        ("spam=6,ham=1", {"ham": 1.0, "spam": 6.0}, "gold labels weigh: ham 0.667, spam 4"),
    ],
)
def test_a_run_says_what_its_labels_weigh_and_remembers_it(
    given: str, weights: object, said: str, data: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    where = ("--out", str(out), "--cache-dir", str(tmp_path / "cache"))
    ran = Answer("run", data, *MODELS, *QUICK, "--pipeline", "vanilla_kd", "--class-weights", given, *where)
    assert ran.code == 0, ran.err
    assert said in ran.err
    assert json.loads((out / "result.json").read_text("utf-8"))["pipeline"]["training"]["class_weights"] == weights
    again = Answer(
        "run", data, *MODELS, "--pipeline", str(out / "pipeline.toml"), "--teacher-epochs", "1", *QUICK, *where
    )
    assert again.code == 0, again.err
    assert "This run is finished" in again.err
    assert "class_weights" in (out / "README.md").read_text("utf-8")
    page = tmp_path / "page.html"
    assert Answer("report", str(out), "--out", str(page)).code == 0
    assert "class_weights" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "more"), [("run", ()), ("run", ("--budget", "1m")), ("run", ("--top", "1")), ("recommend", ())]
)
def test_a_class_that_is_none_is_refused_wherever_it_is_typed(
    command: str, more: tuple[str, ...], data: str, tmp_path: Path
) -> None:
    answer = Answer(command, data, *MODELS, "--class-weights", "spma=6", "--out", str(tmp_path / "out"), *more)
    assert_one_clear_message(answer, "unknown class; got 'spma'; allowed: ham, spam. Did you mean spam?")
    assert not (tmp_path / "out").exists()


def test_a_pipeline_file_is_checked_against_the_classes_of_the_data(data: str, tmp_path: Path) -> None:
    for name, code in (("spam", 0), ("eggs", 2)):
        file = write(tmp_path, f"{name}.toml", f"[training]\nclass_weights = {{ {name} = 6.0 }}\n")
        assert Answer("validate", file, "--data", data).code == code
        assert Answer("validate", file).code == 0


def test_a_study_has_them_and_without_any_it_is_what_it_was() -> None:
    about = {"name": "mails", "datasets": ["a"], "teachers": ["b"], "students": ["c"], "design": {"core": 2}}
    core = core_of(read_study({**about, "training": {"class_weights": {"spam": 6.0}}}))
    assert {pipeline.training.class_weights for pipeline in core} == {(("spam", 6.0),)}
    plain, none = (core_of(read_study({**about, "training": given})) for given in ({}, {"class_weights": "none"}))
    assert [each.key for each in plain] == [each.key for each in none] != [each.key for each in core]
