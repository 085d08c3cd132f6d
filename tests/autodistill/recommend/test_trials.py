"""Searches: what they train, when they end, what they choose, and that a stop changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from autodistill import AutoDistiller
from autodistill.history.store import Store
from autodistill.recommend import contenders, trials
from autodistill.recommend.contenders import contender_of
from autodistill.recommend.race import folder_name
from autodistill.recommend.recommend import space_of
from autodistill.recommend.request import Effort, Request
from autodistill.recommend.search_record import Known, SearchRecord, found, identity_of, path_of
from autodistill.recommend.searched import Searched
from autodistill.recommend.trials import search
from engine import Pipeline, distill
from engine.base.errors import InputError, OutOfMemory, RunError
from engine.base.options import FineTuning, RunOptions
from engine.data.task import Task
from engine.pipeline import Training
from engine.run.result import RunResult
from tests.ear import Ear
from tests.records import made_prior, made_record
from tests.toys import toy_task

TEACHER, STUDENT, EPOCHS = "scratch:layers=2,hidden=32,heads=2", "layers:1", 16


@pytest.fixture(name="task", scope="module")
def _task() -> Task:
    return toy_task("single", rows=64, held_out=32)


@dataclass
class Script:
    """Stands in for the engine: each candidate has a curve, an epoch takes a second, and time passes with epochs alone.

    Args:
        kill: The piece, counted from 1, at whose end the process is gone before anything is written.
        failing: Share of candidates whose training fails.
        comparing: Seconds that the student alone and the Bi-LSTM take.
    """

    request: Request
    kill: int = 0
    failing: float = 0.0
    comparing: float = 0.0
    now: float = 0.0
    trained: list[tuple[str, int]] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)

    def distilled(
        self, request: Request, student: str, pipeline: object, out: Path, reporter: object, until: int | None = None
    ) -> RunResult:
        dice = np.random.default_rng(int.from_bytes(out.name.encode(), "big"))
        last, fails = 0.6 + 0.05 * dice.normal(), dice.random() < self.failing
        if request.student_alone:
            self.compared.append(out.name)
            self.now += self.comparing
        epochs, before = until or EPOCHS, self.reached.get(out.name, 0)
        if epochs > before:
            self.now += epochs - before
            self.trained.append((out.name, epochs))
            self.reached[out.name] = epochs
            if len(self.trained) == self.kill:
                self.kill = 0
                raise KeyboardInterrupt
        if fails:
            _left(made_record(out.name, status="failed", reason="NaN"), out)
            raise RunError("NaN")
        curve = [last - 0.3 * (1 - epoch / EPOCHS) ** 2 for epoch in range(1, epochs + 1)]
        history = [{"epoch": place, "scores": {"accuracy": score}} for place, score in enumerate(curve, 1)]
        made = made_record(
            out.name,
            status="ok" if epochs == EPOCHS else "pruned",
            history=history,
            best_epoch=epochs,
            student_score=curve[-1],
            selected_on="validation",
        )
        _left(made, out)
        return made


def _left(result: RunResult, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(result.to_json(), "utf-8")


@pytest.fixture(name="begin")
def _begin(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Request, Script]]:
    """A search whose candidates are known, and the script that it follows."""

    def begun(
        out: str = "out",
        budget: float | None = None,
        count: int | None = None,
        error: float | None = None,
        dear: float = 0.0,
        **about: float,
    ) -> tuple:
        request = Request(
            task=task,
            teacher=TEACHER,
            students=(STUDENT,),
            pipeline=Pipeline(training=Training(epochs=EPOCHS)),
            out=tmp_path / out,
            store=str(tmp_path / "s.db"),
            options=RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path / "cache")),
            effort=Effort(budget=budget, trials=count),
        )
        script = Script(request, **about)  # type: ignore[arg-type]

        def closed(request: Request, result: RunResult, folder: Path, reporter: object) -> None:
            script.closed.append(folder.name)

        monkeypatch.setattr(trials, "distilled", script.distilled)
        monkeypatch.setattr(trials, "close", closed)
        monkeypatch.setattr(trials, "record_run", lambda *_: None)
        monkeypatch.setattr(trials.time, "monotonic", lambda: script.now)
        dice = np.random.default_rng(0)
        names = [contender_of(STUDENT, each).name for each in space_of(request)[STUDENT][::7]]
        if found(request.out, identity_of(request)) is None:
            SearchRecord(
                identity=identity_of(request),
                task=task.name,
                metric="accuracy",
                teacher=TEACHER,
                error=error,
                prior=made_prior(),
                prepared=5.0,
                candidates={
                    name: Known(seconds=EPOCHS, before=dear, expected=0.02 * dice.normal(), latency_ms=1.0)
                    for name in names
                },
            ).write(request.out)
        return request, script

    return begun


def of_two_students(request: Request, better: float) -> Request:
    """For the front of the usual student, which is expected to be so much better, and one that is twice as fast."""
    effort = request.effort.model_copy(update={"pareto": True})
    request = request.model_copy(update={"students": (STUDENT, "lstm"), "effort": effort})
    about = {STUDENT: {"expected": better, "latency_ms": 2.0}, "lstm": {"expected": 0.0, "latency_ms": 1.0}}
    known = {
        contender_of(student, each).name: Known(seconds=EPOCHS, **about[student])
        for student, pipelines in space_of(request).items()
        for each in pipelines[::20]
    }
    empty = SearchRecord(
        identity=identity_of(request),
        task="t",
        metric="accuracy",
        teacher=TEACHER,
        error=None,
        prior=made_prior(),
        prepared=5.0,
        candidates=known,
    )
    assert request.out is not None
    empty.write(request.out)
    return request


def history(done: Searched) -> list[tuple]:
    return [(step.candidate, step.epochs, step.score, step.choice, step.gain) for step in done.record.steps]


def test_pieces_are_short_and_nothing_is_trained_twice(begin) -> None:
    request, script = begin(budget=200.0)
    done = search(request, Ear())
    assert len({*script.trained}) == len(script.trained) >= 10
    assert {epochs for _, epochs in script.trained} >= {1, 2, 4}
    assert done.record.spent == pytest.approx(5.0 + script.now)


@pytest.mark.parametrize("budget", [60.0, 100.0, 180.0, 190.0, 202.0, 300.0])
def test_it_keeps_its_time(begin, budget: float) -> None:
    """What the chosen one still needs, and the student alone, are part of it."""
    request, script = begin(budget=budget, comparing=EPOCHS)
    done = search(request, Ear())
    assert done.record.spent == pytest.approx(5.0 + script.now)
    assert done.record.spent <= budget
    assert budget - done.record.spent <= 3 * EPOCHS, "what is needed at the end is not kept back twice"
    assert "time that is left" in done.record.ended


def test_what_takes_too_long_is_not_tried(begin) -> None:
    """Of two kinds of candidates the dear ones would take more than a third of the time."""
    request, _ = begin(budget=200.0)
    record = found(request.out, identity_of(request))
    dear = {name for name in record.candidates if int(name, 16) % 2}
    known = {
        name: each.model_copy(update={"expected": 0.1, "seconds": 70.0}) if name in dear else each
        for name, each in record.candidates.items()
    }
    record.model_copy(update={"candidates": known}).write(request.out)
    done = search(request, ear := Ear())
    assert not {step.candidate for step in done.record.steps} & dear
    assert any(
        f"pipelines and {len(dear)} that would take too long for the time that is left; each" in said
        for said in ear.messages
    )
    assert done.record.spent <= 200.0


@pytest.mark.parametrize(("budget", "said"), [(60.0, True), (100.0, False)])
def test_a_time_in_which_few_can_be_tried_is_said(begin, budget: float, said: bool) -> None:
    """Each takes 16 seconds."""
    search(begin(budget=budget)[0], ear := Ear())
    assert any("few can be tried" in line for line in ear.messages) is said
    assert any("pipelines; each takes 0.3 to 0.3 minutes to its end" in line for line in ear.messages)


def test_too_little_time_is_said_with_what_is_needed(begin) -> None:
    request, script = begin(budget=18.0)
    with pytest.raises(InputError, match=r"too little time for a single training.*at least 0\.3 minutes"):
        search(request, Ear())
    assert script.trained == []


def test_the_chosen_one_is_trained_to_its_end_and_compared(begin) -> None:
    request, script = begin(budget=120.0)
    done = search(request, Ear())
    assert done.result.status == "ok"
    assert done.folder.name == folder_name(request, done.tried[0][0])
    assert script.reached[done.folder.name] == EPOCHS
    assert script.compared == [done.folder.name]
    assert done.record.winner == done.tried[0][0].name
    ended = [steps[-1].score for _, steps in done.tried if steps[-1].over]
    assert done.tried[0][1][-1].score == max(ended)


def test_at_most_so_many_are_tried(begin) -> None:
    request, _ = begin(count=6)
    done = search(request, Ear())
    assert len(done.tried) == len({step.candidate for step in done.record.steps}) == 6


@pytest.mark.parametrize(
    ("effort", "kill"),
    [*(({"count": 8}, kill) for kill in (1, 2, 9, 20)), *(({"budget": 48.0}, kill) for kill in (1, 2, 4))],
)
def test_a_stop_changes_nothing(begin, effort: dict[str, Any], kill: int) -> None:
    """Whatever the piece, though it was trained and nothing of it was written down; also where the time is so short
    that every training takes more than the part of it that one should."""
    whole = search(begin(**effort)[0], Ear())
    request, script = begin("stopped", **effort, kill=kill)
    with pytest.raises(KeyboardInterrupt):
        search(request, Ear())
    done = search(request, ear := Ear())
    assert history(done) == history(whole)
    assert done.record.winner == whole.record.winner
    assert len({*script.trained}) == len(script.trained)
    assert (kill == 1) != any("goes on" in said for said in ear.messages)


@pytest.mark.parametrize("kill", [3, 14])
def test_what_past_curves_teach_is_that_of_the_beginning(begin, kill: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update between a stop and the next beginning changes nothing."""
    whole = search(begin(budget=150.0)[0], Ear())
    request, _ = begin("stopped", budget=150.0, kill=kill)
    with pytest.raises(KeyboardInterrupt):
        search(request, Ear())
    other = replace(made_prior(), own=0.01, noise=2.0, lengths=(1.0, 1.0, 1.0))
    monkeypatch.setattr(contenders, "shipped_prior", lambda: other)
    done = search(request, Ear())
    both = list(zip(history(done), history(whole), strict=False))
    assert all(one[:3] == other[:3] for one, other in both[:kill])
    assert done.record.spent <= 150.0


