"""From what was typed to one `Request`, with everything checked that needs no model, all at once.

Decided here: which models the demo uses, where a run goes that names no folder, and how limits are written.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from autodistill.commands.options import OPTIONS, Option, Typed, dashed
from autodistill.recommend.request import Limits, Request, check_places, check_predictor
from engine.base.errors import InputError, Problem
from engine.base.hub import local_snapshot
from engine.base.options import RunOptions
from engine.base.packaged import packaged_encoder
from engine.base.text import expanded
from engine.data.task import Task
from engine.models.names import parse_model
from engine.pipeline.class_weights import class_problems
from engine.pipeline.explain import checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.read import load_pipeline
from engine.pipeline.training import Training

SCRATCH = {"teacher": "scratch:layers=4,hidden=256", "student": "scratch:layers=2,hidden=128"}
"""Models of the demo, where its pretrained teacher is not at hand, or another one is named."""
DEPTH = "layers:2"  # of the demo's student: a third of its pretrained teacher
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Unit of a time → seconds."""
TIME = r"(\d*\.?\d+)\s*(ms|s|min|m|h|d)(?![a-z])"
LONGEST_TIME = 366 * 86400
LONGEST = 80
"""Bytes of a word in the name of a folder, of which a file system takes 255."""
QUESTION = (
    *("columns.", "teacher", "students", "members", "fine_tuning."),
    *("options.precision", "options.int8_teacher"),
    *("limits.", "description", "predictor", "meta_data", "vectors"),
)
"""Fields of a request, and tables of fields, that a recommendation answers; the others are of a run."""
MODEL_EXAMPLES = {
    "teacher": "Give a hub name such as bert-base-uncased, a folder, or scratch:layers=4,hidden=256.",
    "student": "Give a hub name such as huawei-noah/TinyBERT_General_4L_312D, a folder, "
    "layers:3 of the teacher, scratch:layers=2,hidden=128, or (no transformers, and fast) lstm or static.",
}


def request_from(typed: Typed, pipeline: Callable[[], Pipeline] = Pipeline) -> Request:
    """What was typed, with the pipeline made, the data that are named read, and the models found.

    Models are needed where the command has an option for a teacher.

    Raises:
        InputError: With every problem that shows without loading a model.
    """
    asked = typed.get("predictor")
    predictor = [] if asked is None else [partial(check_predictor, asked)]
    parts = together(partial(fields_of, typed), partial(_models, typed), pipeline, partial(_task, typed), *predictor)
    request, models, chosen, task, *_ = parts
    unfit = (
        () if task is None else chosen.problems_with(task.kind) + class_problems(chosen.training.class_weights, task)
    )
    if unfit:
        raise InputError(unfit)
    request = request.model_copy(update={**models, "pipeline": chosen, "task": task})
    roles = {"teacher": [request.teacher] * bool(request.teacher), "student": request.students}
    named = [(role, name) for role, names in {**roles, "members": request.members}.items() for name in names]
    together(*(partial(_find_model, role, name) for role, name in named))
    return request


def fields_of(typed: Typed) -> Request:
    """What was typed, before anything is read.

    Example:
        >>> fields_of({"device": None, "cache_budget_gb": -1.0})
        Traceback (most recent call last):
        engine.base.errors.InputError: --cache-budget-gb: out of range; got -1.0; allowed: at least 0
    """
    given = _nested(typed)
    written, budget = given.pop("limits", {}), given.get("effort", {}).pop("budget", None)
    read = partial(seconds_of, "--budget", "s", "30m")
    times = [] if budget is None else [partial(read, budget)]
    request, limits, *seconds = together(partial(_checked, given), partial(limits_of, written), *times)
    effort = request.effort.model_copy(update={"budget": next(iter(seconds), None)})
    return request.model_copy(update={"limits": limits, "effort": effort})


def _nested(typed: Typed) -> dict[str, Any]:
    """What was typed, as the tables of `Request`."""
    given: dict[str, Any] = {}
    for name, value in typed.items():
        path = OPTIONS[name].path
        if path and value not in (None, []):
            *tables, last = path.split(".")
            table = given
            for key in tables:
                table = table.setdefault(key, {})
            several = isinstance(value, list) or name == "student"
            table[last] = (tuple(value) if isinstance(value, list) else (value,)) if several else value
    return given


def _checked(given: Mapping[str, Any]) -> Request:
    try:
        return checked(Request, given)
    except InputError as error:
        options = {option.path: dashed(name) for name, option in reversed(OPTIONS.items())}  # the first name counts
        places = ((each, options.get(each.place, each.place)) for each in error.problems)
        raise InputError([replace(problem, place=place) for problem, place in places]) from None


def _task(typed: Typed) -> Task | None:
    given = _nested(typed)
    if "data" not in given:
        return None
    from engine.data.load import load_task
    from engine.data.sources import check_there

    if "out" in typed:  # the command writes
        try:
            fields = fields_of(typed)
        except InputError:  # another step says it; nothing is read for that
            check_there(given["data"])
            return None
        check_places(fields)
    task = load_task(given["data"], **given.get("columns", {}))
    why = demo_models(typed)[1] if "teacher" in typed and given["data"] == "demo" else ""
    return replace(task, notes=(*task.notes, f"the demo's models start from scratch: {why}")) if why else task


def _models(typed: Typed) -> dict[str, Any]:
    """Teacher and students, as fields of a request; nothing where the command needs none."""
    if "teacher" not in typed:
        return {}
    students = typed.get("students") or [typed.get("student")]
    named = [("teacher", typed["teacher"]), *(("student", student) for student in students)]
    if brings_soft_labels(typed) and not typed["teacher"]:
        named = named[1:]
    found = together(*(partial(_model, typed, role, name) for role, name in named))
    of_role = {role: [name for name, (of, _) in zip(found, named, strict=True) if of == role] for role, _ in named}
    return {"teacher": "".join(of_role.get("teacher", [])), "students": tuple(of_role["student"])}


