"""Every argument and option of the command line, and how a command is made of them.

Decided here: what an option is called, and in which panel of the help it stands. What it means, its type, range,
default and help are those of the field of `Request` that it fills; those of one command alone follow below.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import Parameter, Signature, cleandoc
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from autodistill.commands.stop import stopped
from autodistill.recommend.request import Columns, Request
from engine.base.options import TRAINED, FineTuning, RunOptions
from engine.base.spec import Spec

Typed = dict[str, Any]
"""Name of an option → what was typed; None and empty lists where nothing was."""

MODELS, DATA, MACHINE, ADVICE = "Models and pipeline", "Data", "Machine", "Recommendation and search"
PANELS = {
    "fine_tuning": "Fine-tuning of the teacher",
    **dict.fromkeys(("columns", "description", "count"), DATA),
    **dict.fromkeys(("limits", "effort", "pick", "top", "meta_data", "predictor", "vectors"), ADVICE),
    **dict.fromkeys(("options", "store"), MACHINE),
}
"""Field of `Request` → panel of its options; the others are about models and pipeline."""
NAMES = {
    "students": "student",
    "count": "n",
    "columns.kind": "task",
    "columns.seed": "split_seed",
    "fine_tuning.when": "fine_tune",
    **{f"fine_tuning.{name}": f"teacher_{name}" for name in (*TRAINED, "weights")},
    "limits.seconds": "max_time",
    "limits.parameters": "max_params",
    "limits.latency_ms": "max_latency",
}
"""Field → what its option is called; the others are called as they are."""
WITH_UNIT = ("limits.", "effort.budget")
"""Fields that are typed with a unit."""


@dataclass(frozen=True)
class Option:
    """An argument (which has a `metavar`) or an option.

    Args:
        type: What typer makes of the text; an argument that may be None can be left out.
        path: The field of `Request` that it fills; empty where it concerns one command alone.
        names: With dashes; that of the option itself where none is given.
        least: Smallest whole number.
    """

    type: Any
    help: str
    panel: str | None = None
    path: str = ""
    names: tuple[str, ...] = ()
    default: Any = None
    metavar: str = ""
    least: int | None = None

    def parameter(self, name: str) -> Parameter:
        """As a parameter of a function that typer reads."""
        if self.metavar:
            mark = typer.Argument(metavar=self.metavar, help=self.help)
        else:
            shown = self.default is not None and self.type is not bool
            about: dict[str, Any] = {"help": self.help, "rich_help_panel": self.panel, "show_default": shown}
            mark = typer.Option(*(self.names or (dashed(name),)), **about, min=self.least)
        needed = self.default is ... or (bool(self.metavar) and NoneType not in get_args(self.type))
        default = Parameter.empty if needed else self.default
        return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[self.type, mark])


def dashed(name: str) -> str:
    """An option as it is typed.

    Example:
        >>> dashed("max_train")
        '--max-train'
    """
    return f"--{name.replace('_', '-')}"


def _of_spec(spec: type[Spec], prefix: str = "") -> Iterator[tuple[str, Option]]:
    """Every field that a person can type, of the specs inside too."""
    for name, field in spec.model_fields.items():
        path = prefix + name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Spec):
            yield from _of_spec(inner, f"{path}.")
        elif path not in ("task", "pipeline"):
            yield NAMES.get(path, name), _of_field(path, field)


def _of_field(path: str, field: FieldInfo) -> Option:
    """What has a unit is typed as text; whole numbers show their range; the spec checks everything."""
    kind, marks = _plain(field.annotation)
    least = next((mark.ge for mark in (*field.metadata, *marks) if hasattr(mark, "ge")), None)
    typed = str if path.startswith(WITH_UNIT) else list[str] if get_origin(kind) is tuple else kind
    default = field.default if field.default not in ("", ()) else None
    return Option(
        typed if default is not None else typed | None,
        (field.description or "").split("\n\n")[0].replace("`", ""),
        PANELS.get(path.split(".")[0], MODELS),
        path,
        default=default,
        least=least if kind is int else None,
    )


def _plain(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without `None` and `Annotated`, and the marks that stood at it."""
    if get_origin(annotation) not in (Annotated, tuple, Literal) and NoneType in get_args(annotation):
        (annotation,) = (part for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is not Annotated:
        return annotation, []
    kind, *notes = get_args(annotation)
    return kind, [mark for note in notes for mark in getattr(note, "metadata", [note])]


OPTIONS = dict(_of_spec(Request))
"""Name → option, every one that a command may have."""
_student, _data = OPTIONS["student"], OPTIONS["data"]
_alone = ("--student-alone", "--with-baseline")  # the second is the name of before
OPTIONS |= {
    "data": replace(_data, type=str, metavar="DATA"),
    "on_data": replace(_data, names=("--data",), panel=None),
    "student": replace(_student, type=str | None),
    "students": replace(_student, names=("--student",), help=f"{_student.help} Repeatable."),
    "student_alone": replace(OPTIONS["student_alone"], names=_alone),
    # those of one command:
    "json": Option(bool, "Print the result as JSON.", default=False),
    "pipeline": Option(
        str | None, "TOML, YAML or JSON, or a preset. Default: mi_alpha, for static vanilla_kd.", MODELS
    ),
    "set": Option(list[str] | None, "Change a key: prediction.kind=mse. Repeatable.", MODELS),
    "paper": Option(bool, "Epochs, lengths and learning rate of the Distiller paper.", MODELS, default=False),
    "class_weights": Option(
        str | None, "Of gold labels: balanced, or spam=6,ham=1. For rare classes; default: none.", MODELS
    ),
    "calibrate": Option(bool, "Calibrate the student's probabilities after training.", MODELS, default=False),
    "windows": Option(int | None, "Read long texts whole, in windows that share so many tokens.", MODELS, least=0),
    "augment": Option(str | None, "Operators in their order: random,mixup; or none.", MODELS),
    "policy": Option(
        str, "Operators in their order, such as random+mixup.", MODELS, names=("--augment", "--policy"), default=...
    ),
    "components": Option(
        list[str] | None,
        "Ask about this one, such as intermediate.alpha. Repeatable. Default: all.",
        names=("--component",),
    ),
    "figures": Option(Path | None, "Folder to draw the figures in."),
    "page": Option(Path, "The page.", names=("--out",), default=Path("report.html")),
    "model": Option(str, "Folder of a run, or any fine-tuned model.", metavar="MODEL"),
    "texts": Option(list[str] | None, "A text. Repeatable.", names=("--text",)),
    "pairs": Option(list[str] | None, "Its second text, or a question's context.", names=("--text-pair",)),
    "file": Option(Path | None, "Lines of text, CSV, JSON lines, …."),
    "text_column": Option(str | None, "In the file."),
    "text_pair_column": Option(str | None, "In the file."),
    "into": Option(Path | None, "JSON lines; with --data the folder.", names=("--out",)),
    "margin": Option(float, "Points that int8 may lose.", default=1.0),
    "force": Option(bool, "Keep int8 whatever it loses.", default=False),
    "source": Option(str, "A pipeline.", metavar="FILE|PRESET"),
    "shown": Option(str, "Preset, pipeline file, or run.", metavar="NAME|FILE|FOLDER"),
    "run": Option(str | None, "Folder of a run, for a page about it alone.", metavar="[RUN]"),
    "runs": Option(str | None, "Runs: a folder, store, a table. Default: store.", metavar="[FOLDER]"),
    "where": Option(list[str] | None, "Only those with dataset=trec, student=layers:*, score>=0.8, …. Repeatable."),
    "sort": Option(str | None, "Column to sort by: scores, ratios, dates from the top; others from the bottom."),
    "reverse": Option(bool, "Sort the other way round.", default=False),
    "csv": Option(Path | None, "File to write every run and column to."),
    "figure": Option(Path | None, "File for scores against latencies: .png, .svg, or .html with the tables."),
    "older": Option(str | None, "What was not used for so long: 30d, 12h."),
    "keep_size": Option(str | None, "What was used longest ago, until so much is left: 5GB, 500MB."),
    "yes": Option(bool, "Do not ask.", default=False),
    "study": Option(Path, "A study: TOML, YAML or JSON.", metavar="STUDY"),
    "only": Option(list[str] | None, "Identity of a run, as in study.csv: this one alone. Repeatable.", MACHINE),
    "processes": Option(int | None, "Runs at once. Default: one a core.", MACHINE, least=1),
    "threads": Option(int | None, "Of each run. Default: one; with --processes, a fair part.", MACHINE, least=1),
    "ray": Option(str | None, "Address of a Ray cluster, or local, to run on.", MACHINE),
    "gpus": Option(float | None, "Of each run on Ray; a part of one is shared.", MACHINE),
    "format": Option(Literal["toml", "yaml", "json"], "Of a pipeline.", default="toml"),
}

READING = (
    *("text", "text_pair", "label", "task"),
    *(
        name
        for name in Columns.model_fields
        if name.startswith(("metric", "positive", "test", "unlabelled", "teacher_", "max_"))
    ),
)
"""Options of every command that reads data."""
FINE_TUNING = tuple(NAMES.get(f"fine_tuning.{name}", name) for name in FineTuning.model_fields)
WHERE = ("device", "precision", "cache_dir")
RUNNING = (*WHERE, *(name for name in RunOptions.model_fields if name not in WHERE))


MAY_BE_EMPTY = ("texts", "pairs")
"""Options whose own check says more."""


class _Command(TyperCommand):
    """A command that takes nothing empty, and but one student; of other options the last one counts, as anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a shell asks how a half-typed command may go on
            return super().parse_args(ctx, args)
        given, _, order = self.make_parser(ctx).parse_args(args=list(args))
        if any(option.name == "student" and order.count(option) > 1 for option in order):
            what = "one student is asked about here, and several are named; `recommend` compares several"
            raise typer.BadParameter(what, param_hint="--student")
        for parameter in self.params:
            values = given.get(parameter.name or "")
            some = values if isinstance(values, list) else [values]
            if parameter.name not in MAY_BE_EMPTY and any(isinstance(each, str) and not each.strip() for each in some):
                what = "this is empty; leave it out for the default"
                hint = getattr(parameter, "metavar", None) or parameter.opts[0]
                raise typer.BadParameter(what, param_hint=hint)
        return super().parse_args(ctx, args)


def command(
    app: typer.Typer,
    name: str,
    room: str,
    help: str,
    *names: str,
    loads_models: bool = False,
    resume: str = "",
    **changed: str | Option,
) -> None:
    """Adds a command.

    Args:
        room: The module of `autodistill.commands` that has a function of the command's name: from what was
            typed, and a reporter, to what is shown.
        names: Of `OPTIONS`, in their order; `json` is in every command.
        loads_models: Whether it begins only where the libraries that do so have room: to fail while they load is worse.
        resume: What to say after Ctrl-C.
        changed: Option → its help where this command's differs, or all of it.
    """

    def act(**typed: Any) -> None:
        try:
            from autodistill.commands import console  # this, and what the room needs, takes a while
        except KeyboardInterrupt:
            stopped(resume)

        as_json = typed.pop("json")
        with console.handled(as_json, resume):
            if loads_models:
                console.check_room()
            work = getattr(import_module(f"autodistill.commands.{room}"), name)
            with console.reporting() as reporter:
                shown = work(typed, reporter)
            console.show(shown, as_json)

    chosen = {each: OPTIONS[each] for each in (*names, "json")}
    chosen |= {each: replace(OPTIONS[each], help=to) if isinstance(to, str) else to for each, to in changed.items()}
    parameters = [option.parameter(each) for each, option in chosen.items()]
    act.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    app.command(name, cls=_Command, help=cleandoc(help))(act)
