"""Teams in recommendations: in the space, with their costs, run like any other pick."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from autodistill import AutoDistiller
from autodistill.history.store import Store
from autodistill.history.table import flat, runs_of_results
from autodistill.recommend.costs import SEARCH_STEP, Costs, MemberCosts, cost_parts
from autodistill.recommend.picks import unseen_kinds
from autodistill.recommend.record import Pick, Recommendation, in_words
from autodistill.recommend.space import pipelines
from cli import app
from engine import Pipeline
from engine.base.options import FineTuning, RunOptions
from engine.data.task import TASK_KINDS, Task, TaskKind
from engine.pipeline import AutoSKD, Training, component_kinds
from tests.toys import toy_task

MEMBERS = ("layers:1", "scratch:layers=1,hidden=16,heads=1")
TRAINING = Training(epochs=2, batch_size=8)
TUNING = FineTuning(epochs=2, learning_rate=1e-3)
TEAMS = set(component_kinds()["team"]) - {"single"}


# --- the space -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_members_add_every_kind_of_team_and_change_nothing_else(kind: TaskKind) -> None:
    alone, both = list(pipelines(kind)), list(pipelines(kind, members=MEMBERS))
    added = both[len(alone) :]
    assert both[: len(alone)] == alone
    assert {pipeline.team.kind for pipeline in added} == TEAMS - ({"autoskd"} if kind == "regression" else set())
    assert {pipeline.team.members for pipeline in added} == {MEMBERS}
    assert not [problem for pipeline in added for problem in pipeline.problems_with(kind)]
    assert len({pipeline.key for pipeline in both}) == len(both)


def test_theta_is_searched_only_with_the_loss_that_judges_it() -> None:
    searched = [p for p in pipelines("classification", members=MEMBERS) if p.team.kind == "autoskd"]
    assert {pipeline.prediction.kind for pipeline in searched if pipeline.prediction} == {"ce"}
    assert {pipeline.team.update for pipeline in searched if isinstance(pipeline.team, AutoSKD)} == {"sswo", "cr"}


def test_teams_in_words_tell_all_picks_apart() -> None:
    found = list(pipelines("regression", members=MEMBERS))
    assert len({in_words(pipeline.model_dump()) for pipeline in found}) == len(found)


# --- costs -----------------------------------------------------------------------------------------


def costs(team: dict[str, object]) -> float:
    """Of 3 epochs of 10 steps of a second each, an evaluation 1 s, the teacher's signals 4 s."""
    training = Training(epochs=3)
    pipeline = Pipeline.model_validate({"team": team, "training": training})
    (part,) = cost_parts(pipeline)
    member = MemberCosts(name="m", parameters=1, scores={}, training_seconds=15.0, signal_seconds=2.0)
    figures = dict.fromkeys(set(Costs.model_fields), 0) | {
        "teacher_warnings": [],
        "step_seconds": {part.key: 1.0},
        "steps_per_epoch": 10,
        "signal_seconds": 4.0,
        "evaluation_seconds": 1.0,
        "members": [member, member],
    }
    return Costs.model_validate(figures).seconds(pipeline)


@pytest.mark.parametrize(
    ("team", "seconds"),
    [
        ({"kind": "single"}, 4 + 33),
        ({"kind": "average"}, 4 + 2 * 2 + 33),
        ({"kind": "weighted"}, 4 + 2 * 2 + 33),
        ({"kind": "stochastic"}, 4 + 2 * 2 + 33),
        ({"kind": "assistants"}, 4 + 2 * 2 + 2 * 15 + 33),
        ({"kind": "autoskd", "candidates": 5}, 4 + 2 * 2 + SEARCH_STEP * 30 + 5 * 33),
        ({"kind": "autoskd", "candidates": 25}, 4 + 2 * 2 + SEARCH_STEP * 30 + 15 * 33),
    ],
)
def test_a_team_costs_its_members_its_search_and_its_candidates(team: dict[str, object], seconds: float) -> None:
    """25 candidates are 15 where the second phase has no more steps."""
    named = team if team["kind"] == "single" else team | {"members": ["m", "n"]}
    assert costs(named) == pytest.approx(seconds)


# --- from a recommendation to a run ----------------------------------------------------------------


@pytest.fixture(name="distiller", scope="module")
def _distiller(tmp_path_factory: pytest.TempPathFactory) -> AutoDistiller:
    folder = tmp_path_factory.mktemp("teams")
    options = RunOptions(device="cpu", precision="float32", cache_dir=str(folder / "cache"))
    return AutoDistiller(predictor="ridge", options=options, store=str(folder / "s.db"))