def brings_soft_labels(typed: Typed) -> bool:
    """Whether columns of the data teach in place of a teacher."""
    return bool(typed.get("teacher_logits") or typed.get("teacher_probabilities"))


def demo_models(typed: Typed) -> tuple[dict[str, str], str]:
    """Teacher and student of the demo where none is named, and why they are not the pretrained ones."""
    if typed.get("teacher"):
        return SCRATCH, ""
    try:
        return {
            "teacher": str(packaged_encoder(RunOptions(cache_dir=typed.get("cache_dir")).cache)),
            "student": DEPTH,
        }, ""
    except InputError as error:
        return SCRATCH, error.problems[0].what


def _model(typed: Typed, role: str, name: str | None) -> str:
    """The name of a model; the demo brings its own, other data need one."""
    name = name or (demo_models(typed)[0][role] if typed["data"] == "demo" else "")
    if not name:
        raise InputError.of(f"--{role}", f"this dataset needs a {role}", suggestion=MODEL_EXAMPLES[role])
    parse_model(name, role)
    return name


def _find_model(role: str, name: str) -> None:
    if isinstance(parse_model(name, role), str):
        local_snapshot(name, role)


def given(request: Request, other: Request) -> dict[str, Any]:
    """Option → value, of what a request gives of the question of a recommendation and another one has otherwise."""
    usual = Request()
    names = {option.path: name for name, option in OPTIONS.items() if option.path.startswith(QUESTION)}
    values = {name: attrgetter(path) for path, name in names.items()}
    return {name: of(request) for name, of in values.items() if of(request) not in (of(usual), of(other))}


def with_known(typed: Typed, known: Request) -> Typed:
    """What was typed; where nothing was, what another request has, as it would be typed."""
    request, usual = fields_of(typed), Request()
    own = {OPTIONS[name].path for name in given(request, usual)}
    more = {name: value for name, value in given(known, usual).items() if OPTIONS[name].path not in own}
    return {**typed, **{name: _as_typed(OPTIONS[name], value) for name, value in more.items()}}


def _as_typed(option: Option, value: Any) -> Any:
    if option.path.startswith("limits."):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def training_alone(sets: Sequence[str], training: Training = Training()) -> Pipeline:  # noqa: B008 - frozen
    """A pipeline in which nothing but the training is set; its other parts are what is recommended.

    Args:
        training: What was set of it before.
    """
    pipeline = load_pipeline({"training": training.model_dump(exclude_defaults=True)}, sets)
    if pipeline != Pipeline(training=pipeline.training):
        what = "a recommendation chooses the pipeline; only training can be set"
        raise InputError.of("--set", what, ", ".join(sets), ("training.…",))
    return pipeline


def limits_of(written: Mapping[str, str]) -> Limits:
    """Limits as they are typed: `30m`, `20M`, `5ms`.

    Example:
        >>> limits_of({"seconds": "30m", "parameters": "20M", "latency_ms": "5ms"})
        Limits(seconds=1800.0, parameters=20000000.0, latency_ms=5.0)
    """
    readers: dict[str, Callable[[str], float]] = {
        "seconds": partial(seconds_of, "--max-time", "s", "30m"),
        "parameters": _number,
        "latency_ms": lambda text: 1000 * seconds_of("--max-latency", "ms", "5ms", text),
    }
    values = together(*(partial(readers[name], text) for name, text in written.items()))
    return Limits(**dict(zip(written, values, strict=True)))


def seconds_of(place: str, unit: str, example: str, text: str) -> float:
    """Seconds of a time such as `30m` or `1h30m`; a bare number is in `unit`."""
    written = f"{text}{unit}" if re.fullmatch(r"\d*\.?\d+", text) else text
    parts = re.findall(TIME, written)
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if "".join(map("".join, parts)) != re.sub(r"\s", "", written) or not 0 < seconds < LONGEST_TIME:
        raise InputError.of(place, "a time above 0 is needed, of a year at most", repr(text), (example,))
    return seconds


def _number(text: str) -> float:
    """A number such as `20M`."""
    multiple = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower())
    try:
        number = float(text[:-1] if multiple else text) * (multiple or 1.0)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise InputError.of("--max-params", "a number above 0 is needed", repr(text), ("20M", "500k"))
    return number


def default_folder(request: Request, source: str) -> Path:
    """`runs/<dataset>-<pipeline, as it was called>-<hash>`: the same command comes back to it, another does not."""
    given = [part.model_dump(exclude_defaults=True) for part in (request.columns, request.fine_tuning)]
    models, options = (request.teacher, *request.students), request.options
    rounding = options.precision, options.int8_teacher
    identity = [request.data, request.pipeline.key, models, request.seed, *given, rounding]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
    return Path("runs", "-".join([folder_word(request.data), folder_word(source), digest]))


def folder_word(name: str) -> str:
    """The last part of a path or hub name, as it may stand in the name of a folder.

    Example:
        >>> folder_word("glue/sst2"), folder_word("my data.csv"), folder_word("/films/train/..")
        ('sst2', 'my_data', 'films')
    """
    path = Path(os.path.abspath(expanded(name)))  # `..` has a name, too
    word = re.sub(r"[^\w.]+", "_", path.stem).strip(".")
    return word.encode()[:LONGEST].decode(errors="ignore") or "data"


def together(*steps: Callable[[], Any]) -> list[Any]:
    """The values of all steps; or one InputError with the problems of all that failed."""
    values: list[Any] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            values.append(step())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(list(dict.fromkeys(problems)))  # two steps may find the same
    return values
