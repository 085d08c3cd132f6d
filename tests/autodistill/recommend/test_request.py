"""One request: its names, ranges and defaults, and what is refused where it is made."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autodistill.ranking.fitted import PREDICTORS
from autodistill.recommend.request import Columns, Limits, Request, check_predictor
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.data.load import load_task
from tests.conftest import ROOT
from tests.toys import toy_task


def test_a_request_of_nothing_is_the_defaults() -> None:
    request = Request()
    assert (request.columns, request.limits) == (Columns(), Limits())
    assert (request.fine_tuning, request.options) == (FineTuning(), RunOptions())
    assert (request.students, request.members, request.meta_data) == ((), (), ("published", "study", "store"))
    assert (request.predictor, request.vectors) == ("average", "glove")
    assert {request.pick, request.top, request.store, request.out} == {None}


@pytest.mark.parametrize(
    "wrong",
    [{"top": 0}, {"pick": 0}, {"seed": -1}, {"count": 0}, {"students": "small"}, {"teahcer": "big"}, {"top": "5"}],
    ids=str,
)
def test_what_is_no_request_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Request.model_validate(wrong)
    assert [error["loc"] for error in caught.value.errors()] == [tuple(wrong)]


@pytest.mark.parametrize("field", ["max_train", "max_validation"])
def test_a_sample_has_a_row(field: str) -> None:
    assert getattr(Columns(**{field: 1}), field) == 1
    with pytest.raises(ValidationError, match=field):
        Columns(**{field: 0})


def test_columns_and_limits_are_not_confused() -> None:
    with pytest.raises(ValidationError, match="seconds"):
        Columns.model_validate({"seconds": 3})
    with pytest.raises(ValidationError, match="finite"):
        Limits(seconds=float("nan"))


def test_a_dataset_is_read_as_its_columns_say(tmp_path: Path) -> None:
    """Every field is an argument of `load_task`, with the same default."""
    arguments = inspect.signature(load_task).parameters
    for name, value in Columns().model_dump().items():
        assert arguments[name].default == value
    path = tmp_path / "films.csv"
    rows = [f"{row},film {row},{'good' if row % 2 else 'bad'},{row}" for row in range(40)]
    path.write_text("\n".join(["number,title,verdict,stars", *rows]), "utf-8")
    columns = Columns(text="title", label="verdict", max_train=10, name="mine")
    task = load_task(str(path), **columns.model_dump())
    assert (task.name, len(task.train), task.labels) == ("mine", 10, ("bad", "good"))


def test_a_request_is_passed_down_with_what_was_read() -> None:
    task = toy_task("single", rows=4, held_out=2)
    request = Request(data="films.csv")
    assert request.model_copy(update={"task": task}).task is task
    with pytest.raises(ValidationError, match="frozen"):
        request.data = "other.csv"


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_that_there_is(name: str) -> None:
    check_predictor(name)


def test_a_predictor_that_there_is_not() -> None:
    with pytest.raises(InputError, match=r"--predictor: unknown predictor.*Did you mean ridge") as caught:
        check_predictor("rigde")
    assert set(caught.value.problems[0].allowed) <= set(PREDICTORS)


def test_it_is_made_without_torch_and_pandas() -> None:
    code = "import sys; from autodistill.recommend.request import Request; Request(); "
    code += "print(*{'torch', 'pandas'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not run.stdout.split()
