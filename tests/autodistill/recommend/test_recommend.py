"""Recommendations on real toy datasets with tiny models: what they say, keep, doubt and refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autodistill import AutoDistiller, Limits
from autodistill.history.store import Store
from autodistill.recommend.experience import Experience, experience
from autodistill.recommend.recommend import within
from autodistill.recommend.record import Recommendation, in_words
from autodistill.recommend.request import Request
from autodistill.recommend.space import pipelines
from engine import Pipeline, load_task
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import SilentReporter
from engine.data.task import Task
from engine.pipeline import Training
from tests.toys import save_tiny, toy_task

TEACHER, STUDENT = "scratch:layers=2,hidden=32,heads=2", "layers:1"
TRAINING = Training(epochs=4, batch_size=8)
TUNING = FineTuning(epochs=2, learning_rate=1e-3)


class Listening(SilentReporter):
    """Remembers the stages that it was told of."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self.stages.append(stage)


def distiller(folder: Path, predictor: str = "ridge", **more: object) -> AutoDistiller:
    options = RunOptions(device="cpu", precision="float32", cache_dir=str(folder / "cache"))
    return AutoDistiller(
        meta_data=["published", "store"], predictor=predictor, options=options, store=str(folder / "s.db"), **more
    )


def recommend(folder: Path, task: Task, told: Listening | None = None, **more: object) -> Recommendation:
    asked = {"teacher": TEACHER, "student": STUDENT, "training": TRAINING, "fine_tuning": TUNING} | more
    return distiller(folder, reporter=told or Listening()).recommend(task, **asked)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recommended")


@pytest.fixture(name="task", scope="module")
def _task() -> Task:
    return toy_task("single", rows=96, held_out=32)


@pytest.fixture(name="found", scope="module")
def _found(folder: Path, task: Task) -> Recommendation:
    return recommend(folder, task)


def test_it_says_what_each_pick_gives_and_costs(found: Recommendation) -> None:
    assert [pick.rank for pick in found.picks] == [1, 2, 3, 4, 5]
    for pick in found.picks:
        assert Pipeline.model_validate(pick.pipeline).key == pick.key
        assert pick.pipeline["training"]["epochs"] == 4
        assert pick.seconds > 0
        assert pick.ratio_low is not None
        assert pick.ratio_high is not None
        assert pick.ratio_low <= pick.ratio <= pick.ratio_high
        assert {"intermediate", "prediction"} <= set(pick.contributions)


def test_it_keeps_what_was_asked(found: Recommendation, task: Task) -> None:
    """So that a new one, where one thing is changed, differs in nothing else."""
    again = Recommendation.model_validate_json(found.model_dump_json())
    assert (again.training, again.split) == (TRAINING, task.split)
    request = again.request()
    assert (request.teacher, request.students, request.fine_tuning) == (TEACHER, (STUDENT,), TUNING)
    assert (request.predictor, request.meta_data) == ("ridge", ("published", "store"))
    assert request.options.precision == "float32"


def test_all_picks_are_among_the_best_and_stand_in_their_order(found: Recommendation) -> None:
    standings = [pick.standing for pick in found.picks]
    assert standings == sorted(standings, reverse=True)
    assert all(pick.percentile is not None and pick.percentile >= 0.95 for pick in found.picks)
    assert found.picks[0].percentile == pytest.approx(1, abs=0.001), "tied ones share the middle of their ranks"


def test_the_whole_space_was_compared(found: Recommendation) -> None:
    assert found.candidates == len(list(pipelines("classification")))


def test_picks_differ(found: Recommendation) -> None:
    assert len({pick.key for pick in found.picks}) == 5
    parts = [{pick.pipeline[name]["kind"] for pick in found.picks} for name in ("intermediate", "mapping")]
    assert any(len(kinds) > 1 for kinds in parts)


def test_dearer_ones_on_the_pareto_front_are_better(found: Recommendation) -> None:
    seconds, standings = zip(*((pick.seconds, pick.standing) for pick in found.pareto), strict=True)
    assert list(seconds) == sorted(seconds)
    assert list(standings) == sorted(standings)
    assert max(standings) == max(pick.standing for pick in found.picks)


def test_each_rank_of_the_front_is_the_pick_that_is_run(found: Recommendation) -> None:
    """The front was counted from 1 as the picks are, and other runs were made than were shown."""
    assert any(pick.rank > len(found.picks) for pick in found.pareto), "some are no picks"
    assert {pick.rank for pick in (*found.picks, *found.pareto)} == {*range(1, len(found.by_rank) + 1)}
    for pick in (*found.picks, *found.pareto):
        assert found.chosen(pick.rank, None) == [pick]
    keys = {pick.key: pick.rank for pick in found.picks}
    assert all(keys.get(pick.key, pick.rank) == pick.rank for pick in found.pareto), "what is in both has one rank"


