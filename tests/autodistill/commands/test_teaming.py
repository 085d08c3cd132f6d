"""`autodistill team`: who is suggested for a student, from sizes alone; and what a run with a team shows."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from autodistill.commands.teaming import MOST_OF_A_ROLE, Suggestion, Wish, lines, rows, snippet, suggest
from typer.testing import CliRunner

from autodistill.history.store import Store
from autodistill.history.table import flat
from cli import app
from engine.base.errors import InputError
from engine.base.progress import SilentReporter
from engine.pipeline import Pipeline

DEEP = "scratch:layers=9,hidden=16,heads=1"
SMALL, OTHER = "scratch:layers=1,hidden=8,heads=1", "scratch:layers=1,hidden=64,heads=1"


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "films.jsonl"
    rows = [{"text": f"One of {place} films, a good one.", "label": "yn"[place % 2]} for place in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(path)


def suggested(data: str, cache: Path, student: str, *members: str, teacher: str = DEEP) -> Suggestion:
    wish = Wish(data, teacher, student, members, options={"cache_dir": str(cache)})
    return suggest(wish, SilentReporter())


def roles(found: Suggestion) -> dict[str, str]:
    return {member.name: member.role for member in found.members}


def test_members_are_sorted_by_their_size(data: str, tmp_path: Path) -> None:
    found = suggested(data, tmp_path, "layers:4", "layers:6", "layers:4", "layers:2", SMALL)
    assert roles(found) == {
        DEEP: "strongest",
        "layers:6": "assistant",
        "layers:4": "as large as the student",
        "layers:2": "weak",
        SMALL: "weak",
    }
    assert found.dropped == 2
    assert found.members[2].parameters == found.student_parameters
    sizes = [member.parameters for member in found.members]
    assert sizes == sorted(sizes, reverse=True)
    assert lines(found)[0] == "2 of 5 are weaker than the student; 2 members are dropped after phase 1."
    assert rows(found)[-1][0] == "(the student)"


def test_the_strongest_need_not_be_the_teacher(data: str, tmp_path: Path) -> None:
    found = suggested(data, tmp_path, "layers:1", OTHER, teacher="scratch:layers=2,hidden=16,heads=1")
    assert roles(found)[OTHER] == "strongest"


def test_layers_of_the_teacher_are_suggested_where_nobody_is_named(data: str, tmp_path: Path) -> None:
    found = suggested(data, tmp_path, "layers:4")
    kinds = list(roles(found).values())
    assert kinds == ["strongest"] + ["assistant"] * MOST_OF_A_ROLE + ["weak"] * MOST_OF_A_ROLE
    assert found.dropped == MOST_OF_A_ROLE


def test_a_lack_of_weak_or_middle_ones_is_said(data: str, tmp_path: Path) -> None:
    said = "\n".join(lines(suggested(data, tmp_path, "layers:1", "layers:2")))
    assert "nobody is weaker than the student" in said
    said = "\n".join(lines(suggested(data, tmp_path, "layers:8", "layers:2")))
    assert "nobody stands between" in said


def test_what_is_suggested_is_a_pipeline(data: str, tmp_path: Path) -> None:
    found = suggested(data, tmp_path, "layers:4")
    pipeline = Pipeline.model_validate(tomllib.loads(snippet(found)))
    assert pipeline.team.kind == "autoskd"
    assert pipeline.team.members == tuple(member.name for member in found.members[1:])
    assert pipeline.team.dropped == (found.dropped,)


def test_a_suggestion_for_regression_is_one_that_runs(tmp_path: Path) -> None:
    """θ cannot scale a target, so the drawn member's logits are no choice there."""
    rows = [{"text": f"One of {place} films.", "label": place / 7} for place in range(60)]
    (tmp_path / "films.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    found = suggested(str(tmp_path / "films.jsonl"), tmp_path / "cache", "layers:4", "layers:6", "layers:2")
    pipeline = Pipeline.model_validate(tomllib.loads(snippet(found)))
    assert not pipeline.problems_with("regression")


@pytest.mark.parametrize(
    "members, words",
    [(("layers:12",), "only 9 layers"), (("./nowhere",), "no such folder"), (("",), "no model")],
)
def test_members_that_are_not_there(members: tuple[str, ...], words: str, data: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        suggested(data, tmp_path, "layers:1", *members)


def invoked(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command(data: str, tmp_path: Path) -> None:
    common = ["team", data, "--teacher", DEEP, "--student", "layers:4", "--cache-dir", str(tmp_path)]
    found = json.loads(invoked(*common, "--members", "layers:2", "--members", SMALL, "--json"))
    assert found["team"] == {"kind": "autoskd", "members": ["layers:2", SMALL], "dropped": 1}
    shown = invoked(*common)
    assert "layers:2" in shown
    assert "[team]" in shown


def test_a_run_with_a_team_shows_and_draws_it(data: str, tmp_path: Path) -> None:
    (tmp_path / "team.toml").write_text(
        f'[team]\nkind = "autoskd"\nmembers = ["layers:1", "{SMALL}"]\ncandidates = 3\n'
        "[training]\nepochs = 2\n",
        "utf-8",
    )
    models = "--teacher scratch:layers=2,hidden=16,heads=1 --student layers:1 --teacher-epochs 1"
    where = ["--cache-dir", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    command = ["run", data, *models.split(), "--precision", "float32", *where]
    shown = invoked(*command, "--pipeline", str(tmp_path / "team.toml"))
    for words in ("member", SMALL, "3 candidates: accuracy", "search for θ", "passed through the team"):
        assert words in shown
    assert shown.replace(f"student and result: {tmp_path / 'run'}\n", "") == invoked(
        "show", str(tmp_path / "run")
    )
    (past,) = Store().runs()
    assert flat(past.pipeline)["team.members"] == 2
    history = pd.read_csv(tmp_path / "run" / "theta.csv")
    assert list(history)[2:] == ["scratch:layers=2,hidden=16,heads=1", "layers:1", SMALL]
    figure = (tmp_path / "run" / "theta.png").read_bytes()
    assert figure.startswith(b"\x89PNG")
