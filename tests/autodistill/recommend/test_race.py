"""Races of picks: who is stopped when, and that the winner is the student it would have become alone."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from autodistill.history.store import Store
from autodistill.recommend.race import (
    Outcome,
    _repeated,
    distilled,
    folder_name,
    record_run,
    rule,
    run_picks,
    run_recommended,
    rungs,
)
from autodistill.recommend.record import Pick, Recommendation
from autodistill.recommend.request import Request
from engine import Pipeline, distill
from engine.base.errors import InputError, OutOfMemory, RunError
from engine.base.options import FineTuning, RunOptions
from engine.data.task import Task
from engine.run.result import RunResult
from tests.autodistill.commands.records import a_recommendation
from tests.ear import Ear
from tests.records import lasting, made_record
from tests.toys import toy_task

TEACHER, STUDENT = "scratch:layers=2,hidden=32,heads=2", "layers:1"
TUNING = FineTuning(epochs=4, learning_rate=1e-3)
LEARNING = [{"learning_rate": rate} for rate in (1e-3, 1e-5, 2e-5)]
"""How three picks train: the first one learns."""


class Watching(Ear):
    """Counts the steps, too."""

    def __init__(self) -> None:
        super().__init__()
        self.worked: dict[str, int] = {}

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.worked[stage] = self.worked.get(stage, 0) + count


def picks(task: Task, *changes: dict[str, float]) -> list[Pick]:
    training = {"epochs": 4, "batch_size": 8}
    made = [Pipeline.model_validate({"training": training | each}) for each in changes or LEARNING]
    resolved = [pipeline.for_task(task) for pipeline in made]
    return [
        Pick(
            rank=rank,
            student=STUDENT,
            pipeline=pipeline.model_dump(),
            key=pipeline.key,
            standing=0.0,
            ratio=0.9,
            ratio_low=None,
            ratio_high=None,
            seconds=1.0,
            contributions={},
            unseen=[],
        )
        for rank, pipeline in enumerate(resolved, start=1)
    ]


def race(task: Task, folder: Path) -> Request:
    return Request(
        task=task,
        teacher=TEACHER,
        out=folder,
        store=str(folder.parent / "s.db"),
        fine_tuning=TUNING,
        options=RunOptions(device="cpu", precision="float32", cache_dir=str(folder.parent / "cache")),
    )


@pytest.fixture(name="task", scope="module")
def _task() -> Task:
    return toy_task("single", rows=128, held_out=64)


@pytest.mark.parametrize("count", [*range(1, 10), 50])
@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 20])
def test_picks_are_stopped_before_the_end_and_never_at_once(count: int, epochs: int) -> None:
    stops = rungs(epochs, count)
    assert stops == sorted(set(stops))
    assert all(1 <= stop < epochs for stop in stops)
    assert bool(stops) == (count > 1 and epochs > 1)
    assert len(stops) <= 3


def test_what_a_request_leaves_open_is_as_the_recommendation_has_it(task: Task) -> None:
    made = a_recommendation().model_copy(update={"fine_tuning": TUNING, "precision": "float32", "int8_teacher": True})
    repeated = _repeated(Request(), made, task)
    assert repeated.options.int8_teacher
    assert (repeated.teacher, repeated.fine_tuning, repeated.options.precision) == ("big", TUNING, "float32")
    asked = Request(fine_tuning=FineTuning(seed=3), options=RunOptions(precision="bf16"))
    repeated = _repeated(asked, made, task)
    assert repeated.fine_tuning == TUNING.model_copy(update={"seed": 3})
    assert repeated.options.precision == "bf16"


def test_the_rule_is_said() -> None:
    assert rule([3, 5, 10], 5) == (
        "5 picks side by side; what goes on: after epoch 3 the best 3, after epoch 5 the best 2, "
        "after epoch 10 the best one"
    )


# --- who goes on: an engine that follows a script --------------------------------------------------------


def leave(result: RunResult, folder: Path) -> None:
    """The record of a run in its folder."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(result.to_json(), "utf-8")


