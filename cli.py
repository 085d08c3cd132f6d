"""The command line: arguments in, exit codes out.

Exit codes: 0; 1 for a failure; 2 for wrong input; 130 after Ctrl-C. Commands import what they need
when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(
    name="autodistill",
    help="Distils a large text model into a small one, with any pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RESUME = "The same command goes on where it stopped."
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}
"""Environment of the libraries, unless the user has set it."""

# --- options ---------------------------------------------------------------------------------------

_models, _data, _machine, _teacher = "Models and pipeline", "Data", "Machine", "Fine-tuning of the teacher"


def _option(*names: str, help: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


Data = Annotated[
    str, typer.Argument(metavar="DATA", help="Hub name, file, folder with train and validation, or demo.")
]
Source = Annotated[str, typer.Argument(metavar="FILE|PRESET", help="A pipeline.")]
Json = Annotated[bool, _option("--json", help="Print the result as JSON.")]
Sets = Annotated[
    list[str] | None, _option("--set", help="Change a key: prediction.kind=mse. Repeatable.", panel=_models)
]
PipelineName = Annotated[
    str, typer.Option(help="A TOML, YAML or JSON file, or a preset.", rich_help_panel=_models)
]
Teacher = Annotated[
    str | None, _option("--teacher", help="Hub name, folder, or scratch:layers=L,hidden=H.", panel=_models)
]
Student = Annotated[
    str | None,
    _option("--student", help="Hub name, folder, layers:K of the teacher, or scratch:….", panel=_models),
]
Out = Annotated[Path | None, _option("--out", help="Folder of the run. Default: runs/…", panel=_models)]
Seed = Annotated[int, typer.Option(min=0, rich_help_panel=_models)]
Baseline = Annotated[
    bool, _option("--with-baseline", help="Also fine-tune the student without a teacher.", panel=_models)
]
TextColumn = Annotated[str | None, _option("--text", help="Column of the text.", panel=_data)]
PairColumn = Annotated[str | None, _option("--text-pair", help="Column of the second text.", panel=_data)]
LabelColumn = Annotated[str | None, _option("--label", help="Column of the label.", panel=_data)]
TaskName = Annotated[
    Literal["classification", "regression", "tagging", "question_answering"] | None,
    _option("--task", help="What is predicted, where the columns do not tell.", panel=_data),
]
Metric = Annotated[str | None, _option("--metric", help="The score that counts.", panel=_data)]
MaxTrain = Annotated[
    int | None, _option("--max-train", min=1, help="Use at most this many training rows.", panel=_data)
]
MaxValidation = Annotated[
    int | None, _option("--max-validation", min=1, help="Use at most this many held-out rows.", panel=_data)
]
FineTune = Annotated[
    Literal["auto", "always", "never"],
    typer.Option(help="auto: only a model without a head for the task.", rich_help_panel=_teacher),
]
TeacherEpochs = Annotated[
    int | None, _option("--teacher-epochs", min=1, help="Default: 4; from scratch 10.", panel=_teacher)
]
TeacherRate = Annotated[
    float | None, _option("--teacher-learning-rate", help="Default: 5e-5; from scratch 5e-4.", panel=_teacher)
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(rich_help_panel=_machine)]
Precision = Annotated[Literal["auto", "bf16", "fp16", "float32"], typer.Option(rich_help_panel=_machine)]
CacheDir = Annotated[str | None, _option("--cache-dir", help="Teachers and their signals.", panel=_machine)]
CacheBudget = Annotated[
    float | None, _option("--cache-budget-gb", help="Disk for all signals. Default: 20.", panel=_machine)
]
Signals = Annotated[
    Literal["auto", "online"],
    typer.Option(help="auto: the teacher's signals are kept on disk.", rich_help_panel=_machine),
]
TensorBoard = Annotated[bool, _option("--tensorboard", help="Write a TensorBoard log.", panel=_machine)]
Overwrite = Annotated[
    bool, _option("--overwrite", help="Empty a folder that holds another run.", panel=_machine)
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(version("autodistiller"))
        except PackageNotFoundError:
            typer.echo("not installed")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# --- commands ----------------------------------------------------------------------------------------


@app.command()
def run(
    data: Data,
    teacher: Teacher = None,
    student: Student = None,
    pipeline: PipelineName = "mi_alpha",
    set_: Sets = None,
    out: Out = None,
    seed: Seed = 0,
    with_baseline: Baseline = False,
    text: TextColumn = None,
    text_pair: PairColumn = None,
    label: LabelColumn = None,
    task: TaskName = None,
    metric: Metric = None,
    max_train: MaxTrain = None,
    max_validation: MaxValidation = None,
    fine_tune: FineTune = "auto",
    teacher_epochs: TeacherEpochs = None,
    teacher_learning_rate: TeacherRate = None,
    device: Device = "auto",
    precision: Precision = "auto",
    cache_dir: CacheDir = None,
    cache_budget_gb: CacheBudget = None,
    signals: Signals = "auto",
    tensorboard: TensorBoard = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Distils a student: teacher, student, figures. The same command again resumes, or shows the result."""
    from autodistill import console, runs, summary

    columns = {"text": text, "text_pair": text_pair, "label": label, "kind": task, "metric": metric}
    limits = {"max_train": max_train, "max_validation": max_validation}
    request = runs.Request(
        data=data,
        teacher=teacher,
        student=student,
        pipeline=pipeline,
        sets=set_ or (),
        out=out,
        seed=seed,
        with_baseline=with_baseline,
        columns={**columns, **limits},
        fine_tuning={"policy": fine_tune, "epochs": teacher_epochs, "learning_rate": teacher_learning_rate},
        options={
            "device": device,
            "precision": precision,
            "cache_dir": cache_dir,
            "cache_budget_gb": cache_budget_gb,
            "signals": signals,
            "tensorboard": tensorboard,
            "overwrite": overwrite,
        },
    )
    with console.handled(json, RESUME):
        with console.reporting() as reporter:
            result, folder = runs.run(request, reporter)
        if json:
            console.show_text(result.to_json())
        else:
            console.show_table(summary.result_columns(result), summary.result_rows(result))
            console.show_lines([*summary.closing_lines(result), f"student and result: {folder}"])


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder of a run, or any fine-tuned model.")],
    text: Annotated[list[str] | None, _option("--text", help="A text. Repeatable.")] = None,
    text_pair: Annotated[
        list[str] | None, _option("--text-pair", help="Its second text, or a question's context.")
    ] = None,
    file: Annotated[Path | None, _option("--file", help="Lines of text, CSV, JSON lines, ….")] = None,
    text_column: Annotated[str | None, _option("--text-column", help="In the file.")] = None,
    text_pair_column: Annotated[str | None, _option("--text-pair-column", help="In the file.")] = None,
    data: Annotated[
        str | None, _option("--data", help="A GLUE task: answer its test sets for the leaderboard.")
    ] = None,
    out: Annotated[Path | None, _option("--out", help="JSON lines; with --data the folder.")] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Answers texts: typed, from a file, or from standard input, one a line."""
    from autodistill import answers, console
    from engine.options import RunOptions

    with console.handled(json):
        options = RunOptions(device=device, precision=precision)
        if data is not None:
            files = answers.answer_leaderboard(model, data, out, options)
            console.show_json({"files": files}) if json else console.show_lines([str(path) for path in files])
            return
        question = answers.Question(text or (), text_pair or (), file, (text_column, text_pair_column))
        rows = answers.answer(model, question, options)
        if out is not None:
            answers.write_answers(out, rows)
            console.say(f"{len(rows):,} answers: {out}")
        elif json:
            console.show_json(rows)
        else:
            console.show_lines([answers.line(row) for row in rows])


@app.command()
def validate(
    source: Source,
    set_: Sets = None,
    data: Annotated[str | None, _option("--data", help="Check against this dataset too.")] = None,
    text: TextColumn = None,
    text_pair: PairColumn = None,
    label: LabelColumn = None,
    task: TaskName = None,
    json: Json = False,
) -> None:
    """Checks a pipeline, and whether it suits a dataset, without loading a model."""
    from autodistill import console, runs, summary

    with console.handled(json):
        columns = {"text": text, "text_pair": text_pair, "label": label, "kind": task}
        pipeline, found = runs.check(source, set_ or (), data, columns)
        pipeline = pipeline if found is None else pipeline.for_task(found)
        if json:
            about = None if found is None else summary.task_record(found)
            record = {"status": "ok", "key": pipeline.key, "pipeline": pipeline.model_dump(), "task": about}
            console.show_json(record)
        else:
            console.show_lines(summary.verdict_lines(source, pipeline, found))


@app.command()
def components(json: Json = False) -> None:
    """Lists the kinds of every component, and the presets."""
    from autodistill import console, summary
    from engine.spec import components as kinds

    with console.handled(json):
        if json:
            console.show_json(kinds())
        else:
            console.show_table(["component", "kind", "what it is"], summary.component_rows())
            console.show_table(["preset", "the student learns from", "source"], summary.preset_rows())


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE|FOLDER", help="Preset, pipeline file, or run.")],
    set_: Sets = None,
    format: Annotated[Literal["toml", "yaml", "json"], typer.Option(help="Of a pipeline.")] = "toml",
    json: Json = False,
) -> None:
    """Shows a complete pipeline with its defaults, or the result of a run."""
    from autodistill import console, runs, summary
    from engine.config import dump_pipeline, load_pipeline

    with console.handled(json):
        if not Path(source).is_dir():
            pipeline, written = load_pipeline(source, set_ or ()), "json" if json else format
            comment = summary.left_open(pipeline) if written == "toml" else ""
            console.show_text(comment + dump_pipeline(pipeline, written))
            return
        result = runs.read_result(Path(source))
        if json:
            console.show_text(result.to_json())
        else:
            console.show_table(summary.result_columns(result), summary.result_rows(result))
            console.show_lines(summary.closing_lines(result))


@app.command()
def doctor(cache_dir: CacheDir = None, json: Json = False) -> None:
    """Shows versions, devices, the precision that would be chosen, the hub, and the caches."""
    from autodistill import console
    from autodistill import doctor as examination
    from engine.options import RunOptions

    with console.handled(json):
        report = examination.examine(RunOptions(cache_dir=cache_dir))
        if json:
            console.show_json(report)
        else:
            console.show_table(["part", "name", "found"], examination.lines(report))


def main() -> None:
    """The entry point of `autodistill`."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    app()


if __name__ == "__main__":
    main()
