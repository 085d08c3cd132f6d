"""`autodistill team`: who could be in a team, and how many of them to drop (AutoSKDBERT, appendix A).

Decided here: a member's capacity is its number of parameters, which is known before anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import tomli_w

from autodistill.commands.request import check_models, models_for, options_from, together
from autodistill.commands.show import Row, large
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.data.load import load_task
from engine.pipeline import AverageTeam
from engine.pipeline.explain import validated

Role = Literal["strongest", "assistant", "as large as the student", "weak"]
COLUMNS = ["member", "parameters", "role"]
MOST_OF_A_ROLE = 3
"""Suggested assistants, and suggested weak members, where none are named."""


@dataclass(frozen=True)
class Wish:
    """What somebody typed.

    Args:
        members: Colleagues of the teacher; some of its layers where none are named.
        columns: Keyword arguments of `load_task`.
        options: Fields of `RunOptions`.
    """

    data: str
    teacher: str | None = None
    student: str | None = None
    members: Sequence[str] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SuggestedMember:
    """A member of a suggested team."""

    name: str
    parameters: int
    role: Role


@dataclass(frozen=True)
class Suggestion:
    """A team for a student.

    Args:
        members: The teacher first.
        student_parameters: Of the student.
        dropped: m, how many to drop after phase 1.
        update: How θ is learned, where the task leaves no choice.
    """

    members: list[SuggestedMember]
    student_parameters: int
    dropped: int
    update: Literal["cr"] | None = None

    def record(self) -> dict[str, Any]:
        """As JSON holds it; `teacher` is what a pipeline takes."""
        members = [vars(member) for member in self.members]
        return {"members": members, "student_parameters": self.student_parameters, "teacher": self.table()}

    def table(self) -> dict[str, Any]:
        """The table `[teacher]` of a pipeline."""
        names = [member.name for member in self.members[1:]]
        table = {"policy": "autoskd", "members": names, "dropped": self.dropped}
        return table if self.update is None else {**table, "update": self.update}


def suggest(wish: Wish, reporter: Reporter) -> Suggestion:
    """Sorts the members by what they are for the student.

    Raises:
        InputError: A model or the data cannot be used.
    """
    models, task, options = together(
        lambda: models_for(wish.data, wish.teacher, wish.student),
        lambda: load_task(wish.data, **wish.columns),
        lambda: options_from(RunOptions, wish.options),
    )
    check_models(**models)

    from engine.base.machine import machine_for  # loads torch
    from engine.models.load import planned_size
    from engine.pipeline import Pipeline
    from engine.run.plan import plan_run
    from engine.run.student import student_config
    from engine.run.teacher import config_of, tokenizer_of
    from engine.team.search import weaker

    machine = machine_for(options, reporter)
    names = list(wish.members) or _layers(plan_run(task, Pipeline(), **models).teacher.depth_and_width()[0])
    team = validated(AverageTeam, {"members": names})  # of any policy; its members count here
    pipeline = Pipeline(teacher=team)
    plan = plan_run(task, pipeline, **models, fine_tuning=FineTuning())
    sizes = [
        planned_size(config_of(each, task, machine), task.kind) for each in (plan.teacher, *plan.colleagues)
    ]
    teacher = config_of(plan.teacher, task, machine), tokenizer_of(plan.teacher, task, machine)
    student = planned_size(student_config(plan.student, *teacher, task), task.kind)
    members = [
        SuggestedMember(name, size, _role(size, student, max(sizes)))
        for name, size in zip([models["teacher"], *names], sizes, strict=True)
    ]
    chosen = members if wish.members else _some(members)
    dropped = weaker([member.parameters for member in chosen], student)
    return Suggestion(chosen, student, dropped, "cr" if task.kind == "regression" else None)


def _layers(depth: int) -> list[str]:
    """Shallower forms of the teacher, the deepest first."""
    return [f"layers:{count}" for count in range(depth - 1, 0, -1)] or ["layers:1"]


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
        chosen += [of_role[round(place * len(of_role) / count)] for place in range(count)]
    return chosen if len(chosen) > 1 else members[:2]


def rows(found: Suggestion) -> list[Row]:
    """A row a member, under `COLUMNS`; the student last."""
    listed = [[member.name, large(member.parameters), member.role] for member in found.members]
    return [*listed, ["(the student)", large(found.student_parameters), ""]]


def lines(found: Suggestion) -> list[str]:
    """What the table means, in sentences."""
    roles = [member.role for member in found.members]
    weak = f"{roles.count('weak')} of {len(roles)} are weaker than the student"
    said = [f"{weak}; {found.dropped} members are dropped after phase 1."]
    if "weak" not in roles:
        said.append("warning: nobody is weaker than the student; the paper's teams have such members too.")
    if "assistant" not in roles:
        said.append("warning: nobody stands between the student and the strongest member.")
    return [*said, "In a pipeline file:"]


def snippet(found: Suggestion) -> str:
    """The table of a pipeline file."""
    return tomli_w.dumps({"teacher": found.table()})