class Script:
    """Stands in for the engine: pick → its scores after each epoch; None: it fails there, which ends it."""

    def __init__(self, request: Request, entrants: list[Pick], scores: list[list[float | None]]) -> None:
        self.scores = {folder_name(request, pick): own for pick, own in zip(entrants, scores, strict=True)}
        self.asked: list[tuple[int, int | None, tuple[float, float] | None]] = []
        self.rank = {folder_name(request, pick): pick.rank for pick in entrants}
        self.pipelines = {folder_name(request, pick): pick.pipeline for pick in entrants}

    def distilled(
        self,
        request: Request,
        student: str,
        pipeline: object,
        out: Path,
        reporter: object,
        until: int | None,
        ratio: Any,
    ) -> RunResult:
        assert (student, out.parent, request.task.notes) == (STUDENT, request.out, ())
        assert pipeline == self.pipelines[out.name]
        assert isinstance(reporter, Ear)
        self.asked.append((self.rank[out.name], until, ratio))
        own = self.scores[out.name]
        reached = own[:until]
        if None in reached:
            leave(made_record(out.name, status="failed", reason="NaN"), out)
            raise RunError("NaN")
        history = [{"epoch": place, "scores": {"accuracy": score}} for place, score in enumerate(reached, 1)]
        best = max(range(len(reached)), key=lambda place: (reached[place] or 0, -place))
        status = "ok" if len(reached) == len(own) else "pruned"
        return made_record(out.name, status=status, history=history, best_epoch=best + 1, student_score=reached[best])