def test_scores_sizes_and_neighbours_are_measured(found: Recommendation) -> None:
    (student,) = found.students
    assert 0 < student.parameters < found.teacher_parameters
    assert student.latency_ms > 0
    assert 0 <= found.teacher_score <= 1
    assert found.bilstm_score is not None
    assert len(found.nearest) == 3
    assert set(found.nearest) <= set(found.past_datasets)


def test_the_second_question_loads_no_model_and_gives_the_same(folder: Path, task: Task, found: Recommendation) -> None:
    told = Listening()
    assert recommend(folder, task, told) == found
    assert told.stages == []
    assert not [said for said in told.messages if said.startswith(("Measured first", "teacher: is fine-tuned"))]


def test_the_first_question_says_what_is_done_for_it(tmp_path: Path, task: Task) -> None:
    """Before it is done; a teacher that may stop early takes at most so long."""
    told = Listening()
    recommend(tmp_path, task, told)
    asked = next(number for number, said in enumerate(told.messages) if said.startswith("Measured first"))
    first = next(number for number, said in enumerate(told.messages) if said.startswith("teacher: epoch 1"))
    assert f"how good the teacher and a small Bi-LSTM are on {task.name}" in told.messages[asked]
    assert f"teacher: is fine-tuned on {task.name} first, 2 epochs; the result is kept" in told.messages[asked:first]


def test_a_sample_of_a_shipped_dataset_changes_no_other_recommendation(
    folder: Path, task: Task, found: Recommendation
) -> None:
    """What was counted on it describes its own candidates, not the published runs."""
    sample = replace(toy_task("single", rows=48, held_out=16, seed=3), hub="nyu-mll/glue/mrpc")
    own = recommend(folder, sample)
    assert own.train_examples == 48
    assert "mrpc" not in own.nearest
    assert own.past_datasets == found.past_datasets
    assert recommend(folder, task) == found


def test_it_says_how_the_data_were_read(folder: Path, task: Task) -> None:
    told = Listening()
    recommend(folder, replace(task, notes=("text: column text", "a sample of 96 rows")), told)
    assert told.messages[:2] == ["text: column text", "a sample of 96 rows"]


def test_the_record_is_read_back(tmp_path: Path, found: Recommendation) -> None:
    assert Recommendation.read(found.write(tmp_path)) == found


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"data": 1})])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recommendation.json"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match="not the record of a recommendation"):
        Recommendation.read(path)


def test_what_is_too_dear_is_left_out(folder: Path, task: Task, found: Recommendation) -> None:
    cheapest = found.pareto[0].seconds
    limited = recommend(folder, task, limits=Limits(seconds=cheapest * 1.0001))
    assert limited.candidates < found.candidates
    assert {pick.seconds for pick in limited.picks} == {cheapest}


@pytest.mark.parametrize(
    ("limits", "place"),
    [
        (Limits(seconds=1e-6), "--max-time"),
        (Limits(parameters=10), "--max-params"),
        (Limits(latency_ms=1e-6), "--max-latency"),
    ],
)
def test_a_limit_that_nothing_keeps_says_what_the_least_is(
    folder: Path, task: Task, limits: Limits, place: str
) -> None:
    with pytest.raises(InputError, match="The least is") as caught:
        recommend(folder, task, limits=limits)
    assert caught.value.problems[0].place == place


def test_limits_are_said_in_whole_figures() -> None:
    """The least of two runs was 1.83e+03 s."""
    made = pd.DataFrame({"student": "s", "predicted_seconds": [1834.0, 2000.0], "student_parameters": 22_713_216})
    costs: Any = {"s": SimpleNamespace(latency_ms=2.0)}
    with pytest.raises(InputError, match=r"got 1,200 s a run\. The least is 1,834 s a run"):
        within(made, Limits(seconds=1200), costs)
    with pytest.raises(InputError, match=r"got 20,000,000 parameters\. The least is 22,713,216 parameters"):
        within(made, Limits(parameters=20e6), costs)


def test_several_students_are_compared(folder: Path, task: Task, found: Recommendation) -> None:
    students = [STUDENT, "scratch:layers=1,hidden=16,heads=2"]
    both = recommend(folder, task, student=students)
    assert both.candidates == 2 * found.candidates
    assert len(both.students) == 2
    smaller = min(student.parameters for student in both.students)
    limited = recommend(
        folder, task, student=[STUDENT, "scratch:layers=1,hidden=16,heads=2"], limits=Limits(parameters=smaller)
    )
    assert {pick.student for pick in limited.picks} == {"scratch:layers=1,hidden=16,heads=2"}


def test_students_that_are_no_transformers_are_compared_by_what_they_can_learn(folder: Path, task: Task) -> None:
    students = ["lstm:hidden=8", "static:width=16"]
    for student, kind in zip(students, ("lstm", "static"), strict=True):
        found = recommend(folder, task, student=student)
        assert found.candidates == len(list(pipelines(task.kind, student=kind)))
        assert all(not Pipeline.model_validate(pick.pipeline).problems_with(task.kind, kind) for pick in found.picks)
    both = recommend(folder, task, student=students)
    assert {pick.student for pick in both.picks} <= {*students}
    assert all(np.isfinite([pick.ratio, pick.seconds]).all() for pick in both.picks)