def test_more_time_goes_on_with_the_same_search(begin) -> None:
    short = search(begin(budget=60.0)[0], Ear())
    request, script = begin(budget=150.0)
    script.reached = {}  # of those that were closed no checkpoint is left
    longer = search(request, Ear())
    policy = [step for step in short.record.steps if not step.closing]
    assert [step.candidate for step in longer.record.steps[: len(policy)]] == [step.candidate for step in policy]
    assert len(longer.record.steps) > len(short.record.steps)
    assert longer.record.spent <= 150.0


@pytest.mark.parametrize("budget", [48.0, 70.0, 80.0, 100.0, 130.0])
@pytest.mark.parametrize("pareto", [False, True])
def test_the_same_command_again_trains_nothing(begin, budget: float, pareto: bool) -> None:
    """Nor with less time: what was found is shown, and the same front, of trainings that have ended."""
    request, script = begin(budget=budget)
    request = of_two_students(request, 0.02) if pareto else request
    first = search(request, Ear())
    trained = [*script.trained]
    for less in (0, 5):
        effort = request.effort.model_copy(update={"budget": budget - less})
        again = search(request.model_copy(update={"effort": effort}), ear := Ear())
        assert script.trained == trained
        assert again.record == first.record
        assert again.result == first.result
        assert again.front == first.front
        assert {result.status for _, result, _ in again.front} == {"ok"}
        assert any("is finished" in said for said in ear.messages)


