"""What a person sees of results, recommendations and evaluations."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autodistill.commands import console, look, show, show_evaluation
from autodistill.commands.show import Shown
from autodistill.commands.units import MISSING
from autodistill.datasets.bilstm import BiLSTMCosts
from autodistill.recommend.contenders import Contender
from autodistill.recommend.race import Outcome
from autodistill.recommend.record import Pick
from autodistill.recommend.search_record import Known, SearchRecord, Trained
from autodistill.recommend.searched import Chosen, Searched
from engine.base.progress import SilentReporter
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import load_pipeline
from engine.run.result import Candidate, Member, RunResult, TeamResult
from tests.autodistill.commands.records import a_pick, a_recommendation
from tests.autodistill.commands.test_show_evaluation import an_evaluation
from tests.command_line import Answer
from tests.records import made_prior
from tests.toys import toy_task


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


def advised(*picks: Pick, **more: Any) -> Shown:
    """A recommendation of these picks, as it is shown."""
    return show.recommendation(a_recommendation().model_copy(update={"picks": [*picks], **more}))


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
    shown = advised(pick)
    ((_, (row,), _),) = shown.tables
    assert row == [str(pick.rank), "99.4", "0.988", "0.900 to 1.010", "21 min"]
    assert shown.lines[0] == f"pick {pick.rank}: {pick.words}; what speaks for it: {reasons}"


def test_ties_and_what_was_never_run_are_said() -> None:
    picks = [a_pick(), a_pick(2, standing=0.5, unseen=["team"]), a_pick(3, standing=0.5, unseen=["team", "mapping"])]
    shown = advised(*picks)
    ((_, rows, _),) = shown.tables
    assert [row[0] for row in rows] == ["1", "2", "3, tied with 2"]
    assert list(shown.lines[-3:-1]) == [
        "warning: no past run has this team: pick 2, 3",
        "warning: no past run has this mapping: pick 3",
    ]


def test_a_pick_without_an_interval_and_one_of_several_students() -> None:
    (student,) = a_recommendation().students
    several = [student, student.model_copy(update={"name": "lstm"})]
    shown = advised(a_pick(ratio_low=None, ratio_high=None), students=several)
    ((_, (row,), _),) = shown.tables
    assert row[3] == MISSING
    assert shown.lines[0].startswith(f"pick 1: student layers:6, {a_pick().words}; ")


def compared(**more: Any) -> list[str]:
    """What is said of the pipelines, the predictor and its features."""
    said = advised(**more).lines
    return [line for line in said if "compared by" in line or "features of" in line]


NINE = {"past_runs": 504, "past_datasets": [str(each) for each in range(10)], "candidates": 1288}


@pytest.mark.parametrize(
    ("more", "worth"),
    [
        (
            {"agreement": 0.105, "mean_rank_agreement": 0.05, "agreement_pair": "small ← big", "agreement_datasets": 9},
            "; on 9 of these, each left out, it orders runs of small ← big with a rank correlation of 0.10 "
            "(mean rank of configurations: 0.05)",
        ),
        (
            {"predictor": "mean_rank", "agreement": 0.6, "mean_rank_agreement": None, "agreement_datasets": 10},
            "; on 10 of these, each left out, it orders runs with a rank correlation of 0.60",
        ),
        ({"agreement": None, "mean_rank_agreement": None, "agreement_pair": "small ← big"}, ""),
    ],
)
def test_what_the_order_is_worth_is_said_of_the_datasets_that_it_is_of(more: dict[str, Any], worth: str) -> None:
    """It was said of all ten datasets where nine had the pair, of one as "–", and of the mean rank beside itself."""
    said = compared(**NINE | more)
    predictor = more.get("predictor", "ridge")
    assert said[0] == f"1,288 pipelines compared by {predictor} with 504 past runs on 10 datasets{worth}"


@pytest.mark.parametrize(
    ("features", "said"),
    [(None, []), ([], ["none: what holds on every"]), (["descriptors", "embedding"], ["descriptors and embedding"])],
)
def test_features_are_named_where_the_predictor_chooses_them(features: list[str] | None, said: list[str]) -> None:
    """Trees depend on features, and were said to depend on none."""
    _, *found = compared(features=features)
    assert len(found) == len(said)
    for line, words in zip(found, said, strict=True):
        assert line.startswith(f"features of the dataset that the order depends on: {words}")


@pytest.mark.parametrize(
    "more, sure",
    [
        ({"agreement": 0.2}, True),
        ({"agreement": 0.19}, False),
        ({"agreement": None}, False),
        ({"agreement": 0.9, "outside": True}, False),
    ],
)
def test_a_search_is_offered_and_first_of_all_where_the_order_is_not_sure(more: dict[str, Any], sure: bool) -> None:
    (said,) = (line for line in advised(**more).lines if "next:" in line)
    assert "--budget 30m" in said
    assert ("--pick 1" in said) == sure
    assert ("a guess" in said) != sure


def test_of_the_front_the_numbers_are_shown_that_are_run() -> None:
    """And no command that would be refused: with the same options, --pareto among them, no pick is run."""
    front = [a_pick(3), a_pick(6, unseen=["team"])]
    more = {"picks": [a_pick(rank) for rank in range(1, 6)], "pareto": front, "agreement": 0.9}
    shown = show.recommendation(a_recommendation().model_copy(update=more), "where it lies", pareto=True)
    ((_, rows, _),) = shown.tables
    assert [row[0] for row in rows] == ["3", "6, tied with 3"]
    assert list(shown.lines[-3:]) == [
        "warning: no past run has this team: pick 6",
        "next: `autodistill run` with --pick and one of these numbers runs that pick; "
        "with the same options and --budget 30m it tries many pipelines, a few epochs each",
        "where it lies",
    ]


def test_where_a_team_stands_and_how_it_is_run() -> None:
    """Members were named, and nothing said that no team stood among the picks."""
    team = {"kind": "average", "members": ["layers:1"]}
    taught = a_pick(6, percentile=0.603, pipeline=a_pick().pipeline | {"team": team})
    member = Member(name="layers:1", parameters=7, scores={"validation": {"accuracy": 0.8}})
    for picks, words in (
        ([a_pick(), taught], "pick 6, percentile 60.3, predicted ratio 0.988; `autodistill run` with --pick 6 runs it"),
        ([a_pick()], "none is within the limits"),
    ):
        shown = advised(*picks, members=[member])
        assert f"a team of these members: {words}" in shown.lines
    assert "a team" not in lines(advised())


@pytest.mark.parametrize(("split", "score"), [("test", "0.700"), (None, "0.800")])
def test_members_are_scored_on_the_set_that_the_teacher_is(split: str | None, score: str) -> None:
    """Records of before do not say which it was."""
    sets = {"validation": {"accuracy": 0.8}, "test": {"accuracy": 0.7}}
    member = Member(name="layers:1", parameters=35_000, scores=sets)
    said = advised(a_pick(), members=[member], split=split).lines
    assert f"member layers:1: 35 k parameters, {score}" in said


def a_race() -> list[Outcome]:
    """The winner is tested, the second one was stopped, the third one failed; both sets are called by their names."""
    epochs = [{"scores": {"accuracy": score}} for score in (0.7, 0.8, 0.75)]
    selected = {"validation": {"accuracy": 0.8}}
    teacher = {"validation": {"accuracy": 0.96}, "test": {"accuracy": 0.9}}
    bounds = {"student": {"validation": {"accuracy": [0.74, 0.86]}, "test": {"accuracy": [0.75, 0.87]}}}
    usual = {"selected_on": "validation", "intervals": bounds, "best_epoch": 2, "pipeline": {"training": {"epochs": 6}}}
    won = {"split": "test", "history": epochs * 2, "ratio_interval": [0.85, 0.95], "seconds": 42.0}
    scores = {"teacher": teacher, "student": selected | {"test": {"accuracy": 0.81}}}
    stopped = {"scores": scores | {"student": selected}, "student_score": 0.8, "distillation_ratio": 0.83}
    broken = {"status": "failed", "reason": "out of luck", "distillation_ratio": None, "student_score": None}
    results = [
        a_result(scores=scores, **usual, **won),
        a_result(status="pruned", split="validation", history=epochs, **usual, **stopped),
        a_result(**broken),
    ]
    return [Outcome(a_pick(rank), each, Path(f"runs/{rank}")) for rank, each in enumerate(results, start=1)]


def test_a_race_compares_all_picks_on_the_set_that_selects() -> None:
    """What the best one reaches on the test set stands below."""
    outcomes = a_race()
    shown = show.race(outcomes)
    ((head, rows, title),) = shown.tables
    assert title == "On validation, which selects"
    assert head == ["pick", "predicted ratio (80 % interval)", "reached", "accuracy", "epochs", "took (predicted)"]
    assert rows == [
        ["1", "0.988 (0.900 to 1.010)", "0.833", "0.8000 (0.740 to 0.860)", "6", "0 s (21 min)"],
        ["2", "0.988 (0.900 to 1.010)", "0.833", "0.8000 (0.740 to 0.860)", "3, stopped", "0 s (21 min)"],
        ["3", "0.988 (0.900 to 1.010)", MISSING, MISSING, "0, failed", "0 s (21 min)"],
    ]
    assert list(shown.lines[:3]) == [f"pick {rank}: {a_pick().words}" for rank in (1, 2, 3)]
    assert shown.lines[3] == (
        "best: pick 1, on test: accuracy 0.8100 (0.750 to 0.870); "
        "distillation ratio 0.9000 (0.850 to 0.950), predicted 0.988 (0.900 to 1.010)"
    )
    assert shown.lines[-1] == "student and result: runs/1"
    assert json.loads(json.dumps(shown.record))[1]["result"]["status"] == "pruned"
    assert show.race(outcomes[2:]).lines[-1] == "failed: out of luck"


def test_a_race_and_a_search_among_several_students_say_which_student_each_is() -> None:
    outcomes = [replace(each, pick=a_pick(each.pick.rank, student=f"layers:{each.pick.rank}")) for each in a_race()]
    said = show.race(outcomes).lines[:3]
    assert list(said) == [f"pick {rank}: student layers:{rank}, {a_pick().words}" for rank in (1, 2, 3)]
    found = a_search()
    (best, _), *_ = found.tried
    for tried, words in ((found.tried, f"student {HUB}, {best.words}"), (found.tried[:1], best.words)):
        shown = show.search(replace(found, tried=tried), BiLSTMCosts(400_000, 1.6, 0.5))
        assert f"chosen: {words}" in shown.lines


# --- what fits -----------------------------------------------------------------------------------------

LABEL = "a question about a damaged delivery item"
HUB = "an-organisation-of-some-size/a-model-with-quite-a-long-name-v2"
BOUNDS = [0.7512, 0.8723]


def a_full_result() -> RunResult:
    """Long names, four roles, and an interval in every cell."""
    sets = {"validation": {"f1": 0.81}, "test": {"f1": 0.8123, "balanced_accuracy": 0.8456}}
    roles = ("teacher", "student", "student_alone", "bilstm")
    bounds = {split: dict.fromkeys(scores, BOUNDS) for split, scores in sets.items()}
    members = [Member(name=name, parameters=109_000_000, scores=sets) for name in (HUB, "scratch:layers=12,hidden=768")]
    return a_result(
        metric="f1",
        positive=LABEL,
        split="test",
        labels=[LABEL, "other"],
        scores=dict.fromkeys(roles, sets),
        intervals=dict.fromkeys(roles, bounds),
        student_alone_score=0.8,
        team=TeamResult(teachers=members, distribution=[0.25, 0.75]),
        teacher_parameters=109_482_240,
        size_mb=57.4,
        teacher_size_mb=438.0,
        latency_ms=2.04,
    )


def a_search() -> Searched:
    """Of two students with long names: one that came to its end, one that pauses, one that failed."""
    steps = [
        Trained(candidate="a", epochs=epochs, score=score, seconds=3.0, over=epochs == 8, choice="a")
        for epochs, score in ((1, 0.71), (4, 0.79), (8, 0.8012))
    ]
    failed = steps[0].model_copy(update={"failed": "the loss is not finite", "over": True, "score": None})
    resolved = [load_pipeline(name).for_task(toy_task("single")) for name in ("mi_alpha", "tinybert", "vanilla_kd")]
    made = [each.model_dump(mode="json") | {"training": {"epochs": 8}} for each in resolved]
    contenders = [Contender(name, each, name) for name, each in zip((HUB, "layers:2", HUB), made, strict=True)]
    record = SearchRecord(
        identity="0" * 16,
        task="films",
        metric="f1",
        teacher=HUB,
        error=0.01,
        prior=made_prior(),
        prepared=100.0,
        candidates={name: Known(seconds=30.0, expected=0.01, latency_ms=2.0) for name in "abc"},
        steps=steps,
        ended="the time is over",
    )
    tried = list(zip(contenders, (steps, steps[:2], [failed]), strict=True))
    slow = a_full_result()
    fast = slow.model_copy(update={"student": "layers:2", "latency_ms": 1.1})
    folders = Path("runs/films/mi_alpha-1"), Path("runs/films/ce-2")
    front = [Chosen(*each) for each in zip(contenders[:2], (slow, fast), folders, strict=True)]
    return Searched(record, tried, slow, folders[0], front)


def test_a_search_shows_the_best_first_with_their_curves() -> None:
    shown = show.search(a_search(), BiLSTMCosts(400_000, 1.6, 0.5), "where it lies")
    head, rows, title = shown.tables[0]
    assert head == ["student", "pipeline", f"f1 of {LABEL}", "curve", "epochs"]
    assert [row[2:] for row in rows] == [
        ["0.8012", "▁▇█", "8 of 8"],
        ["0.7900", "▁█", "4 of 8"],
        ["–", "–", "1 of 8, failed"],
    ]
    assert title == "On validation, which selects"
    assert [row[0] for row in shown.tables[1][1]] == ["teacher", "student", "student alone", "Bi-LSTM"]
    head, rows, title = shown.tables[-1]
    assert head[:3] == ["student", f"f1 of {LABEL}", "latency"]
    assert [row[0] for row in rows] == ["layers:2", "small"], "the fastest first"
    assert [row[2] for row in rows] == ["1.1 ms", "2.04 ms"]
    assert title == "No student here is both faster and better"
    assert shown.lines[0].startswith("3 pipelines of 3 tried in 3 pieces of training and 2 min, of which 2 min for")
    assert shown.lines[1] == "the search ended because the time is over"
    assert shown.lines[-1] == "where it lies"
    record = json.loads(json.dumps(shown.record))
    assert record["search"]["steps"][0]["score"] == 0.71
    assert [each["result"]["student"] for each in record["front"]] == ["small", "layers:2"]
    assert [each["folder"] for each in record["front"]] == ["runs/films/mi_alpha-1", "runs/films/ce-2"]
    assert "student layers:2: runs/films/ce-2" in shown.lines
    alone = show.search(replace(a_search(), front=a_search().front[:1]), BiLSTMCosts(400_000, 1.6, 0.5))
    assert len(alone.tables) == len(shown.tables) - 1, "one student is no front"


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize(
    "shown",
    [
        show.run(a_full_result()),
        show.comparison(a_full_result(), BiLSTMCosts(400_000, 1.6, 0.5)),
        advised(*(a_pick(rank, standing=float(rank // 2)) for rank in (1, 2, 3))),
        show.race(a_race()),
        show_evaluation.evaluation(an_evaluation()),
        show.search(a_search(), BiLSTMCosts(400_000, 1.6, 0.5)),
        look.components({}, SilentReporter()),
    ],
    ids=["run", "student alone", "recommend", "race", "evaluate", "search", "components"],
)
def test_tables_fit_without_a_word_or_a_figure_broken(
    shown: Shown, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    console.show(replace(shown, lines=()), as_json=False)
    printed = capsys.readouterr().out
    cells = [cell for head, rows, _ in shown.tables for row in (head, *rows) for cell in row]
    wide = len(HUB) + len("(0.751 to 0.872)") + 7 > columns and HUB in printed  # nothing else fits beside it
    assert wide or max(map(len, printed.splitlines())) <= columns
    assert {word for cell in cells for word in cell.split()} <= {*printed.split()}
    for whole in re.findall(r"\([-+\d.]+ to [-+\d.]+\)|\d (?:MB|ms|min|[kMG])\b", "\n".join(cells)):
        assert whole in printed
