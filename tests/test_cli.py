"""The command line: exit codes, messages, JSON, and how soon it answers."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.pipeline import component_kinds
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import load_pipeline
from tests.command_line import MODELS, Answer, assert_one_clear_message, write
from tests.conftest import ROOT

COMMANDS = (
    "run",
    "recommend",
    "evaluate",
    "importance",
    "predict",
    "augment",
    "validate",
    "components",
    "show",
    "runs",
    "doctor",
)


@pytest.fixture(name="reviews")
def _reviews(tmp_path: Path) -> str:
    """A small dataset that a word decides."""
    file = tmp_path / "reviews.csv"
    rows = [f"the soup was {word},{label}" for word, label in (("warm", "good"), ("cold", "bad"))] * 20
    file.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(file)


@pytest.fixture(name="ratings")
def _ratings(tmp_path: Path) -> str:
    file = tmp_path / "ratings.csv"
    rows = [f"the soup took {minutes} minutes,{minutes / 7:.3f}" for minutes in range(40)]
    file.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(file)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


# --- help and listings -----------------------------------------------------------------------------


def test_help_takes_little_more_than_its_libraries() -> None:
    """Of CPU time, the least of three. It is 2 to 3 times theirs, however slow the machine; torch would make it 15."""
    shown = python("cli.py", "--help").stdout  # compiles what is not compiled yet
    assert all(command in shown for command in COMMANDS)
    ways = {"help": ("cli.py", "--help"), "libraries": ("-c", "import typer, rich.console, pydantic")}
    taken = {name: min(cpu_seconds(*arguments) for _ in range(3)) for name, arguments in ways.items()}
    assert taken["help"] < 5 * taken["libraries"]


def cpu_seconds(*arguments: str) -> float:
    """What a process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    python(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_knows_json(command: str) -> None:
    answer = Answer(command, "--help")
    assert answer.code == 0
    assert "--json" in answer.out


def test_light_commands_load_no_torch(reviews: str) -> None:
    for arguments in (["components"], ["show", "tinybert"], ["validate", "tinybert", "--data", reviews]):
        code = (
            f"import sys, cli\ntry:\n    cli.app({arguments!r})\nexcept SystemExit: pass\n"
            "print('torch' in sys.modules, file=sys.stderr)"
        )
        assert python("-c", code).stderr.splitlines()[-1] == "False"


def test_components_are_those_of_the_specs() -> None:
    assert json.loads(Answer("components", "--json").out) == component_kinds()


def test_components_in_words() -> None:
    shown = Answer("components").out
    assert all(kind in shown for kinds in component_kinds().values() for kind in kinds)
    assert all(preset in shown for preset in PRESETS)


@pytest.mark.parametrize("format", ["toml", "yaml", "json"])
def test_a_shown_pipeline_can_be_loaded_again(format: str, tmp_path: Path) -> None:
    answer = Answer("show", "bert_emd", "--set", "training.epochs=3", "--format", format)
    file = tmp_path / f"pipeline.{format}"
    file.write_text(answer.out, encoding="utf-8")
    assert load_pipeline(file) == load_pipeline("bert_emd", ["training.epochs=3"])


def test_validate_says_what_it_found(reviews: str) -> None:
    answer = Answer("validate", "tinybert", "--data", reviews, "--json")
    record = json.loads(answer.out)
    assert (answer.code, record["status"], record["task"]["kind"]) == (0, "ok", "classification")
    assert record["pipeline"]["intermediate"]["kind"] == "attention"
    assert "a valid pipeline" in Answer("validate", "tinybert").out


def test_validate_ends_on_its_verdict_and_knows_a_test_set(reviews: str, tmp_path: Path) -> None:
    test = write(tmp_path, "test.csv", "text,label\n" + "the tea was hot,good\n" * 3 + "the tea was cool,bad\n" * 2)
    answer = Answer("validate", "tinybert", "--data", reviews, "--test", test)
    *notes, data, verdict = answer.out.splitlines()
    assert any(note.startswith("task: classification") for note in notes)
    assert data.startswith("reviews: classification")
    assert verdict.startswith("tinybert: a valid pipeline")
    assert (
        json.loads(Answer("validate", "tinybert", "--data", reviews, "--test", test, "--json").out)["task"]["held_out"][
            "test"
        ]
        == 5
    )


def test_doctor(tmp_path: Path) -> None:
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / "kept").write_bytes(bytes(2_000_000))
    report = json.loads(Answer("doctor", "--json", "--cache-dir", tmp_path).out)
    assert report["versions"]["torch"]
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["precision_chosen"] in ("bf16", "fp16", "float32")
    assert report["hub"]["reachable"] is False  # the tests run offline
    assert {name: found["megabytes"] for name, found in report["caches"].items() if name != "hub"} == {
        "all": 2.0,
        "signals": 2.0,
    }
    assert "precision_chosen" in Answer("doctor").out


def test_version() -> None:
    answer = Answer("--version")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.strip()


# --- mistakes of the user ----------------------------------------------------------------------------