def told(scores: list[list[float | None]]) -> tuple[list[tuple[int, str, int]], list[tuple[int, int | None]]]:
    """Successive halving: (rank, status, epochs) from the best to the worst, and (rank, epoch) as asked for."""
    epochs, count = min(len(own) for own in scores), len(scores)
    stops = sorted({-(-epochs // 2**half) for half in (1, 2, 3) if 2 ** (half - 1) < count} - {epochs})
    going, asked, state = [*range(count)], [], {}
    for stop in [*stops, None]:
        for rank in going:
            if state.get(rank, ("", 0))[0] == "ok":
                continue
            asked.append((rank + 1, stop))
            reached = scores[rank][:stop]
            status = "failed" if None in reached else "ok" if len(reached) == len(scores[rank]) else "pruned"
            best = -1.0 if None in reached else max(score or 0.0 for score in reached)
            state[rank] = (status, best, 0 if None in reached else len(reached))
        if stop is not None:
            order = sorted(going, key=lambda rank: (-state[rank][1], rank))
            going = sorted(rank for rank in order[: -(-len(order) // 2)] if state[rank][0] != "failed")
    ended = sorted(range(count), key=lambda rank: (state[rank][0] != "ok", -state[rank][1], list(state).index(rank)))
    return [(rank + 1, state[rank][0], state[rank][2]) for rank in ended], asked


@pytest.mark.parametrize("seed", range(40))
def test_the_better_half_goes_on(seed: int, tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(seed)
    epochs = [int(dice.choice([3, 6, 16]))] * int(dice.integers(1, 9))
    if seed % 3 == 0:
        epochs[0] += 2  # one that has more of them
    entrants = picks(task, *({"epochs": each, "learning_rate": 1e-4 * place} for place, each in enumerate(epochs, 1)))
    scores: list[list[float | None]] = [(dice.integers(1, 8, each) / 10).tolist() for each in epochs]
    if seed % 4 == 0 and len(scores) > 1:
        scores[-1][int(dice.integers(len(scores[-1])))] = None
    whole = race(replace(task, notes=("a note",)), tmp_path / "race")
    script = Script(whole, entrants, scores)
    monkeypatch.setattr("autodistill.recommend.race.distilled", script.distilled)
    expected, asked = told(scores)

    outcomes = run_picks(whole, entrants, ear := Ear())
    found = [(each.pick.rank, each.result.status, len(each.result.history)) for each in outcomes]
    assert found == expected
    assert [each[:2] for each in script.asked] == asked
    assert ear.messages.count("a note") == 1
    recorded = {result.identity: result.status for result in Store(str(tmp_path / "s.db")).runs()}
    assert recorded == {folder_name(whole, each.pick): each.result.status for each in outcomes}
    for each in outcomes:
        if each.result.status == "pruned":
            assert RunResult.read(each.folder) == each.result
            line = f"pick {each.pick.rank} is stopped: accuracy {each.score:.4f} after epoch {each.result.epochs}"
            assert line in ear.messages


@pytest.mark.parametrize(
    ("scores", "asked", "order"),
    [
        ([[0.9], [0.5] * 4, [0.4] * 4], [(1, 1), (2, 1), (3, 1), (2, 2)], [(1, "ok"), (2, "pruned"), (3, "pruned")]),
        (
            [[0.3], [0.5] * 4, [0.9] * 4],
            [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, None)],
            [(3, "ok"), (1, "ok"), (2, "pruned")],
        ),
    ],
    ids=["the best", "the worst"],
)
def test_a_pick_that_has_ended_is_not_asked_again_and_comes_before_those_that_were_stopped(
    scores: Any, asked: Any, order: Any, tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of three ends after one of its four epochs."""
    whole, entrants, recorded = race(task, tmp_path / "race"), picks(task), []
    script = Script(whole, entrants, scores)
    monkeypatch.setattr("autodistill.recommend.race.distilled", script.distilled)
    monkeypatch.setattr("autodistill.recommend.race.record_run", lambda *given: recorded.append(given))
    outcomes = run_picks(whole, entrants, ear := Ear())
    assert [each[:2] for each in script.asked] == asked
    assert [(each.pick.rank, each.result.status) for each in outcomes] == order
    aims = {1: "to epoch 1", 2: "to epoch 2", None: "to its end"}
    begun = [f"pick {rank}: {entrants[rank - 1].words}, {aims[epoch]}" for rank, epoch in asked]
    assert [text for text in ear.messages if ": " in text and "stopped" not in text and "side" not in text] == begun
    assert ear.messages[0] == rule([1, 2], 3)
    assert sorted(result.identity for _, result, *_ in recorded) == sorted(script.rank), "once, when it is over"
    assert all(given[-1] is ear for given in recorded)


def test_a_pick_alone_runs_without_a_word_about_others(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, entrants = race(task, tmp_path / "race"), picks(task)[:1]
    monkeypatch.setattr("autodistill.recommend.race.distilled", Script(whole, entrants, [[0.5] * 4]).distilled)
    run_picks(whole, entrants, ear := Ear())
    assert ear.messages == list(task.notes)
    monkeypatch.setattr("autodistill.recommend.race.distilled", Script(whole, entrants, [[None]]).distilled)
    with pytest.raises(RunError, match="^every pick failed; the first one: NaN$"):
        run_picks(whole, entrants, Ear())


@pytest.mark.parametrize("process", [0, 1])
def test_one_process_alone_puts_away_what_a_stopped_pick_would_have_gone_on_from(
    process: int, tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", str(process))
    whole, entrants = race(task, tmp_path / "race"), picks(task)[:2]
    script = Script(whole, entrants, [[0.9] * 4, [0.5] * 4])
    monkeypatch.setattr("autodistill.recommend.race.distilled", script.distilled)
    outcomes = run_picks(whole, entrants, Ear())
    assert outcomes[-1].result.status == "pruned"
    assert (outcomes[-1].folder / "result.json").exists() == (process == 0)


def test_a_folder_is_called_by_its_objective_and_eight_digits(tmp_path: Path, task: Task) -> None:
    names = [folder_name(race(task, tmp_path), pick) for pick in picks(task)]
    assert len(set(names)) == 3
    assert all(re.fullmatch("[a-z_]+-[0-9a-f]{8}", name) for name in names)


def test_a_field_that_comes_to_fine_tuning_renames_no_folder(task: Task, tmp_path: Path) -> None:
    class Later(FineTuning):
        new: int = 0

    whole, (first, *_) = race(task, tmp_path), picks(task)
    given = whole.fine_tuning.model_dump()
    later = (Later(**given), Later(**given, new=1))
    names = [folder_name(whole.model_copy(update={"fine_tuning": each}), first) for each in later]
    assert folder_name(whole, first) == names[0] != names[1]


def test_a_predicted_interval_is_compared_with_what_came_out(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, third = picks(task)
    one = one.model_copy(update={"ratio_low": 0.8, "ratio_high": 0.95})
    third = third.model_copy(update={"ratio_low": 0.8})
    whole, entrants = race(task, tmp_path / "race"), [one, other, third]
    script = Script(whole, entrants, [[0.5] * 4] * 3)
    monkeypatch.setattr("autodistill.recommend.race.distilled", script.distilled)
    run_picks(whole, entrants, Ear())
    assert {(rank, ratio) for rank, _, ratio in script.asked} == {(1, (0.8, 0.95)), (2, None), (3, None)}


def test_when_every_pick_fails_the_first_reason_is_said(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, entrants = race(task, tmp_path / "race"), picks(task)[:2]
    monkeypatch.setattr("autodistill.recommend.race.distilled", Script(whole, entrants, [[None] * 4] * 2).distilled)
    with pytest.raises(RunError, match="^every pick failed; the first one: NaN$"):
        run_picks(whole, entrants, ear := Ear())
    assert ear.messages[1:] == [
        text
        for rank in (1, 2)
        for text in (f"pick {rank}: {entrants[rank - 1].words}, to epoch 2", f"pick {rank} failed: NaN")
    ]


def test_a_pick_that_does_not_fit_into_memory_does_not_stop_the_others(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor when the same command is given again. It leaves no record, so that with more memory it goes on."""
    whole, entrants = race(task, tmp_path / "race"), picks(task)
    script, large = Script(whole, entrants, [[0.5] * 4] * 3), folder_name(whole, entrants[1])

    def distilled(request: Request, student: str, pipeline: object, out: Path, *more: Any) -> RunResult:
        if out.name == large:
            raise OutOfMemory("the memory does not suffice")
        return script.distilled(request, student, pipeline, out, *more)

    monkeypatch.setattr("autodistill.recommend.race.distilled", distilled)
    for _ in range(2):
        outcomes = run_picks(whole, entrants, ear := Ear())
        ended = [(each.pick.rank, each.result.status, each.result.reason) for each in outcomes]
        assert ended == [(1, "ok", None), (3, "pruned", None), (2, "failed", "the memory does not suffice")]
        assert "pick 2 failed: the memory does not suffice" in ear.messages
    assert {result.status for result in Store(str(tmp_path / "s.db")).runs()} == {"ok", "pruned"}
    with pytest.raises(RunError, match="^every pick failed; the first one: the memory does not suffice$"):
        run_picks(whole, entrants[1:2], Ear())


def test_among_several_students_it_is_said_which_one_a_pick_is_of(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, (one, other, _) = race(task, tmp_path / "race"), picks(task)
    other = other.model_copy(update={"student": "lstm"})
    monkeypatch.setattr("autodistill.recommend.race.distilled", lambda *given: made_record(given[3].name))
    run_picks(whole, [one, other], ear := Ear())
    begun = [f"pick 1: student {STUDENT}, {one.words}, to epoch 2", f"pick 2: student lstm, {other.words}, to epoch 2"]
    assert ear.messages[1:3] == begun


@pytest.mark.parametrize("status", [None, "pruned"])
def test_an_error_that_left_no_failed_record_is_not_hidden(
    status: str | None, tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: Request, student: str, pipeline: object, out: Path, *more: object) -> RunResult:
        if status:
            leave(made_record(out.name, status=status), out)
        raise RunError("the disk is full")

    monkeypatch.setattr("autodistill.recommend.race.distilled", broken)
    with pytest.raises(RunError, match="^the disk is full$"):
        run_picks(race(task, tmp_path / "race"), picks(task), Ear())


def recommended(task: Task) -> Recommendation:
    """Three picks for the task, as if they had been made with a named file."""
    known = {"dataset_fingerprint": task.fingerprint, "teacher": TEACHER, "fine_tuning": TUNING, "picks": picks(task)}
    return a_recommendation().model_copy(update={**known, "precision": "float32"})


@pytest.mark.parametrize(
    ("asked", "ran"), [({}, [1]), ({"pick": 2}, [2]), ({"top": 2}, [1, 2]), ({"top": 3}, [1, 2, 3])]
)
def test_a_recommendation_s_picks_are_run(
    asked: dict[str, int], ran: list[int], tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, found = race(task, tmp_path / "race").model_copy(update={"task": None, **asked}), recommended(task)
    script = Script(whole.model_copy(update={"task": task}), found.picks, [[0.5] * 4] * 3)
    monkeypatch.setattr("autodistill.recommend.race.distilled", script.distilled)
    outcomes = run_recommended(whole, found, Ear(), data=task)
    assert sorted(outcome.pick.rank for outcome in outcomes) == ran


def test_the_data_of_a_recommendation_are_read_as_it_says(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    load = "autodistill.recommend.race.load_task"
    monkeypatch.setattr(load, lambda data, **columns: asked.append((data, columns)) or task)
    whole, found = race(task, tmp_path / "race"), recommended(task)
    script = Script(whole, found.picks, [[0.5] * 4] * 3)
    monkeypatch.setattr("autodistill.recommend.race.distilled", script.distilled)
    run_recommended(whole, found, Ear())
    run_recommended(whole, found, Ear(), data="elsewhere.csv")
    assert asked == [("films.csv", {"label": "stars"}), ("elsewhere.csv", {"label": "stars"})]


def test_other_data_than_the_recommendation_s_are_refused(tmp_path: Path, task: Task) -> None:
    other = toy_task("single", rows=32, held_out=16, seed=5)
    with pytest.raises(InputError) as caught:
        run_recommended(race(task, tmp_path / "race"), recommended(task), Ear(), data=other)
    assert str(caught.value) == (
        f"films.csv: the recommendation was made for other data; got {other.name}. Run `autodistill recommend` again."
    )


def test_places_are_tried_before_the_data_are_read(tmp_path: Path, task: Task) -> None:
    (tmp_path / "race").touch()
    with pytest.raises(InputError, match="--out: a folder is needed"):
        run_recommended(race(task, tmp_path / "race"), recommended(task), Ear(), data="nowhere.csv")


def test_a_run_with_a_search_for_theta_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr("autodistill.evaluation.figures.draw_team", lambda *given: drawn.append(given))
    request, result = Request(store=str(tmp_path / "s.db")), made_record()
    record_run(request, result, tmp_path, Ear())
    assert not drawn
    (tmp_path / "theta.csv").touch()
    record_run(request, result, tmp_path, Ear())
    assert drawn == [(result, tmp_path)]
    assert Store(str(tmp_path / "s.db")).runs() == [result]


def test_a_run_that_the_store_does_not_take_is_said(tmp_path: Path) -> None:
    record_run(Request(store=str(tmp_path)), made_record(), tmp_path, ear := Ear())
    (said,) = ear.messages
    assert said.startswith("The run is finished, but not in the store; the same command adds it. --store: ")


@pytest.mark.parametrize(("alone", "ratio", "compared"), [(False, None, 0), (True, None, 1), (False, (0.8, 0.9), 1)])
def test_the_engine_is_asked_for_what_the_request_says(
    alone: bool, ratio: tuple[float, float] | None, compared: int, tmp_path: Path, task: Task, monkeypatch: Any
) -> None:
    given: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("engine.distillation.distill", lambda data, **named: given.append((data, named)))
    request = race(task, tmp_path / "race").model_copy(update={"seed": 7, "student_alone": alone})
    ear = Ear()
    distilled(request, STUDENT, {"a": 1}, tmp_path / "out", ear, 3, ratio)
    ((data, named),) = given
    expected = named.pop("expected")
    assert data is task
    assert named == {
        "teacher": TEACHER,
        "seed": 7,
        "student_alone": alone,
        "fine_tuning": TUNING,
        "options": request.options,
        "student": STUDENT,
        "pipeline": {"a": 1},
        "out": tmp_path / "out",
        "until_epoch": 3,
        "reporter": ear,
    }
    assert (expected.ratio, list(expected.others)) == (ratio, ["bilstm"] * compared)


def test_an_outcome_is_judged_by_the_set_that_selects() -> None:
    scores = {"teacher": {"validation": {"accuracy": 0.8}, "test": {"accuracy": 0.5}}}
    history = [{"scores": {"accuracy": score}} for score in (0.5, 0.6, 0.4)]
    stages = {"teacher": 100.0, "signals": 1.0, "search": 2.0, "student": 4.0, "measuring": 50.0}
    known = {"history": history, "best_epoch": 2, "scores": scores, "selected_on": "validation"}
    result = made_record(**known, stage_seconds=stages)
    outcome = Outcome(cast(Pick, None), result, Path("run"))
    assert (outcome.score, outcome.ratio, outcome.seconds) == (0.6, pytest.approx(0.75), 7.0)
    for changed in ({"selected_on": "test2"}, {"scores": {}}, {"scores": {"teacher": {}}}, {"selected_on": None}):
        assert Outcome(cast(Pick, None), made_record(**known | changed), Path("run")).ratio is None
    failed = Outcome(cast(Pick, None), made_record(**known, status="failed"), Path("run"))
    assert failed.score == -math.inf
    unknown = Outcome(cast(Pick, None), made_record(student_score=None), Path("run"))
    assert (unknown.score, unknown.ratio, unknown.seconds) == (-math.inf, None, 0.0)


# --- whole races -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_race(tmp_path: Path, task: Task) -> None:
    ear, entrants = Watching(), picks(task)
    outcomes = run_picks(race(task, tmp_path / "race"), entrants, ear)
    recorded = Store(str(tmp_path / "s.db")).runs()

    assert outcomes[0].pick.rank == 1
    assert [outcome.result.status for outcome in outcomes] == ["ok", "pruned", "pruned"]
    assert sorted(len(outcome.result.history) for outcome in outcomes) == [1, 2, 4]
    assert sorted(result.status for result in recorded) == ["ok", "pruned", "pruned"]
    assert any("side by side" in text for text in ear.messages)
    for loser in outcomes[1:]:
        assert {path.name for path in loser.folder.iterdir()} == {"result.json"}

    alone = distill(
        task,
        teacher=TEACHER,
        student=STUDENT,
        pipeline=entrants[0].pipeline,
        out=tmp_path / "alone",
        fine_tuning=TUNING,
        options=race(task, tmp_path / "race").options,
    )
    won, by_itself = (lasting(result.model_dump()) for result in (outcomes[0].result, alone))
    shared = {"teacher_examples"}  # the signals of the first run serve the second
    assert {k: v for k, v in won.items() if k not in shared} == {k: v for k, v in by_itself.items() if k not in shared}

    again = Watching()
    repeated = run_picks(race(task, tmp_path / "race"), entrants, again)
    assert [outcome.result for outcome in repeated] == [outcome.result for outcome in outcomes]
    assert again.worked == {}


@pytest.mark.slow
def test_a_race_beside_students_alone_repeats_nothing(tmp_path: Path, task: Task) -> None:
    """A pick that was stopped is compared with no Bi-LSTM, and lacks nothing: it was trained again from its start."""
    whole = race(task, tmp_path / "race").model_copy(update={"student_alone": True})
    outcomes = run_picks(whole, entrants := picks(task)[:2], Watching())
    assert [outcome.result.status for outcome in outcomes] == ["ok", "pruned"]
    assert "bilstm" in outcomes[0].result.scores
    repeated = run_picks(whole, entrants, again := Watching())
    assert [outcome.result for outcome in repeated] == [outcome.result for outcome in outcomes]
    assert again.worked == {}


STILL = {"epochs": 6, "learning_rate": 1e-12}


@pytest.mark.slow
@pytest.mark.parametrize(("early", "ends"), [(1, [(2, "ok"), (3, "pruned")]), (2, [(6, "ok"), (2, "ok")])])
def test_a_pick_that_stops_early_has_ended(early: int, ends: list[tuple[int, str]], tmp_path: Path, task: Task) -> None:
    """Before the race halves: it competes with its best epoch, is recorded once and not run again. Scores are tied."""
    entrants = picks(task, *(STILL | {"early_stopping": int(rank == early)} for rank in (1, 2)))
    outcomes = run_picks(race(task, tmp_path / "race"), entrants, ear := Watching())
    assert [outcome.pick.rank for outcome in outcomes] == [1, 2]
    assert [(len(outcome.result.history), outcome.result.status) for outcome in outcomes] == ends
    begun = [text for text in ear.messages if text.startswith(f"pick {early}: ")]
    assert begun == [f"pick {early}: {entrants[early - 1].words}, to epoch 3"]
    assert len(Store(str(tmp_path / "s.db")).runs()) == 2

    repeated = run_picks(race(task, tmp_path / "race"), entrants, again := Watching())
    assert [outcome.result for outcome in repeated] == [outcome.result for outcome in outcomes]
    assert again.worked == {}


def test_picks_that_were_stopped_have_not_failed(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, entrants = race(task, tmp_path / "race"), picks(task)[:2]
    scores = [[0.1, 0.1, 0.1, 0.1], [0.2, 0.2, None, None]]  # the worse one is stopped, the better one fails later
    monkeypatch.setattr("autodistill.recommend.race.distilled", Script(whole, entrants, scores).distilled)
    with pytest.raises(RunError, match="^every pick that was not stopped failed; the first one: NaN$"):
        run_picks(whole, entrants, Ear())


@pytest.mark.slow
def test_a_pick_that_fails_does_not_stop_the_others(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrants = picks(task, {"learning_rate": 1e-3}, {"learning_rate": 2e-3})
    whole = race(task, tmp_path / "race")

    def failing(task: Task, *, out: Path, **more: object) -> RunResult:
        if Path(out).name == folder_name(whole, entrants[0]):
            failed = distill(task, out=out, **more).model_copy(update={"status": "failed", "reason": "NaN"})
            (Path(out) / "result.json").write_text(failed.to_json(), "utf-8")
            raise RunError("NaN")
        return distill(task, out=out, **more)

    monkeypatch.setattr("engine.distillation.distill", failing)
    outcomes = run_picks(whole, entrants, Ear())
    assert [(outcome.pick.rank, outcome.result.status) for outcome in outcomes] == [(2, "ok"), (1, "failed")]

    with pytest.raises(RunError, match="every pick failed"):
        run_picks(whole, entrants[:1], Ear())


def test_a_store_that_cannot_be_used_is_said_before_anything_is_trained(tmp_path: Path, task: Task) -> None:
    whole = race(task, tmp_path / "race").model_copy(update={"store": "postgresql://"})
    ear = Watching()
    with pytest.raises(InputError, match="--store"):
        run_picks(whole, picks(task, {"learning_rate": 1e-3}), ear)
    assert ear.worked == {}
    assert not list(tmp_path.rglob("result.json"))