@pytest.fixture(name="task", scope="module")
def _task() -> Task:
    return toy_task("single", rows=48, held_out=16)


def recommended(distiller: AutoDistiller, task: Task) -> Recommendation:
    return distiller.recommend(
        task,
        teacher="scratch:layers=2,hidden=32,heads=2",
        student="layers:1",
        members=MEMBERS,
        training=TRAINING,
        fine_tuning=TUNING,
        top=400,  # no past run has a team, and those augmented stand higher: the best team is the 222nd
    )


@pytest.fixture(name="found", scope="module")
def _found(distiller: AutoDistiller, task: Task) -> Recommendation:
    return recommended(distiller, task)


def kind_of(pick: Pick) -> str:
    return str(pick.pipeline["team"]["kind"])


def test_a_team_is_picked_run_and_known_afterwards(
    distiller: AutoDistiller, task: Task, found: Recommendation, tmp_path: Path
) -> None:
    assert found.candidates == len(list(pipelines("classification", members=MEMBERS)))
    assert [member.name for member in found.members] == list(MEMBERS)
    assert all(0 <= member.score("accuracy") <= 1 for member in found.members)
    assert Recommendation.read(found.write(tmp_path)) == found
    pick = next(pick for pick in found.picks if kind_of(pick) == "average")
    assert pick.unseen == ["team"]

    before = recommended(distiller, task).past_runs  # another test may have made a run, too
    (outcome,) = distiller.run(found, dataset=task, out=tmp_path / "runs", pick=pick.rank, fine_tuning=TUNING)
    team = outcome.result.team
    assert team is not None
    assert [member.name for member in team.teachers[1:]] == list(MEMBERS)
    training = outcome.result.pipeline["training"]  # settled by the run, which knows its models
    settled = pick.pipeline["training"] | {name: training[name] for name in ("max_length", "learning_rate")}
    assert outcome.result.pipeline == pick.pipeline | {"training": settled}
    assert team in [result.team for result in Store(distiller.store).runs()]

    assert recommended(distiller, task).past_runs == before + 1
    past = runs_of_results(Store(distiller.store).runs()).frame
    for other in found.picks:
        unseen = unseen_kinds(pd.Series(flat(other.pipeline)), past)
        assert ("team" in unseen) == (kind_of(other) != "average")
    assert TEAMS & {kind_of(other) for other in found.picks} > {"average"}


def test_a_search_counts_in_what_a_pick_took(
    distiller: AutoDistiller, task: Task, found: Recommendation, tmp_path: Path
) -> None:
    pick = next(
        pick for pick in found.picks if kind_of(pick) == "autoskd" and "candidates 5" in in_words(pick.pipeline)
    )
    (outcome,) = distiller.run(found, dataset=task, out=tmp_path / "runs", pick=pick.rank, fine_tuning=TUNING)
    stages = outcome.result.stage_seconds
    assert outcome.seconds == pytest.approx(stages["signals"] + stages["search"] + stages["student"])
    assert stages["search"] > 0
    assert (outcome.folder / "theta.png").is_file()


def test_members_on_the_command_line(tmp_path: Path) -> None:
    rows = [{"text": f"a {word} film", "label": word} for word in ("good", "bad") for _ in range(24)]
    data = tmp_path / "films.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    models = ["--teacher", "scratch:layers=2,hidden=32,heads=2", "--student", "layers:1"]
    own = ["--cache-dir", str(tmp_path / "cache"), "--store", str(tmp_path / "s.db")]
    quick = ["--set", "training.epochs=1", "--teacher-epochs", "1", "--predictor", "mean_rank"]
    asked = ["recommend", str(data), *models, *own, *quick, "--out", str(tmp_path / "out"), "--members"]

    wrong = CliRunner().invoke(app, [*asked, "layers:0", "--members", "./nowhere"])
    assert wrong.exit_code == 2
    assert wrong.output.count("--members") == 2
    for command in (asked, ["team", str(data), *models, "--members"]):
        twice = CliRunner().invoke(app, [*command, "layers:1", "--members", "layers:1"])
        assert twice.exit_code == 2
        assert "named twice: layers:1" in twice.output

    found = CliRunner().invoke(app, [*asked, "layers:1"])
    assert found.exit_code == 0, found.output
    assert "member layers:1: " in found.output
    record = Recommendation.read(tmp_path / "out" / "recommendation.json")
    assert [member.name for member in record.members] == ["layers:1"]