def test_a_stop_in_the_comparison_changes_nothing(begin, monkeypatch: pytest.MonkeyPatch) -> None:
    request, script = begin(budget=100.0)
    first = script.distilled

    def stopping(asked: Request, *more: object) -> RunResult:
        if asked.student_alone:
            raise KeyboardInterrupt
        return first(asked, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "distilled", stopping)
    with pytest.raises(KeyboardInterrupt):
        search(request, Ear())
    monkeypatch.setattr(trials, "distilled", first)
    trained, before = [*script.trained], found(request.out, identity_of(request))
    done = search(request, Ear())
    assert script.trained == trained
    assert done.record.steps == before.steps


def test_a_run_that_is_further_already_is_recorded_as_it_was(begin) -> None:
    """Such as a pick that was run to its end in the same folder: an early look sees its early score."""
    whole = search(begin(count=3)[0], Ear())
    request, script = begin("again", count=3)
    for contender, _ in whole.tried:
        script.distilled(request, STUDENT, contender.pipeline, request.out / folder_name(request, contender), None)
    first = script.distilled

    def finished(asked: Request, student: str, pipeline: object, out: Path, *more: object) -> RunResult:
        return first(asked, student, pipeline, out, None)

    trials.distilled = finished  # the fixture puts it back
    done = search(request, Ear())
    scores = [(step.candidate, step.epochs, step.score) for step in whole.record.steps if not step.closing]
    assert [(step.candidate, step.epochs, step.score) for step in done.record.steps if not step.closing] == scores


