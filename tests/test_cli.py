"""The command line: exit codes, messages, JSON, and how soon it answers."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import app
from engine.pipeline import components
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import load_pipeline
from engine.run.result import RunResult
from tests.conftest import ROOT

COMMANDS = ("run", "recommend", "evaluate", "predict", "augment", "validate", "components", "show", "doctor")
LABELS = ("unacceptable", "acceptable")
MODELS = ("--teacher", "scratch:layers=2,hidden=32", "--student", "layers:1")


class Answer:
    """What a command said and how it ended."""

    def __init__(self, *arguments: str, stdin: str | None = None):
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments), input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr


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


def test_help_takes_less_than_half_a_second_of_cpu() -> None:
    python("cli.py", "--help")  # compiles what is not compiled yet
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = python("cli.py", "--help").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 0.5
    assert all(command in shown for command in COMMANDS)


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
    assert json.loads(Answer("components", "--json").out) == components()


def test_components_in_words() -> None:
    shown = Answer("components").out
    assert all(kind in shown for kinds in components().values() for kind in kinds)
    assert all(preset in shown for preset in PRESETS)


@pytest.mark.parametrize("format", ["toml", "yaml", "json"])
def test_a_shown_pipeline_can_be_loaded_again(format: str, tmp_path: Path) -> None:
    answer = Answer("show", "bert_emd", "--set", "training.epochs=3", "--format", format)
    file = tmp_path / f"pipeline.{format}"
    file.write_text(answer.out, encoding="utf-8")
    assert load_pipeline(file) == load_pipeline("bert_emd", ["training.epochs=3"])


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


def test_show_a_run_that_was_stopped(tmp_path: Path) -> None:
    pipeline = load_pipeline("tinybert", ["training.epochs=6"]).model_dump()
    stopped = a_result(status="pruned", pipeline=pipeline, best_epoch=1, history=[{}, {}])
    (tmp_path / "result.json").write_text(stopped.to_json(), encoding="utf-8")
    shown = Answer("show", str(tmp_path)).out
    assert "stopped after epoch 2 of 6; scores are of the best one so far (epoch 1)" in shown
    assert "distillation ratio (accuracy, student / teacher): 0.9000" in shown


def test_validate_says_what_it_found(reviews: str) -> None:
    answer = Answer("validate", "tinybert", "--data", reviews, "--json")
    record = json.loads(answer.out)
    assert (answer.code, record["status"], record["task"]["kind"]) == (0, "ok", "classification")
    assert record["pipeline"]["intermediate"]["kind"] == "mse"
    assert "a valid pipeline" in Answer("validate", "tinybert").out


def test_doctor() -> None:
    report = json.loads(Answer("doctor", "--json").out)
    assert report["versions"]["torch"]
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["precision_chosen"] in ("bf16", "fp16", "float32")
    assert report["hub"]["reachable"] is False  # the tests run offline
    assert "signals" in report["caches"]
    assert "precision_chosen" in Answer("doctor").out


def test_version() -> None:
    answer = Answer("--version")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.strip()


# --- mistakes of the user ----------------------------------------------------------------------------


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


BAD_PIPELINES = [
    (["--pipeline", "tinybrt"], "Did you mean tinybert?"),
    (["--pipeline", "nowhere/p.toml"], "nowhere/p.toml: no such file"),
    (["--set", "intermediate.alfa=0.5"], "--set intermediate.alfa: unknown key; got 'alfa'"),
    (["--set", "intermediate.alpha=2"], "--set intermediate.alpha: out of range; got 2; allowed: 0 to 1"),
    (["--pipeline", "tinybert", "--set", "intermediate.alpha=0.5"], "mse has no alpha; it belongs to mi_alpha"),
    (["--set", "mapping.kind=skp"], "Did you mean skip?"),
    (["--set", "training.epochs"], "--set: the form is key=value"),
]
BAD_MODELS = [
    ([], "--teacher: this dataset needs a teacher"),
    (["--teacher", "scratch:hidden=32", "--student", "layers:1"], "scratch needs layers"),
    (["--teacher", "layers:2", "--student", "layers:1"], "layers:K is a way to start a student"),
    ([*MODELS, "--student", "layers:x"], "layers: needs a whole number above 0"),
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


def assert_one_clear_message(answer: Answer, words: str) -> None:
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert words in " ".join(answer.err.split())
    assert answer.out == ""


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
    assert_one_clear_message(Answer("show", str(tmp_path)), "this folder holds no finished run")
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


# --- a run, and what it answers ----------------------------------------------------------------------


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset in GLUE's form and a finished run on it."""
    home = tmp_path_factory.mktemp("home")
    (home / "cola").mkdir()
    write(home / "cola", "dataset.json", json.dumps({"task": "classification", "label_names": LABELS}))
    sentences = [f"the {thing} {verb}" for thing in ("cat", "dog", "bird") for verb in ("sleeps", "sleep")]
    for split, copies in {"train": 6, "validation": 3, "test": 1}.items():
        lines = [json.dumps({"text": text, "label": int(text[-1] == "s")}) for text in sentences * copies]
        (home / "cola" / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


@pytest.fixture(name="at_home")
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv("AUTODISTILLER_CACHE", str(home / "cache"))
    return home


RUN = ("run", "cola", *MODELS, "--set", "training.epochs=1", "--teacher-epochs", "1", "--precision", "float32")


@pytest.fixture(name="finished")
def _finished(at_home: Path) -> Path:
    """The folder of a finished run: the first test that asks makes it, the others find it finished."""
    answer = Answer(*RUN, "--out", "runs/cola", "--json")
    assert answer.code == 0, answer.err
    return at_home / "runs" / "cola"


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


def test_predict_texts(finished: Path) -> None:
    arguments = ("predict", "runs/cola", "--text", "the cat sleeps", "--text", "the dog sleep")
    rows = json.loads(Answer(*arguments, "--json").out)
    assert [row["label"] for row in rows] == [max(row["scores"], key=row["scores"].get) for row in rows]
    lines = Answer(*arguments).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [row["label"] for row in rows]


def test_predict_reads_lines_columns_and_standard_input_alike(finished: Path, at_home: Path) -> None:
    texts = ["the cat sleeps", "the dog sleep", "the bird sings, maybe"]
    write(at_home, "lines.txt", "\n".join(texts) + "\n")
    write(at_home, "rows.csv", "id,sentence\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)))
    write(at_home, "rows.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    typed = Answer("predict", "runs/cola", *(part for text in texts for part in ("--text", text))).out
    assert len(typed.splitlines()) == 3
    assert Answer("predict", "runs/cola", stdin="\n".join(texts)).out == typed
    for file in (["lines.txt"], ["rows.jsonl"], ["rows.csv", "--text-column", "sentence"]):
        assert Answer("predict", "runs/cola", "--file", *file).out == typed


def test_predict_writes_json_lines(finished: Path, at_home: Path) -> None:
    answer = Answer("predict", "runs/cola", "--text", "the cat sleeps", "--out", "answers.jsonl")
    assert (answer.code, answer.out) == (0, "")
    (line,) = (at_home / "answers.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["label"] in LABELS


def test_predict_writes_a_leaderboard_file(finished: Path, at_home: Path) -> None:
    answer = Answer("predict", "runs/cola", "--data", "cola", "--out", "board")
    assert answer.code == 0, answer.err
    lines = (at_home / answer.out.strip()).read_text("utf-8").splitlines()
    assert lines[0] == "index\tprediction"
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/nowhere", "--text", "x"], "no such folder"),
        (["runs/cola", "--file", "nowhere.csv"], "nowhere.csv"),
        (["runs/cola", "--file", "cola/test.jsonl", "--text", "x"], "either --text or --file"),
        (["runs/cola", "--file", "cola/test.jsonl", "--text-column", "txt"], "Did you mean text?"),
        (["runs/cola", "--text", "x", "--text-pair", "y", "--text-pair", "z"], "needs as many texts as --text"),
        (["runs/cola", "--data", "cola"], "the leaderboard's files need a folder"),
    ],
    ids=str,
)
def test_wrong_questions(arguments: Sequence[str], words: str, finished: Path) -> None:
    assert_one_clear_message(Answer("predict", *arguments), words)


def test_a_plain_log_without_a_terminal(at_home: Path) -> None:
    answer = Answer(*RUN, "--out", "runs/other", "--seed", "2")
    assert "student: epoch 1 of 1" in answer.err
    assert "\x1b" not in answer.err + answer.out
