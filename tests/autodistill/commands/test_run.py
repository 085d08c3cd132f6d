"""Picks of a recommendation on the command line: what excludes each other, and what is read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.commands.run import _known, run_picks
from autodistill.commands.show import Shown
from autodistill.recommend.request import Columns, Request
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import SilentReporter
from tests.autodistill.commands.records import a_recommendation
from tests.command_line import RUN, Answer, assert_one_clear_message
from tests.toys import toy_task


@pytest.mark.parametrize(("pick", "top", "pipeline"), [(1, 2, None), (1, None, "tinybert"), (None, 2, "tinybert")])
def test_ways_to_choose_that_exclude_each_other(pick: int | None, top: int | None, pipeline: str | None) -> None:
    with pytest.raises(InputError, match="only one of these"):
        run_picks({"pick": pick, "top": top, "pipeline": pipeline}, SilentReporter())


@pytest.mark.parametrize(
    ("more", "sets", "same"),
    [
        ({}, [], True),
        ({"teacher": "big", "students": ("layers:1",), "columns": Columns(label="stars")}, [], True),
        ({"teacher": "other"}, [], False),
        ({"students": ("layers:2",)}, [], False),
        ({"members": ("layers:2",)}, [], False),
        ({"columns": Columns(label="grade")}, [], False),
        ({"data": "books.csv"}, [], False),
        ({}, ["training.epochs=3"], False),
        ({"fine_tuning": FineTuning(epochs=2)}, [], True),
        ({"fine_tuning": FineTuning(epochs=3)}, [], False),
        ({"fine_tuning": FineTuning(epochs=2, seed=1)}, [], False),
        ({"options": RunOptions(precision="float32")}, [], True),
        ({"options": RunOptions(precision="bf16")}, [], False),
    ],
)
def test_a_recommendation_is_read_where_it_answers_the_same_question(
    more: dict[str, object], sets: list[str], same: bool, tmp_path: Path
) -> None:
    lying = a_recommendation().model_copy(update={"fine_tuning": FineTuning(epochs=2), "precision": "float32"})
    lying.write(tmp_path)
    request = Request.model_validate({"data": "films.csv", "out": tmp_path, **more})
    assert _known(request, sets) == (lying if same else None)


def test_what_the_data_were_taken_for_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recommendation that `run --pick` makes, and not again with the run."""
    ran = []
    asked = Request(data="films.csv", out=tmp_path, task=toy_task("single"))
    task = replace(asked.task, notes=("text: column text",))
    answered = a_recommendation(), asked.model_copy(update={"task": task})
    monkeypatch.setattr("autodistill.commands.run._recommended", lambda *given: answered)
    monkeypatch.setattr("autodistill.commands.run.run_recommended", lambda *given: ran.append(given) or [])
    monkeypatch.setattr("autodistill.commands.show.race", lambda outcomes: Shown(None))
    typed = {"data": "films.csv", "out": tmp_path, "pick": 1, "top": None, "pipeline": None, "set": None}
    run_picks(typed, SilentReporter())
    assert [task.notes for *_, task in ran] == [()]
    assert ran[0][1] == a_recommendation()


def test_run_prints_its_record_and_nothing_else_as_json(at_home: Path) -> None:
    answer = Answer(*RUN, "--out", "runs/cola", "--json")
    record = json.loads(answer.out)
    assert record["status"] == "ok"
    assert record["pipeline"]["training"]["epochs"] == 1
    assert json.loads((at_home / "runs" / "cola" / "result.json").read_text()) == record


def test_a_finished_run_is_shown_and_not_repeated(finished: Path) -> None:
    before = (finished / "model.safetensors").stat().st_mtime_ns
    answer = Answer(*RUN, "--out", "runs/cola")
    assert answer.code == 0
    assert "distillation ratio" in answer.out
    assert "This run is finished" in answer.err
    assert (finished / "model.safetensors").stat().st_mtime_ns == before


def test_another_run_needs_another_folder(finished: Path) -> None:
    assert_one_clear_message(Answer(*RUN, "--out", "runs/cola", "--seed", "1"), "--overwrite")


def test_a_plain_log_without_a_terminal(at_home: Path) -> None:
    answer = Answer(*RUN, "--out", "runs/other", "--seed", "2")
    assert "student: epoch 1 of 1" in answer.err
    assert "\x1b" not in answer.err + answer.out