BAD_PIPELINES = [
    (["--pipeline", "tinybrt"], "Did you mean tinybert?"),
    (["--pipeline", "nowhere/p.toml"], "nowhere/p.toml: no such file"),
    (["--set", "intermediate.alfa=0.5"], "--set intermediate.alfa: unknown key; got 'alfa'"),
    (["--set", "intermediate.alpha=2"], "--set intermediate.alpha: out of range; got 2; allowed: 0 to 1"),
    (["--pipeline", "tinybert", "--set", "intermediate.alpha=0.5"], "attention has no alpha; it belongs to mi_alpha"),
    (["--set", "mapping={1=4,2='x'}"], "--set mapping: pairs are numbers of layers, student = teacher"),
    (["--set", "mapping={1=9}"], "mapping.pairs: the teacher has only"),
    (["--set", "mapping.kind=skp"], "Did you mean skip?"),
    (["--set", "training.epochs"], "--set: the form is key=value"),
]
BAD_MODELS = [
    ([], "--teacher: this dataset needs a teacher"),
    (["--teacher", "scratch:hidden=32", "--student", "layers:1"], "scratch needs layers"),
    (["--teacher", "layers:2", "--student", "layers:1"], "layers:K is a way to start a student"),
    ([*MODELS[:2], "--student", "layers:x"], "layers: needs a whole number above 0"),
]
BAD_OPTIONS = [
    (["--teacher-learning-rate", "0"], "--teacher-learning-rate: out of range; got 0.0; allowed: greater than 0"),
    (["--cache-budget-gb", "-1"], "--cache-budget-gb: out of range"),
    (["--seed", "-1"], "--seed"),
    (["--device", "tpu"], "'tpu' is not one of"),
    (["--task", "translation"], "'translation' is not one of"),
    (["--tacher", "x"], "No such option: --tacher"),
    (["--label", "stars"], "stars"),
    (["--metric", "f1_mean"], "f1_mean"),
    (["--max-train", "1"], "too few rows"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_PIPELINES, ids=lambda value: str(value)[:50])
def test_wrong_pipelines(arguments: Sequence[str], words: str, reviews: str) -> None:
    assert_one_clear_message(Answer("run", reviews, *MODELS, *arguments), words)


@pytest.mark.parametrize(("arguments", "words"), BAD_MODELS, ids=lambda value: str(value)[:50])
def test_wrong_models(arguments: Sequence[str], words: str, reviews: str) -> None:
    assert_one_clear_message(Answer("run", reviews, *arguments), words)


@pytest.mark.parametrize(("arguments", "words"), BAD_OPTIONS, ids=lambda value: str(value)[:50])
def test_wrong_options(arguments: Sequence[str], words: str, reviews: str) -> None:
    assert_one_clear_message(Answer("run", reviews, *MODELS, *arguments), words)


def test_wrong_data(tmp_path: Path) -> None:
    assert_one_clear_message(Answer("run", str(tmp_path / "reviws.csv"), *MODELS), "no such file or folder")
    empty = write(tmp_path, "empty.csv", "")
    assert_one_clear_message(Answer("run", empty, *MODELS), "empty.csv")
    one = write(tmp_path, "one.csv", "text,label\n" + "fine,good\n" * 20)
    assert_one_clear_message(Answer("run", one, *MODELS), "only one class")


def test_a_pipeline_that_does_not_suit_the_task(ratings: str) -> None:
    classes = ("--set", "prediction.kind=ce")
    assert_one_clear_message(Answer("run", ratings, *MODELS, *classes), "a regression task has none")
    assert_one_clear_message(Answer("validate", "tinybert", *classes, "--data", ratings), "Did you mean mse?")
    assert Answer("validate", "tinybert", "--data", ratings).code == 0


def test_wrong_folders_and_commands(tmp_path: Path) -> None:
    assert_one_clear_message(Answer("show", str(tmp_path)), "this folder holds no run")
    assert_one_clear_message(Answer("rnu"), "No such command 'rnu'")
    assert_one_clear_message(Answer("run"), "Missing argument 'DATA'")


def test_all_mistakes_of_a_command_at_once(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere.csv")
    answer = Answer("run", missing, "--set", "training.epochs=0", "--cache-budget-gb", "-1")
    places = ("--teacher", "--student", "--set training.epochs", missing, "--cache-budget-gb")
    assert [line.startswith("Error: ") for line in answer.err.splitlines()] == [True] * len(places)
    assert all(f"Error: {place}: " in answer.err for place in places)


def test_wrong_input_as_json() -> None:
    answer = Answer("validate", "tinybert", "--set", "training.epochs=0", "--json")
    record = json.loads(answer.out)
    assert (answer.code, record["status"]) == (2, "invalid")
    assert record["problems"][0]["place"] == "--set training.epochs"


def test_a_mistake_is_said_before_torch_is_loaded(tmp_path: Path, reviews: str) -> None:
    code = (
        f"import sys, cli\ntry:\n    cli.app(['run', {reviews!r}, '--set', 'training.epochs=0'])\n"
        "except SystemExit as stop: print(stop.code, 'torch' in sys.modules)"
    )
    environment = os.environ | {"AUTODISTILLER_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.split() == ["2", "False"]


# --- Ctrl-C ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["typer", "pydantic", "rich.console", "engine.pipeline.read", "tomli_w"])
def test_ctrl_c_while_libraries_are_imported_is_one_line(module: str) -> None:
    code = f"""
import sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
sys.argv = ["autodistill", "validate", "tinybert"]
from cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "Stopped.", "")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("autodistill ru", {"run", "runs"}),
        ("autodistill run a.csv --student-", {"--student-alone"}),
        ("autodistill team a.csv --student x --student y --mem", {"--members"}),
        ("autodistill cache pr", {"prune"}),
    ],
)
def test_a_shell_is_told_how_a_command_may_go_on(typed: str, found: set[str]) -> None:
    code = "import sys; sys.argv[0] = 'autodistill'; import cli; cli.main()"
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    environment = {**os.environ, "_AUTODISTILL_COMPLETE": "complete_bash", **asked}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert set(shown.stdout.split()) == found
    assert shown.stderr == ""
