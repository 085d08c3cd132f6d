"""Commands that look at something and change nothing: augment, team, validate, components, show, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from autodistill.commands import options as args

app = typer.Typer()


@app.command()
def augment(
    data: args.Data,
    policy: args.Policy,
    n: args.Count = 10,
    set_: args.Sets = None,
    seed: args.Seed = 0,
    text: args.TextColumn = None,
    text_pair: args.PairColumn = None,
    label: args.LabelColumn = None,
    task: args.TaskName = None,
    max_train: args.MaxTrain = None,
    device: args.Device = "auto",
    precision: args.Precision = "auto",
    cache_dir: args.CacheDir = None,
    json: args.Json = False,
) -> None:
    """Shows training examples beside what an augmentation policy makes of them."""
    given = locals()
    from autodistill.commands import augmenting, console

    groups = args.grouped(given)
    sample = augmenting.Sample(
        data, policy, set_ or (), n, seed, columns=groups["columns"], options=groups["options"]
    )
    with console.handled(json):
        with console.reporting() as reporter:
            found = augmenting.augment(sample, reporter)
        if json:
            console.show_json(found)
        else:
            console.show_table(augmenting.COLUMNS, augmenting.sample_rows(found))


@app.command()
def team(
    data: args.Data,
    teacher: args.Teacher = None,
    student: args.Student = None,
    members: args.Members = None,
    text: args.TextColumn = None,
    text_pair: args.PairColumn = None,
    label: args.LabelColumn = None,
    task: args.TaskName = None,
    cache_dir: args.CacheDir = None,
    json: args.Json = False,
) -> None:
    """Suggests a team of teachers for a student, and how many members to drop; nothing is trained."""
    given = locals()
    from autodistill.commands import console, teaming

    groups = args.grouped(given)
    wish = teaming.Wish(
        data, teacher, student, members or (), columns=groups["columns"], options=groups["options"]
    )
    with console.handled(json):
        with console.reporting() as reporter:
            found = teaming.suggest(wish, reporter)
        if json:
            console.show_json(found.record())
        else:
            console.show_table(teaming.COLUMNS, teaming.rows(found))
            console.show_lines(teaming.lines(found))
            console.show_text(teaming.snippet(found))


@app.command()
def validate(
    source: args.Source,
    set_: args.Sets = None,
    data: Annotated[str | None, args.option("--data", help="Check against this dataset too.")] = None,
    text: args.TextColumn = None,
    text_pair: args.PairColumn = None,
    label: args.LabelColumn = None,
    task: args.TaskName = None,
    json: args.Json = False,
) -> None:
    """Checks a pipeline, and whether it suits a dataset, without loading a model."""
    from autodistill.commands import console
    from autodistill.commands import request as runs
    from autodistill.commands import show as summary

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
def components(json: args.Json = False) -> None:
    """Lists the kinds of every component, and the presets."""
    from autodistill.commands import console
    from autodistill.commands import show as summary
    from engine.pipeline.pipeline import components as kinds

    with console.handled(json):
        if json:
            console.show_json(kinds())
        else:
            console.show_table(["component", "kind", "what it is"], summary.component_rows())
            console.show_table(["preset", "the student learns from", "source"], summary.preset_rows())


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE|FOLDER", help="Preset, pipeline file, or run.")],
    set_: args.Sets = None,
    format: Annotated[Literal["toml", "yaml", "json"], typer.Option(help="Of a pipeline.")] = "toml",
    json: args.Json = False,
) -> None:
    """Shows a complete pipeline with its defaults, or the result of a run."""
    from autodistill.commands import console
    from autodistill.commands import request as runs
    from autodistill.commands import show as summary
    from engine.pipeline.read import dump_pipeline, load_pipeline

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
            for names, rows in summary.result_tables(result):
                console.show_table(names, rows)
            console.show_lines(summary.closing_lines(result))


@app.command()
def doctor(cache_dir: args.CacheDir = None, json: args.Json = False) -> None:
    """Shows versions, devices, the precision that would be chosen, the hub, and the caches."""
    from autodistill.commands import console
    from autodistill.commands import doctor as examination
    from engine.base.options import RunOptions

    with console.handled(json):
        report = examination.examine(RunOptions(cache_dir=cache_dir))
        if json:
            console.show_json(report)
        else:
            console.show_table(["part", "name", "found"], examination.lines(report))
