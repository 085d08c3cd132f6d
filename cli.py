"""The command line: its entry and the table of its commands.

Exit codes: 0; 1 for a failure; 2 for wrong input; 130 after Ctrl-C. Commands import what they need
when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from typing import Annotated

try:
    import typer

    from autodistill.commands import options
    from autodistill.commands.options import FINE_TUNING, OPTIONS, READING, RUNNING, WHERE
except KeyboardInterrupt:  # nothing that could say it is there yet
    sys.exit(sys.stderr.write("\nStopped.\n") and 130)

app = typer.Typer(
    name="autodistill",
    help="Says which distillation pipeline suits a dataset, what it will give, and runs it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command = partial(options.command, app)

RESUME = "The same command goes on where it stopped."
MODELS = ("teacher", "student")
ONLY = "Only this one, beside the mean rank. Default: all."
LIMITS = ("max_time", "max_params", "max_latency")
KNOWLEDGE = ("meta_data", "predictor", "vectors")
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}
"""Environment of the libraries, unless the user has set it."""


def _version(wanted: bool) -> None:
    if wanted:
        from engine.base import DISTRIBUTION, version_of

        typer.echo(version_of(DISTRIBUTION) or "not installed")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# --- commands ----------------------------------------------------------------------------------------


command(
    "run",
    "run",
    """Distils a student: teacher, student, figures. The same command again resumes, or shows the result.

    With --budget or --trials it searches: pipelines are tried in short pieces, the best one is trained to its end.
    With --pick or --top the pipelines are those of a recommendation, which is made where there is none.
    """,
    *("data", "teacher", "students", "pipeline", "augment", "set", "class_weights", "paper"),
    *("calibrate", "windows", "out", "seed", "student_alone"),
    *("budget", "trials", "pareto", "pick", "top", "members", *LIMITS, *KNOWLEDGE, "description"),
    *(*READING, *FINE_TUNING, *RUNNING, "store"),
    top="Run the first picks side by side, stopping the worse.",
    loads_models=True,
    resume=RESUME,
)
command(
    "recommend",
    "run",
    "Suggests pipelines for a dataset, with what each will give and cost. `run --pick 1` runs one.",
    *("data", "teacher", "students", "members", "set", "class_weights", "paper", "out"),
    *("top", *LIMITS, "pareto", *KNOWLEDGE),
    *(*READING, "description", *FINE_TUNING, *WHERE, "store"),
    max_time=replace(OPTIONS["max_time"], names=("--max-time", "--budget")),  # the second is the name of before
    pareto="Show quality against time.",
    loads_models=True,
    resume=RESUME,
)
command(
    "evaluate",
    "run",
    "Leaves one dataset out at a time: what the recommender is worth, beside everything simpler.",
    *("meta_data", "predictor", "vectors", "figures", "cache_dir", "store"),
    predictor=replace(OPTIONS["predictor"], type=str | None, default=None, help=ONLY),
    resume=RESUME,
)
command(
    "importance",
    "importance",
    "Says which components decide how good a student gets: shares of the variance of past scores.",
    *("meta_data", "teacher", "students", "components", "figures", "store"),
    meta_data=replace(OPTIONS["meta_data"], panel=None),
    teacher=replace(OPTIONS["teacher"], help="Past runs of this teacher alone.", panel=None),
    students=replace(OPTIONS["students"], help="Past runs of this student alone. Repeatable.", panel=None),
    store=replace(OPTIONS["store"], panel=None),
)
command(
    "report",
    "report",
    "Writes one page about past runs, or about one run, which needs nothing but itself: figures, tables, words.",
    *("run", "page", "figures", "meta_data", "predictor", "vectors", "cache_dir", "store", "on_data", *READING),
    on_data=replace(OPTIONS["on_data"], help="The run's data, to show where teacher and student differ.", panel="Data"),
    figures="Folder to draw the page's figures in, as PNG and SVG.",
    meta_data=replace(OPTIONS["meta_data"], panel=None),
    predictor=replace(OPTIONS["predictor"], panel=None),
    vectors=replace(OPTIONS["vectors"], panel=None),
    cache_dir=replace(OPTIONS["cache_dir"], panel=None),
    store=replace(OPTIONS["store"], panel=None),
    resume=RESUME,
)
command(
    "predict",
    "predict",
    "Answers texts: typed, from a file, or from standard input, one a line.",
    *("model", "texts", "pairs", "file", "text_column", "text_pair_column", "on_data", "into"),
    *("device", "precision"),
    loads_models=True,
    on_data="A GLUE task: answer its test sets for the leaderboard.",
)
command(
    "export",
    "export",
    """Writes a student as ONNX and in 8-bit integers: it answers without torch. Needs the extra `export`.

    With --data both are scored beside PyTorch and the teacher, and int8 is left out where it loses too much.
    """,
    *("model", "into", "on_data", "margin", "force", *READING),
    loads_models=True,
    into="Folder of the export. Default: onnx, in the model's.",
    on_data="Labelled rows to score it on: the run's data, read with the same options.",
)
command(
    "augment",
    "look",
    "Shows training examples beside what an augmentation policy makes of them.",
    *("data", "policy", "set", "seed", "n", *READING, *WHERE),
    loads_models=True,
)
command(
    "team",
    "look",
    "Suggests a team of teachers for a student, and how many members to drop; nothing is trained.",
    *("data", *MODELS, "members", *READING, "cache_dir"),
)
command(
    "validate",
    "look",
    "Checks a pipeline, and whether it suits a dataset, without loading a model.",
    *("source", "set", "on_data", *READING),
    on_data="Check against this dataset too.",
)
study = typer.Typer(help="Collects runs over a search space: resumable, on one machine or many.", no_args_is_help=True)
app.add_typer(study, name="study")
options.command(
    study,
    "run",
    "study",
    "Makes the runs of a study that are not there yet. Several may work on one store.",
    *("study", "only", "processes", "threads", "ray", "gpus", *WHERE, "cache_budget_gb", "store"),
    loads_models=True,
    resume=RESUME,
)
options.command(
    study,
    "status",
    "study",
    "Shows how far a study has come: runs, pace, time left, failures and their reasons.",
    *("study", *WHERE, "store"),
)
options.command(
    study,
    "export",
    "study",
    "Writes the tables of a study: its runs, their learning curves, its datasets.",
    *("study", "into", *WHERE, "store"),
    into=replace(OPTIONS["into"], help="Folder of the tables. Default: as the study says, or its name."),
)
cache = typer.Typer(help="What is kept from run to run: what lies there, and removing it.", no_args_is_help=True)
app.add_typer(cache, name="cache")
CACHE_DIR = replace(OPTIONS["cache_dir"], panel=None)
options.command(
    cache, "list", "cache", "Lists what is kept, by kind, dataset and model: sizes, age.", cache_dir=CACHE_DIR
)
options.command(
    cache,
    "prune",
    "cache",
    "Removes what was not used for long, or so much that the rest fits; nothing that a process uses.",
    *("older", "keep_size", "yes"),
    cache_dir=CACHE_DIR,
)
options.command(
    cache, "clear", "cache", "Removes all that is kept, but what a process uses.", "yes", cache_dir=CACHE_DIR
)
command("components", "look", "Lists the kinds of every component, and the presets.")
command(
    "show",
    "look",
    "Shows a complete pipeline with its defaults, the result of a run, or a table of the runs in a folder.",
    *("shown", "set", "format"),
)
command(
    "runs",
    "runs",
    "Lists runs: those of your store, or of a folder; sorted, filtered, as a table, a file or a figure.",
    *("runs", "where", "sort", "reverse", "csv", "figure", "store"),
    store=replace(OPTIONS["store"], panel=None),
)
command(
    "doctor",
    "doctor",
    "Shows versions, devices, the precision that would be chosen, the hub, and the caches.",
    "cache_dir",
)


def main() -> None:
    """The entry point of `autodistill`."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    app()


if __name__ == "__main__":
    main()
