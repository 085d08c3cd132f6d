"""Picks of a recommendation on the command line: what excludes each other, and what is read again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.commands.options import OPTIONS, dashed
from autodistill.commands.run import ADVISING, _changes, _sets, run, run_picks
from autodistill.commands.show import Shown
from autodistill.history.store import Store
from autodistill.recommend.request import Columns, Limits, Request
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import SilentReporter
from engine.pipeline.training import Training
from tests.autodistill.commands.records import a_pick, a_recommendation
from tests.command_line import RUN, Answer, assert_one_clear_message, write
from tests.toys import toy_task

SCRATCH = "scratch:layers=2,hidden=32"
AS_ASKED = {
    "fine_tuning": FineTuning(epochs=2),
    "precision": "float32",
    "training": Training(epochs=7),
    "limits": Limits(seconds=1800.0),
    "description": "Say whether it is liked.",
    "predictor": "ridge",
}
"""Of a recommendation, what is not as usual."""


@pytest.mark.parametrize(("pick", "top", "pipeline"), [(1, 2, None), (1, None, "tinybert"), (None, 2, "tinybert")])
def test_ways_to_choose_that_exclude_each_other(pick: int | None, top: int | None, pipeline: str | None) -> None:
    """So do these and a search."""
    ways = {
        "pick": pick,
        "top": top,
        "pipeline": pipeline,
        "budget": None,
        "trials": None,
        "pareto": False,
        "augment": None,
    }
    with pytest.raises(InputError, match="only one of these"):
        run(ways, SilentReporter())
    for more in ({"budget": "30m"}, {"trials": 4}):
        with pytest.raises(InputError, match="only one of these"):
            run({**ways, "pick": None, "pipeline": pipeline or "tinybert", **more}, SilentReporter())


def test_switches_are_settings_of_the_training() -> None:
    """--set has the last word; windows that share no token are still windows."""
    typed = {"augment": None, "paper": True, "calibrate": True, "class_weights": "spam=6,ham=1", "windows": 0}
    typed |= {"set": ["training.window_overlap=8"]}
    first = ["training.paper=true", "training.calibrate=true", "training.class_weights=spam=6,ham=1"]
    assert _sets(typed) == [*first, "training.window_overlap=0", "training.window_overlap=8"]
    none = {"paper": False, "calibrate": False, "class_weights": None, "windows": None, "set": None}
    assert _sets({**typed, **none}) == []


@pytest.mark.parametrize(
    ("option", "value"), [("members", ["layers:2"]), ("pareto", True), ("max_params", "20M"), ("predictor", "mixed")]
)
def test_what_only_a_search_or_picks_know_is_refused_without_them(option: str, value: object) -> None:
    typed = {name: OPTIONS[name].default for name in ADVISING} | dict.fromkeys(("pick", "top", "pipeline", "students"))
    typed |= {
        "budget": None,
        "trials": None,
        "pareto": option == "pareto",
        "augment": None,
        option: value,
        "data": "nowhere.csv",
    }
    with pytest.raises(InputError, match=f"{dashed(option)}: only for a search"):
        run(typed, SilentReporter())


@pytest.mark.parametrize(
    ("more", "sets", "changes"),
    [
        ({}, [], []),
        ({"teacher": "big", "students": ("layers:1",), "columns": Columns(label="stars")}, [], []),
        ({"teacher": "other"}, [], ["--teacher other"]),
        ({"students": ("layers:2",)}, [], ["--student layers:2"]),
        ({"members": ("layers:2", "layers:3")}, [], ["--members layers:2 --members layers:3"]),
        ({"columns": Columns(label="grade")}, [], ["--label grade"]),
        ({"columns": Columns(max_train=100)}, [], ["--max-train 100"]),
        ({}, ["training.epochs=3"], ["--set training.epochs=3"]),
        ({}, ["training.epochs=7"], []),
        ({"fine_tuning": FineTuning(epochs=2)}, [], []),
        ({"fine_tuning": FineTuning(epochs=3)}, [], ["--teacher-epochs 3"]),
        ({"fine_tuning": FineTuning(epochs=2, seed=1)}, [], ["--teacher-seed 1"]),
        ({"options": RunOptions(precision="float32")}, [], []),
        ({"options": RunOptions(precision="bf16")}, [], ["--precision bf16"]),
        ({"seed": 3, "student_alone": True, "options": RunOptions(device="cpu")}, [], []),
    ],
)
def test_what_asks_for_another_recommendation(more: dict[str, object], sets: list[str], changes: list[str]) -> None:
    lying = a_recommendation().model_copy(update=AS_ASKED)
    request = Request.model_validate({"data": "films.csv", **more})
    assert list(_changes(request, sets, lying)) == changes


@pytest.mark.parametrize(
    ("more", "changes"),
    [
        ({"pick": 3}, []),
        ({"pick": 4}, ["--pick 4"]),
        ({"pick": 10}, []),
        ({"top": 2}, []),
        ({"top": 3}, ["--top 3"]),
        ({"top": 10}, []),
    ],
)
def test_more_picks_than_there_are_ask_for_another_recommendation(more: dict[str, int], changes: list[str]) -> None:
    """They were refused where a recommendation lay, and made where none did. Of nine candidates two are picks, and one
    more is on the front."""
    two, front = ([a_pick(rank) for rank in ranks] for ranks in ((1, 2), (2, 3)))
    lying = a_recommendation().model_copy(update={**AS_ASKED, "picks": two, "pareto": front, "candidates": 9})
    assert list(_changes(Request.model_validate({"data": "films.csv", **more}), [], lying)) == changes


def asked_with(home: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[list[Request], Answer]:
    """What recommendations are asked for by `run --pick 1`, where one lies, and what is said."""
    rows = [f"the soup was {word},{label}" for word, label in (("warm", "good"), ("cold", "bad"))] * 20
    data = write(home, "films.csv", "text,stars\n" + "\n".join(rows) + "\n")
    known = {"data": data, "teacher": SCRATCH, "picks": [a_pick(rank) for rank in range(1, 6)], "candidates": 9}
    lying = a_recommendation().model_copy(update={**AS_ASKED, **known})
    lying.write(home)
    asked: list[Request] = []
    monkeypatch.setattr(
        "autodistill.commands.run.recommendation_for", lambda request, _: asked.append(request) or lying
    )
    monkeypatch.setattr("autodistill.commands.run.run_recommended", lambda *given: [])
    monkeypatch.setattr("autodistill.commands.show.race", lambda outcomes: Shown(None))
    answer = Answer("run", data, *(() if "--top" in options else ("--pick", "1")), "--out", str(home), *options)
    assert answer.code == 0, answer.err
    return asked, answer


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--teacher-epochs", "5"), {"fine_tuning": FineTuning(epochs=5)}),
        (("--precision", "bf16"), {"options": RunOptions(precision="bf16")}),
        (("--max-train", "10"), {"columns": Columns(label="stars", max_train=10)}),
        (("--student", "layers:2"), {"students": ("layers:2",)}),
        (("--set", "training.batch_size=8"), {"training": Training(epochs=7, batch_size=8)}),
        (("--top", "8"), {}),
    ],
)
def test_a_new_recommendation_differs_in_what_was_typed_alone(
    options: tuple[str, ...], changed: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same question with one thing changed; what made it necessary is said."""
    (request,), answer = asked_with(tmp_path, monkeypatch, *options)
    found = request.model_dump() | {"training": request.pipeline.training}
    known = {"teacher": SCRATCH, "students": ("layers:1",), "columns": Columns(label="stars"), **AS_ASKED} | changed
    expected = Request.model_validate({name: value for name, value in known.items() if name in Request.model_fields})
    same = {"columns", "teacher", "students", "fine_tuning", "limits", "description", "predictor"}
    assert {name: found[name] for name in same} == expected.model_dump(include=same)
    assert found["training"] == known["training"]
    assert request.options.precision == (options[1] if "--precision" in options else "float32")
    assert request.top == (8 if "--top" in options else 5)
    assert f"recommendation.json was made without {' '.join(options)}: a new one" in " ".join(answer.err.split())


