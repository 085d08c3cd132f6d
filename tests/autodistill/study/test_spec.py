"""What a study is, from a file; and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodistill.study.spec import Study, read_study
from engine.base.errors import InputError

FILE = """
name = "first"
datasets = ["glue/sst2", {data = "reviews.csv", columns = {text = "review", label = "stars"}}]
rows = [300, 1000]
teachers = ["bert-base-uncased"]
students = ["layers:3", "scratch:layers=2,hidden=128"]
hours = 2.5

[space]
intermediate = ["none", "mse"]

[design]
core = 10
random = 5

[training]
epochs = 4
"""


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(FILE, encoding="utf-8")
    study = read_study(tmp_path / "study.toml")
    assert [source.data for source in study.datasets] == ["glue/sst2", "reviews.csv"]
    assert study.datasets[1].columns.text == "review"
    assert (study.rows, study.hours, study.training.epochs) == ((300, 1000), 2.5, 4)
    chosen = {"core": 10, "random": 5, "repeated": 0.2}
    assert study.design.model_dump() == chosen | {"search": None, "trials": None}
    assert study.space == {"intermediate": ("none", "mse")}
    assert hash(study.datasets[0])
    assert Study.model_validate_json(study.model_dump_json(), strict=False) == study


def test_every_problem_is_named_at_once() -> None:
    wrong = {
        "name": "not a name",
        "datasets": [],
        "teachers": ["t"],
        "student": ["s"],
        "rows": [0],
        "design": {"cor": 1},
    }
    with pytest.raises(InputError) as caught:
        read_study(wrong)
    places = {problem.place for problem in caught.value.problems}
    assert places >= {"name", "datasets", "students", "student", "rows.0", "design.cor"}
    assert "Did you mean core?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("study.toml", "name =", "line 1: not valid TOML"),
        ("study.txt", "name", "unknown kind of study file"),
        ("study.json", "[1]", "a study is a table of keys"),
        ("missing.toml", None, "no such file"),
        ("deep.json", '{"a":' * 30 + "1" + "}" * 30, "nested too deeply"),
    ],
)
def test_files_that_hold_none(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_study(tmp_path / name)


@pytest.mark.parametrize(
    ("design", "epochs", "said"),
    [
        ({"trials": 3}, 5, "trials are those of a search, and none is named"),
        ({"search": "halvin"}, 5, "Did you mean halving?"),
        ({"search": "tpe", "trials": 0}, 5, "design.trials"),
        ({"search": "halving"}, 2, "whole ones of 2 epochs leave nothing to stop"),
        ({"search": "one_epoch"}, 1, "training.epochs: at least 2"),
    ],
)
def test_searches_that_make_no_sense(design: dict[str, object], epochs: int, said: str) -> None:
    known = {"name": "a", "datasets": ["demo"], "teachers": ["t"], "students": ["s"]}
    training = {"epochs": epochs}
    for more in ({"design": design, "training": training}, {"parts": [{"design": design, "training": training}]}):
        with pytest.raises(InputError, match=said):
            read_study(known | more)


def test_defaults_are_those_of_a_run() -> None:
    study = read_study({"name": "a", "datasets": ["demo"], "teachers": ["t"], "students": ["s"]})
    assert study == Study(name="a", datasets=study.datasets, teachers=("t",), students=("s",))
    assert (study.rows, study.hours, study.student_alone) == ((), None, True)