def test_what_fails_is_not_chosen(begin) -> None:
    request, _ = begin(count=12, failing=0.5)
    done = search(request, ear := Ear())
    failed = {step.candidate for step in done.record.steps if step.failed}
    assert failed
    assert done.record.winner not in failed
    assert any("failed: NaN" in said for said in ear.messages)
    assert not any(" 0.0000" in said for said in ear.messages), "no score is made up"
    assert {step.score for step in done.record.steps if step.failed} == {None}
    assert [contender.name in failed for contender, _ in done.tried] == sorted(
        contender.name in failed for contender, _ in done.tried
    )


def test_what_does_not_fit_into_memory_is_left(begin, monkeypatch: pytest.MonkeyPatch) -> None:
    request, script = begin(count=4)
    first = script.distilled

    def large(asked: Request, student: str, pipeline: object, out: Path, *more: object) -> RunResult:
        if len({name for name, _ in script.trained} | {out.name}) == 2:
            script.trained.append((out.name, 0))
            raise OutOfMemory("the memory does not suffice")
        return first(asked, student, pipeline, out, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "distilled", large)
    done = search(request, Ear())
    failed = [step for step in done.record.steps if step.failed]
    assert {step.failed for step in failed} == {"the memory does not suffice"}
    assert len({step.candidate for step in failed}) == len(failed), "what failed is not tried again"
    assert len(done.tried) == 4