def test_a_recommendation_that_answers_the_question_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asked_with(tmp_path, monkeypatch, "--teacher-epochs", "2", "--label", "stars", "--seed", "1")
    assert (asked, answer.err) == ([], "")


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


@pytest.mark.parametrize("command", ["run", "recommend"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--store", "notes.txt"), "--store: the store cannot be opened"),
        (("--store", "foreign.db"), "--store: the store cannot be written to"),
        (("--store", "sqlite:///notes.txt/s.db"), "--store: the store cannot be opened"),
        (("--out", "notes.txt/run"), "--out: a folder that cannot be written"),
        (("--out", "x" * 300), "--out: a folder that cannot be written"),
        (("--out", f"runs/{'x' * 300}/a"), "--out: a folder that cannot be written"),
        (("--cache-dir", "notes.txt/cache"), "--cache-dir: a folder that cannot be written"),
        (("--teacher-seed", str(2**64)), "--teacher-seed: out of range"),
    ],
)
def test_what_cannot_be_written_to_is_known_before_data_are_read(
    command: str, given: tuple[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "notes.txt", "these are notes, and no database at all\n" * 50)
    with sqlite3.connect(tmp_path / "foreign.db") as connection:
        connection.execute("create table runs (id integer primary key, record text, owner text not null)")
    connection.close()
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("engine.data.load.load_task", lambda *_, **__: pytest.fail("the data were read"))
    assert_one_clear_message(Answer(command, *RUN[1:6], *given), words)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("seed", ["-1", str(2**32), str(2**64)])
def test_a_seed_that_no_generator_takes(seed: str, at_home: Path) -> None:
    assert_one_clear_message(Answer(*RUN, "--seed", seed), "--seed")


def test_a_store_that_fails_at_the_end_loses_no_run(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its disk is full by then: the student is there, and the same command adds the run."""
    with monkeypatch.context() as patched:
        patched.setattr(Store, "add_run", failing)
        answer = Answer(*RUN, "--out", "runs/full", "--seed", "3", "--store", "s.db")
    assert answer.code == 0
    assert "but not in the store; the same command adds it. --store: the disk is full" in " ".join(answer.err.split())
    assert Store("s.db").runs() == []
    assert Answer(*RUN, "--out", "runs/full", "--seed", "3", "--store", "s.db").code == 0
    assert [run.seed for run in Store("s.db").runs()] == [3]


def failing(*_: object) -> bool:
    raise InputError.of("--store", "the disk is full")
