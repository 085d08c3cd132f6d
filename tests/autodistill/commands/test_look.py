"""`augment` and `team`: originals beside what becomes of them, and who is suggested, from sizes alone."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomli_w
from typer.testing import CliRunner

from autodistill.commands import look
from autodistill.commands.look import MOST_OF_A_ROLE, Suggestion, suggest
from autodistill.commands.look import team_lines as lines
from autodistill.commands.request import request_from
from autodistill.history.store import Store
from autodistill.history.table import flat
from cli import app
from engine.base.errors import InputError
from engine.base.progress import SilentReporter
from engine.data.rows import text_of
from engine.pipeline import Pipeline
from tests.records import lasting

ROWS = [{"text": f"One of {number} films, a good one.", "label": "yn"[number % 2]} for number in range(60)]
DEEP = "scratch:layers=9,hidden=16,heads=1"
SMALL, OTHER = "scratch:layers=1,hidden=8,heads=1", "scratch:layers=1,hidden=64,heads=1"


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "films.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    return str(path)


# --- augment ---------------------------------------------------------------------------------------


def augment(data: str, policy: str, **more: Any) -> list[dict[str, Any]]:
    """What `augment` makes of what was typed."""
    typed = {"data": data, "policy": policy, "set": [], **more}
    return look.augment(typed, SilentReporter()).record


def test_originals_beside_what_becomes_of_them(data: str) -> None:
    found = augment(data, "random", n=7)
    assert len(found) == 7
    for each in found:
        assert each["original"]["text"] in {row["text"] for row in ROWS}
        words = [sorted(each[name]["text"].split()) for name in ("original", "augmented")]
        assert words[0] == words[1]
        assert each["original"]["label"] == each["augmented"]["label"]
    assert any(each["original"]["text"] != each["augmented"]["text"] for each in found)


def test_partners_of_mixup_and_their_shares(data: str) -> None:
    found = augment(data, "mixup", n=4)
    originals = [each["original"] for each in found]
    for each in found:
        assert each["augmented"] == each["original"]
        assert each["partner"] in originals
        assert each["partner"] != each["original"]
        assert 0 <= each["share"] <= 1
    shown = look.augment({"data": data, "policy": "mixup", "set": [], "n": 4}, SilentReporter())
    first, share = found[0], found[0]["share"]
    assert shown.tables[0][1][:3] == [
        ["1", "original", first["original"]["text"]],
        ["", f"{share:.2f} of", first["original"]["text"]],
        ["", f"{1 - share:.2f} of", first["partner"]["text"]],
    ]


def test_the_seed_decides(data: str) -> None:
    once, again, other = (augment(data, "random+mixup", n=5, seed=seed) for seed in (0, 0, 1))
    assert once == again != other


def test_more_examples_than_there_are(data: str) -> None:
    assert 30 < len(augment(data, "random", n=1000)) <= len(ROWS)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("rndom", "Did you mean random"),
        ("none", "no operators"),
        ("random+random", "each operator acts once"),
        ("", "unknown kind"),
    ],
)
def test_what_is_no_policy_is_refused(data: str, policy: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment(data, policy)


def test_knobs_are_set_as_everywhere(data: str) -> None:
    sets = ["augmentation.operators=[{kind='random', strength=2.0}]"]
    with pytest.raises(InputError, match=r"augmentation\.operators\.0\.strength: out of range"):
        augment(data, "random", set=sets)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"tokens": ["a", "b"], "tags": [0, 1]}, "a b"),
        ({"text": "a", "text_pair": "b", "label": 0}, "a | b"),
        ({"id": "1", "question": "who", "context": "he", "answers": {}}, "who | he"),
    ],
)
def test_rows_text_of(row: dict[str, object], text: str) -> None:
    assert text_of(row) == text


def test_components_are_described_in_whole_sentences() -> None:
    """Where a sentence goes on in the second line of a docstring, its end was cut off."""
    (_, rows, _), _ = look.components({}, SilentReporter()).tables
    assert [text for *_, text in rows if not text.endswith(".")] == []
    assert "and the last one teaches the student" in dict(row[1:] for row in rows)["assistants"]


@pytest.mark.parametrize("option", ["--augment", "--policy"])
def test_the_command_augment(data: str, option: str) -> None:
    shown = CliRunner().invoke(app, ["augment", data, option, "random+mixup", "--n", "3"])
    assert shown.exit_code == 0, shown.output
    assert "original" in shown.output
    assert " of " in shown.output
    record = CliRunner().invoke(app, ["augment", data, option, "random", "--n", "3", "--json"])
    assert [set(each) for each in json.loads(record.stdout)] == [{"original", "augmented"}] * 3
    wrong = CliRunner().invoke(app, ["augment", data, option, "rndom"])
    assert wrong.exit_code == 2


def test_an_option_and_a_file_with_the_same_policy_are_the_same_run(data: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text('augmentation = "random+mixup"\n[training]\nepochs = 2\n', "utf-8")
    models = "--teacher scratch:layers=1,hidden=16,heads=1 --student layers:1 --teacher-epochs 1"
    common = [data, *models.split(), "--precision", "float32", "--cache-dir", str(tmp_path / "cache"), "--json"]
    ways = {
        "option": ["--pipeline", "vanilla_kd", "--augment", "random,mixup", "--set", "training.epochs=2"],
        "file": ["--pipeline", str(tmp_path / "pipeline.toml")],
    }
    found = []
    for name, way in ways.items():
        done = CliRunner().invoke(app, ["run", *common, *way, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout))
    one, other = map(lasting, found)
    asked = [each.pop("teacher_examples") for each in (one, other)]
    assert asked == [40 + 2 * 40, 0]  # the first put the originals and two epochs of augmented ones into the cache
    assert one == other
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ways]
    assert weights[0] == weights[1]


def test_a_misspelt_operator_is_named(data: str) -> None:
    done = CliRunner().invoke(app, ["run", data, "--augment", "random,mixpu"])
    assert done.exit_code == 2
    assert "mixpu" in done.stderr
    assert "mixup" in done.stderr


# --- team ------------------------------------------------------------------------------------------


def suggested(data: str, cache: Path, student: str, *members: str, teacher: str = DEEP) -> Suggestion:
    named = {"teacher": teacher, "student": student, "members": list(members)}
    return suggest(request_from({"data": data, **named, "cache_dir": str(cache)}), SilentReporter())


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
    assert lines(found)[0] == "weaker than the student: 2 of 5; 2 members to drop after phase 1."


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
    pipeline = Pipeline.model_validate(tomllib.loads(tomli_w.dumps({"team": found.table()})))
    assert pipeline.team.kind == "autoskd"
    assert pipeline.team.members == tuple(member.name for member in found.members[1:])
    assert pipeline.team.dropped == (found.dropped,)


def test_a_suggestion_for_regression_is_one_that_runs(tmp_path: Path) -> None:
    """θ cannot scale a target, so the drawn member's logits are no choice there."""
    rows = [{"text": f"One of {number} films.", "label": number / 7} for number in range(60)]
    (tmp_path / "films.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    found = suggested(str(tmp_path / "films.jsonl"), tmp_path / "cache", "layers:4", "layers:6", "layers:2")
    pipeline = Pipeline.model_validate(tomllib.loads(tomli_w.dumps({"team": found.table()})))
    assert not pipeline.problems_with("regression")


@pytest.mark.parametrize(
    "members, words", [(("layers:12",), "only 9 layers"), (("./nowhere",), "no such folder"), (("",), "no model")]
)
def test_members_that_are_not_there(members: tuple[str, ...], words: str, data: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        suggested(data, tmp_path, "layers:1", *members)


def invoked(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_team(data: str, tmp_path: Path) -> None:
    common = ["team", data, "--teacher", DEEP, "--student", "layers:4", "--cache-dir", str(tmp_path)]
    found = json.loads(invoked(*common, "--members", "layers:2", "--members", SMALL, "--json"))
    assert found["team"] == {"kind": "autoskd", "members": ["layers:2", SMALL], "dropped": 1}
    shown = invoked(*common)
    assert "layers:2" in shown
    assert "[team]" in shown


def test_a_run_with_a_team_shows_and_draws_it(data: str, tmp_path: Path) -> None:
    (tmp_path / "team.toml").write_text(
        f'[team]\nkind = "autoskd"\nmembers = ["layers:1", "{SMALL}"]\ncandidates = 3\n[training]\nepochs = 2\n',
        "utf-8",
    )
    models = "--teacher scratch:layers=2,hidden=16,heads=1 --student layers:1 --teacher-epochs 1"
    where = ["--cache-dir", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    command = ["run", data, *models.split(), "--precision", "float32", *where]
    shown = invoked(*command, "--pipeline", str(tmp_path / "team.toml"))
    for words in ("member", SMALL, "3 candidates: accuracy", "search for θ", "passed through the team"):
        assert words in shown
    assert shown.replace(f"student and result: {tmp_path / 'run'}\n", "") == invoked("show", str(tmp_path / "run"))
    (past,) = Store().runs()
    assert flat(past.pipeline)["team.members"] == 2
    history = pd.read_csv(tmp_path / "run" / "theta.csv")
    assert list(history)[2:] == ["scratch:layers=2,hidden=16,heads=1", "layers:1", SMALL]
    figure = (tmp_path / "run" / "theta.png").read_bytes()
    assert figure.startswith(b"\x89PNG")
