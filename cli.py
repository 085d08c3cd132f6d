"""The command line: arguments in, exit codes out.

Exit codes: 0; 1 for a failure; 2 for wrong input; 130 after Ctrl-C. Commands import what they need
when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from autodistill.commands import look as looking
from autodistill.commands import options as args

app = typer.Typer(
    name="autodistill",
    help="Says which distillation pipeline suits a dataset, what it will give, and runs it.",
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
    data: args.Data,
    teacher: args.Teacher = None,
    student: args.Student = None,
    pipeline: args.PipelineName = None,
    pick: args.Pick = None,
    top: args.TopRun = None,
    augment: args.Augment = None,
    set_: args.Sets = None,
    out: args.Out = None,
    seed: args.Seed = 0,
    student_alone: args.StudentAlone = False,
    text: args.TextColumn = None,
    text_pair: args.PairColumn = None,
    label: args.LabelColumn = None,
    task: args.TaskName = None,
    metric: args.Metric = None,
    max_train: args.MaxTrain = None,
    max_validation: args.MaxValidation = None,
    fine_tune: args.FineTune = "auto",
    teacher_epochs: args.TeacherEpochs = None,
    teacher_learning_rate: args.TeacherRate = None,
    device: args.Device = "auto",
    precision: args.Precision = "auto",
    cache_dir: args.CacheDir = None,
    cache_budget_gb: args.CacheBudget = None,
    signals: args.Signals = "auto",
    workers: args.Workers = None,
    tensorboard: args.TensorBoard = False,
    overwrite: args.Overwrite = False,
    store: args.StoreUrl = None,
    json: args.Json = False,
) -> None:
    """Distils a student: teacher, student, figures. The same command again resumes, or shows the result.

    With --pick or --top the pipelines are those of a recommendation, which is made where there is none.
    """
    given = locals()
    from autodistill.commands import advice, console, recommending
    from autodistill.commands import request as runs
    from autodistill.commands import show as summary

    sets = [*([f"augmentation={augment}"] if augment else []), *(set_ or ())]
    asked: dict[str, Any] = {"data": data, "teacher": teacher, "sets": sets, "out": out, "store": store}
    asked |= args.grouped(given)
    with console.handled(json, RESUME):
        if pick is None and top is None:
            request = runs.Request(
                **asked,
                student=student,
                pipeline=pipeline or "mi_alpha",
                seed=seed,
                student_alone=student_alone,
            )
            with console.reporting() as reporter:
                result, folder = runs.run(request, reporter)
            if json:
                console.show_text(result.to_json())
            else:
                for names, rows in summary.result_tables(result):
                    console.show_table(names, rows)
                console.show_lines([*summary.closing_lines(result), f"student and result: {folder}"])
            return
        wish = recommending.Wish(**asked, students=[student] if student else ())
        choice = recommending.Choice(pick, top, seed, student_alone, pipeline)
        with console.reporting() as reporter:
            outcomes = recommending.run_picks(wish, choice, reporter)
        if json:
            console.show_json([advice.outcome_record(outcome) for outcome in outcomes])
        else:
            console.show_table(advice.RACE_COLUMNS, advice.race_rows(outcomes))
            console.show_lines(advice.race_lines(outcomes))


@app.command()
def recommend(
    data: args.Data,
    teacher: args.Teacher = None,
    student: args.Students = None,
    members: args.Members = None,
    top: args.Top = 5,
    budget: args.Budget = None,
    max_params: args.MaxParams = None,
    max_latency: args.MaxLatency = None,
    pareto: args.Pareto = False,
    set_: args.Sets = None,
    out: args.Out = None,
    text: args.TextColumn = None,
    text_pair: args.PairColumn = None,
    label: args.LabelColumn = None,
    task: args.TaskName = None,
    metric: args.Metric = None,
    description: args.Description = "",
    max_train: args.MaxTrain = None,
    max_validation: args.MaxValidation = None,
    fine_tune: args.FineTune = "auto",
    teacher_epochs: args.TeacherEpochs = None,
    teacher_learning_rate: args.TeacherRate = None,
    meta_data: args.MetaData = None,
    predictor: args.PredictorName = None,
    vectors: args.Vectors = None,
    store: args.StoreUrl = None,
    device: args.Device = "auto",
    precision: args.Precision = "auto",
    cache_dir: args.CacheDir = None,
    json: args.Json = False,
) -> None:
    """Suggests pipelines for a dataset, with what each will give and cost. `run --pick 1` runs one."""
    given = locals()
    from autodistill.commands import advice, console, recommending

    wish = recommending.Wish(
        data=data,
        teacher=teacher,
        students=student or (),
        members=members or (),
        top=top,
        limits={"budget": budget, "max_params": max_params, "max_latency": max_latency},
        sets=set_ or (),
        out=out,
        description=description,
        meta_data=meta_data or (),
        predictor=predictor,
        vectors=vectors,
        store=store,
        **args.grouped(given),
    )
    with console.handled(json, RESUME):
        with console.reporting() as reporter:
            found, path = recommending.recommend(wish, reporter)
        if json:
            console.show_text(found.model_dump_json(indent=2))
            return
        shown = found.pareto if pareto else found.picks
        console.show_table(advice.PICK_COLUMNS, advice.pick_rows(found, shown))
        console.show_lines([*advice.lines_about(found), f"recommendation: {path}"])


@app.command()
def evaluate(
    meta_data: args.MetaData = None,
    predictor: args.PredictorName = None,
    vectors: args.Vectors = None,
    figures: args.Figures = None,
    store: args.StoreUrl = None,
    cache_dir: args.CacheDir = None,
    json: args.Json = False,
) -> None:
    """Leaves one dataset out at a time: what the recommender is worth, beside everything simpler."""
    from autodistill.commands import advice, console, recommending

    wish = recommending.Wish(
        data="",
        meta_data=meta_data or (),
        predictor=predictor,
        vectors=vectors,
        store=store,
        options={"cache_dir": cache_dir},
    )
    with console.handled(json):
        with console.reporting() as reporter:
            found, drawn = recommending.evaluate(wish, reporter, figures)
        if json:
            console.show_text(found.model_dump_json(indent=2))
            return
        for title, names, rows in advice.evaluation_tables(found):
            console.show_table(names, rows, title)
        console.show_lines([*advice.evaluation_lines(found), *(f"figure: {path}" for path in drawn)])


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder of a run, or any fine-tuned model.")],
    text: Annotated[list[str] | None, args.option("--text", help="A text. Repeatable.")] = None,
    text_pair: Annotated[
        list[str] | None, args.option("--text-pair", help="Its second text, or a question's context.")
    ] = None,
    file: Annotated[Path | None, args.option("--file", help="Lines of text, CSV, JSON lines, ….")] = None,
    text_column: Annotated[str | None, args.option("--text-column", help="In the file.")] = None,
    text_pair_column: Annotated[str | None, args.option("--text-pair-column", help="In the file.")] = None,
    data: Annotated[
        str | None, args.option("--data", help="A GLUE task: answer its test sets for the leaderboard.")
    ] = None,
    out: Annotated[Path | None, args.option("--out", help="JSON lines; with --data the folder.")] = None,
    device: args.Device = "auto",
    precision: args.Precision = "auto",
    json: args.Json = False,
) -> None:
    """Answers texts: typed, from a file, or from standard input, one a line."""
    from autodistill.commands import console
    from autodistill.commands import predict as answers
    from engine.base.options import RunOptions

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


app.add_typer(looking.app)


def main() -> None:
    """The entry point of `autodistill`."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    app()


if __name__ == "__main__":
    main()
