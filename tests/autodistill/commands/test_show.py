"""What a person sees of results, recommendations and evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autodistill.api import AutoDistiller
from autodistill.commands import console, show
from autodistill.commands.show import Shown
from autodistill.commands.units import MISSING
from autodistill.datasets.bilstm import BiLSTMCosts
from autodistill.evaluation.report import Evaluation
from autodistill.race import Outcome
from autodistill.recommend.record import Pick
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import load_pipeline
from engine.run.result import Candidate, Member, RunResult, TeamResult
from tests.autodistill.commands.records import a_recommendation
from tests.command_line import Answer


def a_result(**more: Any) -> RunResult:
    usual: dict[str, Any] = {
        "status": "ok",
        "identity": "0",
        "task": "sst2",
        "task_kind": "classification",
        "dataset_fingerprint": "1",
        "labels": ["bad", "good"],
        "train_examples": 1234,
        "teacher": "big",
        "student": "small",
        "pipeline": PRESETS["tinybert"].pipeline.model_dump(),
        "seed": 0,
        "metric": "accuracy",
        "split": "validation",
        "selected_on": "validation",
        "teacher_score": 0.9,
        "student_score": 0.81,
        "distillation_ratio": 0.9,
        "scores": {"teacher": {"validation": {"accuracy": 0.9}}, "student": {"validation": {"accuracy": 0.81}}},
        "warnings": ["The teacher is hardly better than a coin."],
        "parameters": 14_350_000,
    }
    return RunResult(**(usual | more))


def test_show_a_run(tmp_path: Path) -> None:
    result = a_result()
    (tmp_path / "result.json").write_text(result.to_json(), encoding="utf-8")
    shown = Answer("show", str(tmp_path)).out
    for part in ("0.9000", "0.8100", "14.3 M", "distillation ratio (accuracy", "warning: The teacher is hardly"):
        assert part in shown
    assert json.loads(Answer("show", str(tmp_path), "--json").out)["student_score"] == 0.81


@pytest.mark.parametrize("more, epochs", [({}, 2), ({"paused_after": 3}, 3)], ids=["itself", "its best candidate"])
def test_show_a_run_that_was_stopped(more: dict[str, int], epochs: int, tmp_path: Path) -> None:
    pipeline = load_pipeline("tinybert", ["training.epochs=6"]).model_dump()
    stopped = a_result(status="pruned", pipeline=pipeline, best_epoch=1, history=[{}, {}], **more)
    (tmp_path / "result.json").write_text(stopped.to_json(), encoding="utf-8")
    shown = Answer("show", str(tmp_path)).out
    assert f"stopped after epoch {epochs} of 6; scores are of the best one so far (epoch 1)" in shown
    assert "distillation ratio (accuracy, student / teacher): 0.9000" in shown


def lines(shown: Shown) -> str:
    return "\n".join(shown.lines)


# --- a run -------------------------------------------------------------------------------------------


def test_a_run_shows_scores_with_four_digits_beside_the_teachers() -> None:
    held_out = {"matched": {"accuracy": 0.81234, "mcc": 0.5}, "mismatched": {"accuracy": 0.7}}
    scores = {"teacher": held_out, "student": held_out}
    result = a_result(scores=scores, split="matched", teacher_parameters=109_000_000)
    (head, rows, _), *more = show.run(result).tables
    assert (head, more) == (["", "teacher", "student"], [])
    assert rows[:4] == [
        ["matched accuracy", "0.8123", "0.8123"],
        ["matched mcc", "0.5000", "0.5000"],
        ["mismatched accuracy", "0.7000", "0.7000"],
        ["parameters", "109 M", "14.3 M"],
    ]


def test_scores_have_intervals_and_the_set_that_reports_comes_first() -> None:
    sets = {"validation": {"f1": 0.7, "mcc": 0.3}, "test": {"f1": 0.6, "mcc": 0.2}}
    bounds = {"student": {"test": {"f1": [0.51, 0.69]}}}
    about = {"metric": "f1", "positive": "spam", "split": "test", "ratio_interval": [0.88, 0.93]}
    result = a_result(scores={"teacher": sets, "student": sets}, intervals=bounds, **about)
    ((_, rows, _),) = show.run(result).tables
    assert rows[:3] == [
        ["test f1 of spam", "0.6000", "0.6000 (0.510 to 0.690)"],
        ["test mcc", "0.2000", "0.2000"],
        ["validation f1 of spam", "0.7000", "0.7000"],
    ]
    assert "(f1 of spam, student / teacher): 0.9000 (0.880 to 0.930), on test" in lines(show.run(result))
    assert "0.9000, on validation (also used to select)" in lines(show.run(a_result()))


def test_the_verdict_is_shown_of_a_run_and_of_the_best_of_a_race() -> None:
    result = a_result(verdict=["It is not worth serving."])
    assert "It is not worth serving." in show.run(result).lines
    assert "It is not worth serving." in show.race([Outcome(a_pick(1), result, Path("runs/1"))]).lines


def test_the_student_alone_has_a_column_where_it_was_trained() -> None:
    alone = {"validation": {"accuracy": 0.75}}
    result = a_result(student_alone_score=0.75, scores=a_result().scores | {"student_alone": alone})
    ((head, rows, _),) = show.run(result).tables
    assert head == ["", "teacher", "student", "student alone"]
    assert rows[0] == ["accuracy", "0.9000", "0.8100", "0.7500"]
    assert {len(row) for row in rows} == {4}


def test_a_ratio_that_is_undefined_and_a_run_that_failed() -> None:
    assert "(accuracy, student / teacher): undefined" in lines(show.run(a_result(distillation_ratio=None)))
    failed = a_result(status="failed", reason="out of luck", student_score=None, distillation_ratio=None)
    assert list(show.run(failed, "more to know").lines) == ["failed: out of luck", "more to know"]


@pytest.mark.parametrize("drawn", [True, False])
def test_a_team_is_shown_with_its_search(drawn: bool) -> None:
    teachers = [
        Member(name=name, parameters=parameters, scores={"first": {"accuracy": 0.5}, "validation": {"accuracy": score}})
        for name, parameters, score in (("big", 109_000_000, 0.9), ("other", 66_000_000, 0.875))
    ]
    shares = [0.25, 0.75] if drawn else None
    candidates = [Candidate(distribution=[0.5, 0.5], score=score) for score in (0.8, 0.81, 0.79)] if drawn else []
    team = TeamResult(teachers=teachers, distribution=shares, candidates=candidates)
    shown = show.run(a_result(team=team, stage_seconds={"search": 12.4, "student": 90.0}))
    head, rows, _ = shown.tables[1]
    assert head == ["member", "parameters", "score", "share"]
    assert rows == [
        ["big", "109 M", "0.9000", "0.250" if drawn else MISSING],
        ["other", "66 M", "0.8750", "0.750" if drawn else MISSING],
    ]
    assert "passed through the team" in lines(shown)
    assert ("3 candidates: accuracy 0.7900 to 0.8100" in lines(shown)) == drawn
    assert ("search for θ 12 s, 3 trainings 90 s, 30 s each" in lines(shown)) == drawn


def test_a_comparison_is_one_table_and_a_sentence() -> None:
    sizes = {"size_mb": 57.4, "latency_ms": 2.0, "teacher_size_mb": 90.9, "teacher_latency_ms": 6.2}
    verdict = ["It never finds a class."]
    result = a_result(**sizes, teacher_parameters=22_700_000, student_alone_score=0.8, verdict=verdict)
    result.scores["student_alone"] = {"validation": {"accuracy": 0.8}}
    result.scores["bilstm"] = {"validation": {"accuracy": 0.6}}
    result.intervals["bilstm"] = {"validation": {"accuracy": [0.55, 0.65]}}
    shown = show.comparison(result, BiLSTMCosts(400_000, 1.6, 0.5), "the end")
    ((head, rows, _),) = shown.tables
    assert head == ["", "accuracy", "parameters", "size", "latency"]
    assert rows == [
        ["teacher", "0.9000", "22.7 M", "90.9 MB", "6.2 ms"],
        ["student", "0.8100", "14.3 M", "57.4 MB", "2 ms"],
        ["student alone", "0.8000", "14.3 M", "57.4 MB", "2 ms"],
        ["Bi-LSTM", "0.6000 (0.550 to 0.650)", "400 k", "1.6 MB", "0.5 ms"],
    ]
    assert shown.lines[0] == "The student is 3.1 times as fast as its teacher and keeps 90 % of its accuracy."
    assert shown.lines[-1] == "the end"
    assert {*verdict, *show.run(result).lines} <= {*shown.lines}
    assert json.loads(json.dumps(shown.record))["bilstm"]["parameters"] == 400_000
    result.scores["bilstm"] = {"validation": {"accuracy": 0.85}}
    assert "times as fast" not in lines(show.comparison(result, BiLSTMCosts(400_000, 1.6, 0.5)))


# --- recommendations and races -----------------------------------------------------------------------


def a_pick(rank: int = 1, **more: Any) -> Pick:
    usual: dict[str, Any] = {
        "rank": rank,
        "student": "layers:6",
        "pipeline": load_pipeline("tinybert", ["prediction.kind=ce"]).model_dump(),
        "key": str(rank),
        "standing": 1.0,
        "percentile": 0.994,
        "ratio": 0.98765,
        "ratio_low": 0.9,
        "ratio_high": 1.01,
        "seconds": 1250.0,
        "contributions": {},
        "unseen": [],
    }
    return Pick(**(usual | more))


@pytest.mark.parametrize(
    ("pick", "reasons"),
    [
        (a_pick(contributions={"mapping": 0.1, "intermediate": 0.5}), "intermediate +0.50, mapping +0.10"),
        (a_pick(contributions={"mapping": -0.25, "prediction": 0.004}), "no component by itself"),
        (a_pick(), "no component by itself"),
        (a_pick(2, contributions={"mapping": 0.25, "prediction": -0.5}), "mapping +0.25"),
        (a_pick(unseen=["augmentation", "team"]), "no component by itself"),
    ],
)
def test_what_speaks_for_a_pick_lists_only_what_does(pick: Pick, reasons: str) -> None:
    """The weightiest first; what adds next to nothing, or takes away, is left out."""
    ((_, (row,), _),) = show.recommendation(a_recommendation(), [pick]).tables
    assert row[0] == str(pick.rank)
    assert row[-5:] == ["99.4", "0.988", "0.900 to 1.010", "21 min", reasons]


def test_ties_and_what_was_never_run_are_said() -> None:
    picks = [a_pick(), a_pick(2, standing=0.5, unseen=["team"]), a_pick(3, standing=0.5, unseen=["team", "mapping"])]
    shown = show.recommendation(a_recommendation(), picks)
    ((_, rows, _),) = shown.tables
    assert [row[0] for row in rows] == ["1", "2", "3, tied with 2"]
    assert list(shown.lines[-2:]) == [
        "warning: no past run has this team: pick 2, 3",
        "warning: no past run has this mapping: pick 3",
    ]


def test_a_pick_without_an_interval_and_one_of_several_students() -> None:
    found = a_recommendation()
    several = found.model_copy(update={"students": [*found.students, found.students[0]]})
    ((_, (row,), _),) = show.recommendation(several, [a_pick(ratio_low=None, ratio_high=None)]).tables
    assert row[4] == MISSING
    assert row[1] == f"layers:6: {a_pick().words}"


def test_a_race_shows_predicted_beside_reached() -> None:
    pipeline = {"training": {"epochs": 6}}
    stopped = a_result(status="pruned", pipeline=pipeline, history=[{}, {}], distillation_ratio=0.5, student_score=0.45)
    broken = a_result(status="failed", reason="out of luck", distillation_ratio=None, student_score=None)
    results = [a_result(history=[{}] * 6, seconds=42.0), stopped, broken]
    outcomes = [Outcome(a_pick(rank), each, Path(f"runs/{rank}")) for rank, each in enumerate(results, start=1)]
    shown = show.race(outcomes)
    ((head, rows, _),) = shown.tables
    assert {len(row) for row in rows} == {len(head)}
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert [row[2:] for row in rows] == [
        ["0.900", "0.8100", "6", "0 s (21 min)"],
        ["0.500", "0.4500", "2, stopped", "0 s (21 min)"],
        [MISSING, MISSING, "0, failed", "0 s (21 min)"],
    ]
    assert list(shown.lines[:3]) == [f"pick {rank}: {a_pick().words}" for rank in (1, 2, 3)]
    assert shown.lines[3].startswith("best: pick 1; ")
    assert "predicted 0.988 (0.900 to 1.010), reached 0.900" in shown.lines[3]
    assert shown.lines[-1] == "student and result: runs/1"
    assert json.loads(json.dumps(shown.record))[1]["result"]["status"] == "pruned"
    assert show.race(outcomes[2:]).lines[-1] == "failed: out of luck"


def test_a_race_fits_into_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stopped = a_result(status="pruned", pipeline={"training": {"epochs": 20}}, history=[{}] * 10)
    outcomes = [
        Outcome(a_pick(rank), each, Path("run")) for rank, each in ((1, a_result(history=[{}] * 20)), (2, stopped))
    ]
    console.show(show.race(outcomes), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    (first,) = (line for line in lines if line.split()[:1] == ["1"])
    assert first.split() == ["1", "0.988", "0.900", "0.8100", "20", "0", "s", "(21", "min)"]
    assert any(line.split() == ["(0.900", "to", "1.010)"] for line in lines)
    assert any("10, stopped" in line for line in lines)


# --- an evaluation -----------------------------------------------------------------------------------


def test_an_evaluation_shows_every_predictor_and_dataset() -> None:
    distiller = AutoDistiller(meta_data="published", predictor="mean_rank")
    found = distiller.evaluate(compared=["random"])
    shown = show.evaluation(found, "more to know")
    (head, rows, _), (_, against, _), (wide, datasets, title) = shown.tables
    assert [row[0] for row in against] == ["random"]
    assert [row[0] for row in rows] == [*found.predictors]
    assert {"mean_rank", "random"} <= found.predictors.keys()
    assert [row[0] for row in datasets] == [*found.datasets]
    assert {len(row) for row in rows} == {len(head)}
    assert {len(row) for row in datasets} == {len(wide)}
    assert rows[0][1] == f"{found.predictors['mean_rank']['spearman']:.3f}"
    assert title == "mean_rank, each dataset held out"
    assert f"mean_rank on {found.runs} runs of {len(found.datasets)} datasets (published)" in shown.lines[0]
    assert shown.lines[-1] == "more to know"
    assert shown.record == json.loads(found.model_dump_json())


def test_what_the_runs_cannot_tell_is_a_dash() -> None:
    found = Evaluation(
        meta_data="mine",
        runs=10,
        predictor="random",
        mean_spearman=None,
        interval=None,
        pair="a ← b",
        mean_within_pair_spearman=None,
        datasets={"films": {}},
        predictors={"random": {}},
        differences={},
        noise_ceiling=None,
        noise_ceilings={},
        interval_coverage=None,
        interval_coverages={},
        features={},
        notes=["a note"],
    )
    shown = show.evaluation(found)
    (_, (row,), _), (_, (dataset,), _) = shown.tables
    assert set(row[1:]) == {MISSING}
    assert dataset[1:] == [*[MISSING] * (len(dataset) - 2), "none"]
    assert len(shown.lines) == 2
    assert f"mean Spearman {MISSING}; within a ← b {MISSING}" in shown.lines[0]
    assert shown.lines[1] == "a note"