def test_another_error_of_a_run_ends_the_search(begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though an older run in that folder has failed: that another process works there is no failure of the pipeline."""
    request, _ = begin(count=4)

    def busy(asked: Request, student: str, pipeline: object, out: Path, *more: object) -> RunResult:
        raise RunError(f"another process is working in {out}")

    monkeypatch.setattr(trials, "distilled", busy)
    with pytest.raises(RunError, match="another process is working"):
        search(request, Ear())
    assert found(request.out, identity_of(request)).steps == []


def test_one_search_is_carried_out_by_one_process(begin) -> None:
    request, _ = begin(count=2)
    path = path_of(request.out, identity_of(request))
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    with lock, pytest.raises(RunError, match="another process is working on this search"):
        search(request, Ear())
    assert search(request, Ear()).record.winner


def test_a_record_of_a_version_with_other_pipelines_is_refused(begin) -> None:
    request, _ = begin(count=2)
    record = found(request.out, identity_of(request))
    record.model_copy(
        update={"candidates": record.candidates | {"old": Known(seconds=1, expected=0, latency_ms=1)}}
    ).write(request.out)
    with pytest.raises(InputError, match=r"another version.*begin anew"):
        search(request, Ear())


def test_where_all_fail_it_says_so(begin) -> None:
    request, _ = begin(count=3, failing=1.1)
    with pytest.raises(RunError, match="every run failed; the first one: NaN"):
        search(request, Ear())


def test_it_ends_where_nothing_is_to_be_gained(begin) -> None:
    request, script = begin(count=10**6, error=10.0)
    done = search(request, Ear())
    assert "standard error" in done.record.ended
    assert script.now < 100


def test_what_is_given_up_is_closed_and_the_others_at_the_end(begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autodistill.search.improving.PAUSED", 2)
    request, script = begin(budget=300.0)
    done = search(request, Ear())
    paused = {folder_name(request, contender) for contender, steps in done.tried if not steps[-1].over}
    assert paused <= {*script.closed}
    again = {*script.closed} - paused
    assert all(script.reached[name] == EPOCHS for name in again), "one that was given up may be taken up again"
    assert len(again) <= 1, "in the end, when one is trained whole"
    assert len(script.closed) > 2, "some were given up on the way"


def test_a_search_of_other_things_is_another_one(begin, task: Task) -> None:
    request, _ = begin(count=2)
    assert identity_of(request) == identity_of(request.model_copy(update={"effort": Effort(budget=5.0)}))
    both = [request.model_copy(update={"students": names}) for names in (("lstm", STUDENT), (STUDENT, "lstm"))]
    assert identity_of(both[0]) == identity_of(both[1]), "in whichever order they are named"
    for changes in ({"teacher": "x"}, {"students": ("y",)}, {"seed": 3}, {"meta_data": ("study",)}):
        assert identity_of(request.model_copy(update=changes)) != identity_of(request)


def test_of_several_students_each_is_kept_that_no_faster_one_is_as_good_as(begin) -> None:
    """The faster of two students is looked at as well, however much better the slower one is thought to be."""
    request, _ = begin(budget=400.0)
    slow, fast = STUDENT, "lstm"
    done = search(of_two_students(request, 0.05), Ear())
    tried = [contender.student for contender, _ in done.tried]
    assert min(tried.count(slow), tried.count(fast)) >= 3
    assert all(result.status == "ok" for _, result, _ in done.front)
    scores = [result.student_score for _, result, _ in done.front]
    assert scores == sorted(scores, reverse=True)
    assert [each.contender.student for each in done.front] in ([slow, fast], [fast])
    assert done.record.spent <= 400.0


def test_a_record_that_is_none_is_refused(begin) -> None:
    request, _ = begin(count=2)
    (path,) = request.out.glob("search-*.json")
    path.write_text("{}", "utf-8")
    with pytest.raises(InputError, match="not the record of this search"):
        search(request, Ear())


def test_several_processes_are_refused(begin, monkeypatch: pytest.MonkeyPatch) -> None:
    request, _ = begin(count=2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="one process"):
        search(request, Ear())


# --- with real models -----------------------------------------------------------------------------------


def test_a_search_from_python(tmp_path: Path, task: Task) -> None:
    options = RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path / "cache"))
    distiller = AutoDistiller(predictor="mean_rank", options=options, store=str(tmp_path / "s.db"), reporter=Ear())
    asked = {"teacher": TEACHER, "student": STUDENT, "training": Training(epochs=3), "trials": 3}
    asked |= {"fine_tuning": FineTuning(epochs=2, learning_rate=1e-3), "out": tmp_path / "out"}
    done = distiller.search(task, **asked)
    assert done.result.status == "ok"
    assert {"teacher", "student", "student_alone", "bilstm"} <= done.result.scores.keys()
    assert RunResult.read(done.folder) == done.result
    assert not [*tmp_path.glob("out/*/.work")], "no checkpoint is left"
    stored = {result.identity: result.status for result in Store(str(tmp_path / "s.db")).runs()}
    assert sorted(stored.values()) == sorted("ok" if steps[-1].over else "pruned" for _, steps in done.tried)
    again = distiller.search(task, **asked)
    assert (history(again), again.result) == (history(done), done.result)
    alone = distill(
        task,
        teacher=TEACHER,
        student=STUDENT,
        pipeline=done.tried[0][0].pipeline,
        out=tmp_path / "alone",
        fine_tuning=asked["fine_tuning"],
        options=options,
    )
    assert alone.scores["student"] == done.result.scores["student"], "pieces change nothing"


def test_a_search_from_python_may_keep_the_front(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []
    monkeypatch.setattr(trials, "search", lambda request, _: asked.append(request))
    for pareto in ({}, {"pareto": True}):
        AutoDistiller().search(task, teacher=TEACHER, student=(STUDENT, "lstm"), out=tmp_path, trials=3, **pareto)
    assert [request.effort for request in asked] == [Effort(trials=3), Effort(trials=3, pareto=True)]


def test_a_search_from_python_needs_an_end(tmp_path: Path, task: Task) -> None:
    with pytest.raises(InputError, match="a search needs an end"):
        AutoDistiller().search(task, teacher=TEACHER, student=STUDENT, out=tmp_path)
