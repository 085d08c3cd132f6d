"""The arguments and options of the command line: what each is called and what its help says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_models, _data, _machine, _teacher = "Models and pipeline", "Data", "Machine", "Fine-tuning of the teacher"
_advice = "Recommendation"


GROUPS = {
    "columns": {
        "text": "text",
        "text_pair": "text_pair",
        "label": "label",
        "kind": "task",
        "metric": "metric",
        "max_train": "max_train",
        "max_validation": "max_validation",
    },
    "fine_tuning": {
        "when": "fine_tune",
        "epochs": "teacher_epochs",
        "learning_rate": "teacher_learning_rate",
    },
    "options": {
        name: name
        for name in (
            "device",
            "precision",
            "cache_dir",
            "cache_budget_gb",
            "signals",
            "workers",
            "tensorboard",
            "overwrite",
        )
    },
}
"""Group → field → argument of the command line."""


def option(*names: str, help: str, panel: str | None = None, **more: Any) -> Any:
    """An option without its default in the help."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


Data = Annotated[
    str, typer.Argument(metavar="DATA", help="Hub name, file, folder with train and validation, or demo.")
]
Source = Annotated[str, typer.Argument(metavar="FILE|PRESET", help="A pipeline.")]
Json = Annotated[bool, option("--json", help="Print the result as JSON.")]
Sets = Annotated[
    list[str] | None, option("--set", help="Change a key: prediction.kind=mse. Repeatable.", panel=_models)
]
PipelineName = Annotated[
    str | None,
    option("--pipeline", help="A TOML, YAML or JSON file, or a preset. Default: mi_alpha.", panel=_models),
]
Teacher = Annotated[
    str | None, option("--teacher", help="Hub name, folder, or scratch:layers=L,hidden=H.", panel=_models)
]
Student = Annotated[
    str | None,
    option("--student", help="Hub name, folder, layers:K of the teacher, or scratch:….", panel=_models),
]
Out = Annotated[Path | None, option("--out", help="Folder of the run. Default: runs/…", panel=_models)]
Seed = Annotated[int, typer.Option(min=0, rich_help_panel=_models)]
StudentAlone = Annotated[
    bool, option("--student-alone", help="Also fine-tune the student without a teacher.", panel=_models)
]
TextColumn = Annotated[str | None, option("--text", help="Column of the text.", panel=_data)]
PairColumn = Annotated[str | None, option("--text-pair", help="Column of the second text.", panel=_data)]
LabelColumn = Annotated[str | None, option("--label", help="Column of the label.", panel=_data)]
TaskName = Annotated[
    Literal["classification", "regression", "tagging", "question_answering"] | None,
    option("--task", help="What is predicted, where the columns do not tell.", panel=_data),
]
Metric = Annotated[str | None, option("--metric", help="The score that counts.", panel=_data)]
MaxTrain = Annotated[
    int | None, option("--max-train", min=1, help="Use at most this many training rows.", panel=_data)
]
MaxValidation = Annotated[
    int | None, option("--max-validation", min=1, help="Use at most this many held-out rows.", panel=_data)
]
FineTune = Annotated[
    Literal["auto", "always", "never"],
    typer.Option(help="auto: only a model without a head for the task.", rich_help_panel=_teacher),
]
TeacherEpochs = Annotated[
    int | None, option("--teacher-epochs", min=1, help="Default: 4; from scratch 10.", panel=_teacher)
]
TeacherRate = Annotated[
    float | None, option("--teacher-learning-rate", help="Default: 5e-5; from scratch 5e-4.", panel=_teacher)
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(rich_help_panel=_machine)]
Precision = Annotated[Literal["auto", "bf16", "fp16", "float32"], typer.Option(rich_help_panel=_machine)]
CacheDir = Annotated[str | None, option("--cache-dir", help="Teachers and their signals.", panel=_machine)]
CacheBudget = Annotated[
    float | None, option("--cache-budget-gb", help="Disk for all signals. Default: 20.", panel=_machine)
]
Workers = Annotated[
    int | None,
    option("--workers", min=0, help="Processes that augment texts. Default: auto.", panel=_machine),
]
Signals = Annotated[
    Literal["auto", "online"],
    typer.Option(help="auto: the teacher's signals are kept on disk.", rich_help_panel=_machine),
]
TensorBoard = Annotated[bool, option("--tensorboard", help="Write a TensorBoard log.", panel=_machine)]
Overwrite = Annotated[
    bool, option("--overwrite", help="Empty a folder that holds another run.", panel=_machine)
]
Members = Annotated[
    list[str] | None,
    option(
        "--members",
        help="Another teacher of the team, named likewise or layers:K. Repeatable.",
        panel=_models,
    ),
]
Students = Annotated[
    list[str] | None,
    option("--student", help="Hub name, folder, layers:K, or scratch:…. Repeatable.", panel=_models),
]
Pick = Annotated[
    int | None, option("--pick", min=1, help="Run this pick of the recommendation.", panel=_advice)
]
TopRun = Annotated[
    int | None,
    option("--top", min=1, help="Run the first picks side by side, stopping the worse.", panel=_advice),
]
Top = Annotated[int, typer.Option(min=1, help="Number of picks.", rich_help_panel=_advice)]
Budget = Annotated[str | None, option("--budget", help="Time that one run may take: 30m, 2h.", panel=_advice)]
MaxParams = Annotated[
    str | None, option("--max-params", help="Parameters of the student: 20M.", panel=_advice)
]
MaxLatency = Annotated[
    str | None, option("--max-latency", help="Of the student, one example: 5ms.", panel=_advice)
]
Pareto = Annotated[bool, option("--pareto", help="Show quality against time.", panel=_advice)]
Description = Annotated[
    str, option("--description", help="The task in a sentence or two, for its embedding.", panel=_data)
]
MetaData = Annotated[
    list[str] | None,
    option("--meta-data", help="Past runs: published, store, a table, a folder. Repeatable.", panel=_advice),
]
StoreUrl = Annotated[
    str | None, option("--store", help="Your record of runs: a file or a database's URL.", panel=_machine)
]
Vectors = Annotated[
    str | None,
    option("--vectors", help="Word vectors: glove (default), a file, or owner/repo:file.", panel=_advice),
]
PredictorName = Annotated[
    str | None, option("--predictor", help="What orders the pipelines. Default: mixed.", panel=_advice)
]
Augment = Annotated[
    str | None,
    option("--augment", help="Operators in their order, such as random,mixup; none for none.", panel=_models),
]
Policy = Annotated[
    str, option("--policy", help="Operators in their order, such as random+mixup.", panel=_models)
]
Count = Annotated[int, typer.Option("--n", min=1, help="Number of examples.", rich_help_panel=_data)]
Figures = Annotated[Path | None, option("--figures", help="Folder to draw the figures in.")]


def grouped(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a command was given, by whom it concerns.

    Args:
        given: The arguments of a command by name.

    Returns:
        `columns` for `load_task`, `fine_tuning` and `options` with the fields of `FineTuning` and
        `RunOptions`; as far as the command has them.
    """
    return {
        group: {ours: given[theirs] for ours, theirs in names.items() if theirs in given}
        for group, names in GROUPS.items()
    }