def test_the_default_predictor_recommends_too(folder: Path, task: Task) -> None:
    found = distiller(folder, Request().predictor).recommend(
        task, teacher=TEACHER, student=STUDENT, training=TRAINING, fine_tuning=TUNING
    )
    assert found.agreement > found.mean_rank_agreement
    assert found.picks[0].standing == max(pick.standing for pick in found.picks)


def test_the_interval_of_what_no_past_run_is_like_is_wider(
    folder: Path, task: Task, found: Recommendation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These models start from scratch, those of the past are pretrained."""
    assert any("No past run is like this" in warning for warning in found.warnings)

    def known(candidates: pd.DataFrame, past: pd.DataFrame) -> Experience:
        told = experience(candidates, past)
        return told._replace(outside=np.zeros_like(told.outside), reasons=[])

    monkeypatch.setattr("autodistill.recommend.recommend.experience", known)
    for outside, inside in zip(found.picks, recommend(folder, task).picks, strict=True):
        assert (outside.key, outside.ratio) == (inside.key, inside.ratio)
        assert outside.ratio_low < inside.ratio_low


# --- datasets unlike the past ones ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tagging", "question_answering", "regression"])
def test_other_kinds_of_tasks(tmp_path: Path, name: str) -> None:
    task = toy_task(name, rows=64, held_out=32)
    found = recommend(tmp_path, task)
    assert len(found.picks) == 5
    for pick in found.picks:
        assert not Pipeline.model_validate(pick.pipeline).problems_with(task.kind)
    if name == "tagging":
        assert any("No past run is of tagging" in warning for warning in found.warnings)


def test_texts_that_are_longer_than_a_model_reads(tmp_path: Path) -> None:
    """They are cut where a run cuts them; a recommendation once refused what `run` took."""
    task = toy_task("single", rows=40, held_out=24)
    task = replace(task, train=task.train.map(lambda row: {"text": 90 * row["text"]}), fingerprint="long")
    save_tiny(tmp_path / "teacher", task, max_position_embeddings=100)
    found = recommend(tmp_path, task, teacher=str(tmp_path / "teacher"))
    assert {pick.pipeline["training"]["max_length"] for pick in found.picks} == {None}
    assert {pick.pipeline["training"]["epochs"] for pick in found.picks} == {4}


def test_forty_rows(tmp_path: Path) -> None:
    found = recommend(tmp_path, toy_task("single", rows=40, held_out=20))
    assert any("Only 40 training rows and 20 held-out rows" in warning for warning in found.warnings)


def test_another_language(tmp_path: Path) -> None:
    words = {"gut": "wunderbar herrlich großartig", "schlecht": "furchtbar langweilig scheußlich"}
    rows = [
        f"Das Essen schmeckte {word} und die Bedienung verhielt sich ebenso {word}\t{label}"
        for label, listed in words.items()
        for word in listed.split()
    ]
    path = tmp_path / "german.tsv"
    path.write_text("\n".join(["text\tlabel", *rows * 16]), "utf-8")
    found = recommend(tmp_path, load_task(str(path)))
    assert any("another language or field" in warning for warning in found.warnings)


def test_a_run_is_in_the_next_recommendation(folder: Path, task: Task, found: Recommendation) -> None:
    store = Store(str(folder / "s.db"))
    before = len(store.runs())
    told = Listening()
    outcomes = distiller(folder, reporter=told).run(found, dataset=task, out=folder / "runs", pick=1)
    assert outcomes[0].result.status == "ok"
    assert outcomes[0].result.teacher_score == found.teacher_score
    assert "teacher" not in told.stages, "the recommendation's, which is there, is not fine-tuned again"
    assert len(store.runs()) == before + 1
    after = recommend(folder, task)
    assert after.past_runs == found.past_runs + 1
    assert [name for name in after.past_datasets if name.startswith("toysingle@")]


def test_pipelines_in_words_tell_all_picks_apart() -> None:
    words = {in_words(pipeline.model_dump()) for pipeline in pipelines("regression")}
    assert len(words) == len(list(pipelines("regression")))


def test_a_dataset_that_changed_is_not_run(folder: Path, found: Recommendation) -> None:
    with pytest.raises(InputError, match="made for other data"):
        distiller(folder).run(found, dataset=toy_task("single", rows=96, seed=1), out=folder / "other")


def test_made_by_hand_tasks_get_a_fingerprint(folder: Path, task: Task, found: Recommendation) -> None:
    assert recommend(folder, replace(task, fingerprint="")).dataset_fingerprint not in ("", task.fingerprint)
