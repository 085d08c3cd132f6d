"""Options are read off the specs: their names, types, ranges, defaults and help."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from autodistill.commands.options import NAMES, OPTIONS, READING, dashed
from autodistill.recommend.request import Columns, Effort, Limits, Request
from cli import app
from engine.base.options import FineTuning, RunOptions
from engine.data.load import load_task

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
COLUMNS = "text text-pair label task"
TEACHER = "fine-tune teacher-epochs teacher-learning-rate"
WHERE = "device precision cache-dir json"
OF_BEFORE = {
    "run": f"teacher student pipeline pick top augment set out seed student-alone with-baseline {COLUMNS} "
    f"metric max-train max-validation {TEACHER} {WHERE} cache-budget-gb signals workers tensorboard "
    "overwrite store",
    "recommend": f"teacher student members top budget max-params max-latency pareto set out {COLUMNS} metric "
    f"description max-train max-validation {TEACHER} meta-data predictor vectors store {WHERE}",
    "evaluate": "meta-data predictor vectors figures store cache-dir json",
    "predict": "text text-pair file text-column text-pair-column data out device precision json",
    "augment": f"augment policy n set seed {COLUMNS} max-train {WHERE}",
    "team": f"teacher student members {COLUMNS} cache-dir json",
    "validate": f"set data {COLUMNS} json",
    "components": "json",
    "show": "set format json",
    "doctor": "cache-dir json",
}
"""Options that people and their scripts rely on."""


@pytest.mark.parametrize("command", OF_BEFORE)
def test_no_option_is_lost(command: str) -> None:
    known = {name for option in COMMANDS[command].params for name in option.opts}
    assert known >= {f"--{name}" for name in OF_BEFORE[command].split()}


@pytest.mark.parametrize("command", ["recommend", "augment", "team", "validate"])
def test_data_are_read_with_the_same_options_everywhere(command: str) -> None:
    known, of_run = ({name for option in COMMANDS[each].params for name in option.opts} for each in (command, "run"))
    assert known >= {dashed(name) for name in READING}
    assert of_run >= {dashed(name) for name in READING} >= {"--test", "--max-test", "--positive", "--metric"}


@pytest.mark.parametrize("name", OPTIONS)
def test_help_is_one_line_of_plain_text(name: str) -> None:
    text = OPTIONS[name].help
    assert text
    assert len(text) <= 80
    assert not {"\n", "[", "]", "`"} & set(text)
    assert text.endswith((".", "…"))


def test_every_field_of_the_specs_is_an_option() -> None:
    prefixes = {Columns: "columns", FineTuning: "fine_tuning", RunOptions: "options"}
    prefixes |= {Limits: "limits", Effort: "effort"}
    nested = {f"{prefix}.{name}" for spec, prefix in prefixes.items() for name in spec.model_fields}
    own = set(Request.model_fields) - {*prefixes.values(), "task", "pipeline"}
    assert {option.path for option in OPTIONS.values()} - {""} == nested | own


def test_columns_are_the_arguments_of_load_task() -> None:
    parameters = list(inspect.signature(load_task).parameters.values())[1:]
    assert {each.name: each.default for each in parameters} == Columns().model_dump()


def test_ranges_and_defaults_are_those_of_the_specs() -> None:
    assert (OPTIONS["workers"].least, OPTIONS["teacher_epochs"].least) == (0, 1)
    assert OPTIONS["cache_budget_gb"].default == RunOptions().cache_budget_gb
    assert OPTIONS["cache_dir"].default is None
    assert get_args(OPTIONS["precision"].type) == ("auto", "bf16", "fp16", "float32")
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["run", "--help"]).stdout
    (line,) = (line for line in shown.splitlines() if "--teacher-batch-size" in line)
    assert "[x>=1]" in line
    assert "[default: 16]" in line


def test_a_name_of_the_table_is_the_name_of_one_option() -> None:
    assert set(NAMES.values()) <= OPTIONS.keys()
    assert dashed("teacher_learning_rate") == "--teacher-learning-rate"


def test_the_table_is_enough_for_typer() -> None:
    """A parameter of each, in one command."""
    parameters = [option.parameter(name) for name, option in OPTIONS.items()]
    assert all(isinstance(each, inspect.Parameter) for each in parameters)
    marks = [each.annotation.__metadata__[0] for each in parameters]
    assert all(isinstance(mark, typer.models.ParameterInfo) for mark in marks)


def test_a_second_student_of_a_run_is_refused() -> None:
    students = ["--student", "layers:1", "--student", "layers:2"]
    for command, what in (("run", "one student is trained here"), ("team", "one student is asked about here")):
        answer = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "nowhere.csv", *students])
        assert answer.exit_code == 2
        assert f"--student: {what}, and several are named" in answer.stderr
    answer = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["recommend", "nowhere.csv", *students])
    assert "several are named" not in answer.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("nothing", ["", " "], ids=["empty", "blank"])
def test_nothing_that_is_empty_means_the_default(command: str, nothing: str) -> None:
    """`--pipeline ""` ran the default one, and `--out ""` wrote into the folder where it was called."""
    parameters = [each for each in COMMANDS[command].params if not getattr(each, "is_flag", False)]
    places = ["x" for each in parameters if not each.opts[0].startswith("-")]
    for each in parameters:
        named = each.opts[0].startswith("-")
        arguments = [*places, each.opts[0], nothing] if named else [nothing, *places[1:]]
        if (command, each.name) in {("predict", "texts"), ("predict", "pairs")}:  # where more is said
            continue
        with pytest.raises(typer.BadParameter, match="this is empty"):
            COMMANDS[command].make_context(command, arguments)


def test_an_empty_option_is_one_message() -> None:
    answer = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["run", "x", "--pipeline", ""])
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "Invalid value for --pipeline: this is empty; leave it out for the default" in answer.stderr
