"""The commands that look and change nothing: augment, team, validate, components, show.

Decided here: a member's capacity is its number of parameters, which is known before anything is trained
(AutoSKDBERT, appendix A).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tomli_w

from autodistill.commands.options import Typed
from autodistill.commands.request import request_from
from autodistill.commands.show import Row, Shown
from autodistill.commands.show import run as shown_run
from autodistill.commands.units import large
from autodistill.recommend.request import Request
from engine.base.errors import InputError, counted
from engine.base.files import RESULT_FILE, WORK
from engine.base.progress import Reporter
from engine.data.metrics import examples_in_words
from engine.data.rows import text_of
from engine.pipeline import pipeline as pipelines
from engine.pipeline.explain import checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import dump_pipeline, load_pipeline
from engine.pipeline.schedule import is_constant
from engine.pipeline.team import FOR_REGRESSION, AverageTeam
from engine.run.result import RunResult

Role = Literal["strongest", "assistant", "as large as the student", "weak"]
MOST_OF_A_ROLE = 3
"""Suggested assistants, and suggested weak members, where none are named."""


def augment(typed: Typed, reporter: Reporter) -> Shown:
    """Originals, drawn by the seed, beside what becomes of them."""
    sets = [f"augmentation={typed['policy']}", *(typed["set"] or ())]
    request = request_from(typed, lambda: load_pipeline("vanilla_kd", sets))  # nothing else of it is used
    examples = augmented(request, reporter)
    rows = [row for number, each in enumerate(examples, start=1) for row in _compared(number, each)]
    return Shown(examples, [(["", "", "text"], rows, "")])


def augmented(request: Request, reporter: Reporter) -> list[dict[str, Any]]:
    """Examples (`original`), `augmented`; with mixup also `partner` and `share`, the weight of the first of both.

    Raises:
        InputError: The policy has no operators, or needs what is not here.
    """
    if not request.pipeline.augmentation.operators:
        raise InputError.of("--augment", "it has no operators", "none", ("random+mixup",))

    import numpy as np  # with torch below, after what needs neither

    from engine.augment.policy import policy_for
    from engine.base.machine import machine_for

    task = request.task
    policy = policy_for(request.pipeline.augmentation, task, machine_for(request.options, reporter))
    assert policy is not None
    generator = np.random.default_rng(request.seed)
    rows = [dict(task.train[int(row)]) for row in generator.permutation(len(task.train))[: request.count]]
    made = policy(rows, task.kind, generator)
    pairs = zip(rows, made.rows, strict=False)
    examples: list[dict[str, Any]] = [{"original": original, "augmented": changed} for original, changed in pairs]
    if made.shares is not None:
        for example, partner, share in zip(examples, made.rows[len(rows) :], made.shares.tolist(), strict=True):
            example |= {"partner": partner, "share": share}
    return examples


def _compared(number: int, each: Mapping[str, Any]) -> Iterator[Row]:
    """An original, and below it what became of it; of a mixed one both texts with their weights."""
    yield [str(number), "original", text_of(each["original"])]
    share = each.get("share")
    if share is None:
        yield ["", "augmented", text_of(each["augmented"])]
    else:
        yield ["", f"{share:.2f} of", text_of(each["augmented"])]
        yield ["", f"{1 - share:.2f} of", text_of(each["partner"])]


class SuggestedMember(NamedTuple):
    """One of a suggested team."""

    name: str
    parameters: int
    role: Role


class Suggestion(NamedTuple):
    """A team for a student, the teacher first; `dropped` is m, how many to drop after phase 1."""

    members: list[SuggestedMember]
    student_parameters: int
    dropped: int
    regression: bool

    def table(self) -> dict[str, Any]:
        """The table `[team]` of a pipeline; regression leaves no choice how θ is learned."""
        names = [member.name for member in self.members[1:]]
        table: dict[str, Any] = {"kind": "autoskd", "members": names, "dropped": self.dropped}
        return table | (FOR_REGRESSION if self.regression else {})


def team(typed: Typed, reporter: Reporter) -> Shown:
    """A team for a student, from sizes alone."""
    suggestion = suggest(request_from(typed), reporter)
    members, table = [member._asdict() for member in suggestion.members], suggestion.table()
    record = {"members": members, "student_parameters": suggestion.student_parameters, "team": table}
    rows = [[name, large(parameters), role] for name, parameters, role in suggestion.members]
    rows.append(["(the student)", large(suggestion.student_parameters), ""])
    lines = [*team_lines(suggestion), "In a pipeline file:"]
    return Shown(record, [(["member", "parameters", "role"], rows, "")], lines, tomli_w.dumps({"team": table}))


def suggest(request: Request, reporter: Reporter) -> Suggestion:
    """Sorts the members by what they are for the student; some of the teacher's layers where none are named.

    Raises:
        InputError: A model or the device cannot be used.
    """
    from engine.base.machine import machine_for  # loads torch
    from engine.models.start import planned_parameters
    from engine.run.plan import plan_run
    from engine.team.search import weaker

    task, machine = request.task, machine_for(request.options, reporter)
    models = (request.teacher, request.students[0])
    if (teacher := plan_run(task, Pipeline(), *models).teacher) is None:
        raise InputError.of("--teacher", "a team has models that teach", task.soft_labels)
    depth = teacher.start.layers
    shallower = [f"layers:{count}" for count in range(depth - 1, 0, -1)]
    names = list(request.members) or shallower or ["layers:1"]
    team = checked(AverageTeam, {"members": names})  # of any kind; its members count here
    plan = plan_run(task, Pipeline(team=team), *models)
    sizes = [planned_parameters(each.start, task, machine) for each in plan.team]
    student = planned_parameters(plan.student, task, machine, teacher.start)
    named = zip([request.teacher, *names], sizes, strict=True)
    members = [SuggestedMember(name, size, _role(size, student, max(sizes))) for name, size in named]
    chosen = members if request.members else _some(members)
    dropped = weaker([member.parameters for member in chosen], student)
    return Suggestion(chosen, student, dropped, task.kind == "regression")


def _role(size: int, student: int, largest: int) -> Role:
    if size == largest:
        return "strongest"
    if size == student:
        return "as large as the student"
    return "assistant" if size > student else "weak"


def _some(members: list[SuggestedMember]) -> list[SuggestedMember]:
    """The teacher, and some of each role, evenly from the largest to the smallest."""
    chosen = members[:1]
    for role in ("assistant", "weak"):
        of_role = [member for member in members[1:] if member.role == role]
        count = min(MOST_OF_A_ROLE, len(of_role))
        chosen += [of_role[round(index * len(of_role) / count)] for index in range(count)]
    return chosen if len(chosen) > 1 else members[:2]


def team_lines(suggestion: Suggestion) -> list[str]:
    """What the table means, in sentences."""
    roles: Sequence[Role] = [member.role for member in suggestion.members]
    weak = f"weaker than the student: {roles.count('weak')} of {len(roles)}"
    lines = [f"{weak}; {counted(suggestion.dropped, 'member')} to drop after phase 1."]
    if "weak" not in roles:
        lines.append("warning: nobody is weaker than the student; the paper's teams have such members too.")
    if "assistant" not in roles:
        lines.append("warning: nobody stands between the student and the strongest member.")
    return lines


def show(typed: Typed, reporter: Reporter) -> Shown:
    """The result of the run in a folder, or a table of the runs in it; or a complete pipeline, of a file or a preset.

    Raises:
        InputError: The folder holds no run, or the pipeline cannot be read.
    """
    source, form = typed["shown"], typed["format"]
    if not Path(source).is_dir():
        pipeline = load_pipeline(source, typed["set"] or ())
        comment = left_open(pipeline) if form == "toml" else ""
        return Shown(json.loads(dump_pipeline(pipeline, "json")), document=comment + dump_pipeline(pipeline, form))
    if (result := RunResult.read(source)) is not None:
        return shown_run(result)

    from engine.run.folder import unfinished  # with filelock, after what needs nothing

    if (progress := unfinished(Path(source))) is not None:
        return Shown(progress, lines=list(how_far(progress)))
    if not any(any(Path(source).rglob(name)) for name in (RESULT_FILE, WORK)):
        raise InputError.of(source, f"this folder holds no run (no {RESULT_FILE})")

    from autodistill.commands.runs import runs  # with pandas

    return runs({"runs": source}, reporter)


def how_far(progress: Mapping[str, Any]) -> Iterator[str]:
    """How far an unfinished run is, in sentences.

    Example:
        >>> state = {"epoch": 2, "step": 130, "best_score": 0.8125, "best_epoch": 1}
        >>> progress = {"done": ["teacher", "signals"], "epochs": 4, "under_way": {"student": state}}
        >>> print(*how_far(progress), sep="\\n")
        This run is not finished; done: teacher, signals.
        student: 2 of 4 epochs, 130 steps; the best so far is epoch 1 with 0.8125
        The command that began it goes on from there.
    """
    done = ", ".join(stage.replace("_", " ") for stage in progress["done"]) or "nothing yet"
    yield f"This run is not finished; done: {done}."
    for name, state in progress["under_way"].items():
        if "epoch" not in state:  # the search for who should teach
            yield f"{name}: {counted(len(state['history']), 'step')}"
            continue
        best = f"; the best so far is epoch {state['best_epoch']} with {state['best_score']:.4f}"
        steps = f"{state['epoch']} of {counted(progress['epochs'], 'epoch')}, {counted(state['step'], 'step')}"
        yield f"{name}: {steps}{best if state['best_epoch'] else ''}"
    yield "The command that began it goes on from there."


def validate(typed: Typed, reporter: Reporter) -> Shown:
    """That a pipeline is right, and for what."""
    source = typed["source"]
    request = request_from(typed, lambda: load_pipeline(source, typed["set"] or ()))
    pipeline, task = request.pipeline, request.task
    pipeline = pipeline if task is None else pipeline.for_task(task)
    prediction = pipeline.prediction_for(task.kind if task else "classification").kind
    parts = f"intermediate {pipeline.intermediate.kind}, mapping {pipeline.mapping.kind}"
    stack = "+".join(pipeline.augmentation.kinds) or "none"
    schedule = "" if is_constant(pipeline.schedule) else f", schedule {pipeline.schedule.kind}"
    lines = [f"{source}: a valid pipeline ({parts}, prediction {prediction}, augmentation {stack}{schedule})"]
    record = {"status": "ok", "key": pipeline.key, "pipeline": pipeline.model_dump(), "task": None}
    if task is not None:
        sizes = {name: len(rows) for name, rows in task.held_out.items()}
        unlabelled = task.examples - len(task.train)
        rows = f"{examples_in_words(len(task.train), unlabelled)}, {sum(sizes.values()):,} held out"
        kind = task.kind.replace("_", " ")
        lines = [*task.notes, f"{task.name}: {kind}, {rows}, metric {task.metric}", f"{lines[0]}; it suits these data"]
        plain = {name: getattr(task, name) for name in ("name", "kind", "pair", "labels", "metric")}
        about = {"held_out": sizes, "split": task.split, "columns": dict(task.columns), "notes": task.notes}
        record["task"] = {**plain, "train": len(task.train), "pool": unlabelled, **about}
    return Shown(record, lines=lines)


def left_open(pipeline: Pipeline) -> str:
    """A comment that names the keys whose value follows from task and student.

    Example:
        >>> from engine.pipeline import Pipeline, Training
        >>> left_open(Pipeline(training=Training(epochs=3, max_length=64, window_overlap=8)))
        '# Left to task and student: prediction, training.learning_rate\\n'
    """
    keys = ", ".join(_open_keys(pipeline.model_dump()))
    return f"# Left to task and student: {keys}\n" if keys else ""


def _open_keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _open_keys(value, f"{prefix}{key}.")
        elif value is None:
            yield prefix + key


def components(typed: Typed, reporter: Reporter) -> Shown:
    """Every kind of every component, and the presets, each with its one-line description."""
    kinds, specs = pipelines.component_kinds(), pipelines.component_specs()
    rows = [
        [component, kind, " ".join((spec.__doc__ or "").partition("\n\n")[0].split())]
        for component in kinds
        for kind, spec in zip(kinds[component], specs[component], strict=True)
    ]
    presets = [[name, preset.description, preset.source] for name, preset in PRESETS.items()]
    heads = ["preset", "the student learns from", "source"]
    return Shown(kinds, [(["component", "kind", "what it is"], rows, ""), (heads, presets, "")])
