"""What is shown of results, pipelines and components, as rows of text.

Decided here: units and digits. Scores keep four digits; a figure that does not exist is a dash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.data.task import Task
from engine.pipeline.pipeline import Pipeline, component_specs, components
from engine.pipeline.presets import PRESETS
from engine.run.result import RunResult

ROLES = {"teacher": "teacher", "student": "student", "student_alone": "student alone"}
MISSING = "–"

Row = list[str]


def result_tables(result: RunResult) -> list[tuple[Row, list[Row]]]:
    """Headings and rows: teacher beside student; then, where several taught, the team."""
    tables = [(result_columns(result), result_rows(result))]
    return [*tables, (TEAM_COLUMNS, team_rows(result))] if result.team else tables


def result_columns(result: RunResult) -> Row:
    """Headings of `result_rows`."""
    return ["", *(ROLES[role] for role in _roles(result))]


def result_rows(result: RunResult) -> list[Row]:
    """Scores on every held-out set, then sizes and times, each of teacher and student."""
    roles = _roles(result)
    rows = list(_score_rows(result, roles))
    figures = {
        "parameters": (large(result.teacher_parameters), large(result.parameters)),
        "size on disk": (with_unit(result.teacher_size_mb, "MB"), with_unit(result.size_mb, "MB")),
        "latency, one example": (
            with_unit(result.teacher_latency_ms, "ms"),
            with_unit(result.latency_ms, "ms"),
        ),
        "examples per second": (large(result.teacher_throughput), large(result.throughput)),
    }
    rows += [[name, *values, *[""] * (len(roles) - 2)] for name, values in figures.items()]
    return rows


TEAM_COLUMNS = ["member", "parameters", "score", "share"]


def team_rows(result: RunResult) -> list[Row]:
    """Who taught, how good they are themselves, and how often each was drawn; empty with one teacher."""
    if result.team is None:
        return []
    nobody: list[float | None] = [None] * len(result.team.teachers)
    shares = result.team.distribution or nobody
    return [
        [
            member.name,
            large(member.parameters),
            f"{member.score(result.metric):.4f}",
            MISSING if share is None else f"{share:.3f}",
        ]
        for member, share in zip(result.team.teachers, shares, strict=True)
    ]


def closing_lines(result: RunResult) -> list[str]:
    """How far a stopped run came, the ratio, what to know about it, and the cost, one sentence each."""
    if result.status == "failed":
        return [f"failed: {result.reason}"]
    ratio = result.distillation_ratio
    known = "undefined" if ratio is None else f"{ratio:.4f}"
    lines = [_stopped(result)] if result.status == "pruned" else []
    lines += [f"distillation ratio ({result.metric}, student / teacher): {known}"]
    lines += _search_lines(result)
    lines += [f"warning: {warning}" for warning in result.warnings]
    through = "the teacher" if result.team is None else "the team"
    lines.append(
        f"{result.train_examples:,} training examples; {result.teacher_examples:,} passed through "
        f"{through}; {result.seconds:.0f} s; {result.device}; {result.precision}"
    )
    return lines


def _search_lines(result: RunResult) -> list[str]:
    """What the search for a distribution took beside one training, and how its candidates differ."""
    if result.team is None or not result.team.candidates:
        return []
    scores = [candidate.score for candidate in result.team.candidates]
    search, trained = (result.stage_seconds.get(stage, 0.0) for stage in ("search", "student"))
    return [
        f"{len(scores)} candidates: {result.metric} {min(scores):.4f} to {max(scores):.4f}",
        f"search for θ {search:.0f} s, {len(scores)} trainings {trained:.0f} s, "
        f"{trained / len(scores):.0f} s each",
    ]


def _stopped(result: RunResult) -> str:
    """How far a run came that was stopped before its end."""
    done, epochs = len(result.history), result.pipeline["training"]["epochs"]
    best = f"scores are of the best one so far (epoch {result.best_epoch})"
    return f"stopped after epoch {done} of {epochs}; {best}"


def task_record(task: Task) -> dict[str, Any]:
    """What was found in a dataset."""
    return {
        "name": task.name,
        "kind": task.kind,
        "pair": task.pair,
        "labels": list(task.labels),
        "metric": task.metric,
        "train": len(task.train),
        "validation": {name: len(rows) for name, rows in task.validation.items()},
        "columns": dict(task.columns),
        "notes": list(task.notes),
    }


def verdict_lines(source: str, pipeline: Pipeline, task: Task | None) -> list[str]:
    """That a pipeline is right, and for what."""
    prediction = pipeline.prediction_for(task.kind if task else "classification").kind
    parts = (pipeline.intermediate.kind, pipeline.mapping.kind, prediction)
    stack = "+".join(pipeline.augmentation.kinds) or "none"
    lines = [
        f"{source}: a valid pipeline (intermediate {parts[0]}, mapping {parts[1]}, prediction {parts[2]}, "
        f"augmentation {stack})"
    ]
    if task is not None:
        held_out = sum(len(rows) for rows in task.validation.values())
        lines.append(
            f"{task.name}: {task.kind.replace('_', ' ')}, {len(task.train):,} training and {held_out:,} "
            f"held-out examples, metric {task.metric}; the pipeline suits it"
        )
        lines += task.notes
    return lines


def left_open(pipeline: Pipeline) -> str:
    """A comment that names the keys whose value follows from task and student.

    Example:
        >>> from engine.pipeline import Training
        >>> left_open(Pipeline(training=Training(epochs=3, max_length=64, window_overlap=8)))
        '# Left to task and student: prediction, training.learning_rate\\n'
    """
    keys = list(_open_keys(pipeline.model_dump()))
    return f"# Left to task and student: {', '.join(keys)}\n" if keys else ""


def _open_keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _open_keys(value, f"{prefix}{key}.")
        elif value is None:
            yield prefix + key


def component_rows() -> list[Row]:
    """Component, kind and its one-line description."""
    return [
        [component, kind, (spec.__doc__ or "").splitlines()[0]]
        for (component, kinds), specs in zip(components().items(), component_specs().values(), strict=True)
        for kind, spec in zip(kinds, specs, strict=True)
    ]


def preset_rows() -> list[Row]:
    """Preset, what the student learns from, and the source."""
    return [[name, preset.description, preset.source] for name, preset in PRESETS.items()]


def _roles(result: RunResult) -> list[str]:
    return [role for role in ROLES if role != "student_alone" or result.student_alone_score is not None]


def _score_rows(result: RunResult, roles: list[str]) -> Iterator[Row]:
    sets = result.scores.get("student", {})
    for held_out, scores in sets.items():
        for metric in scores:
            found = [result.scores.get(role, {}).get(held_out, {}).get(metric) for role in roles]
            yield [
                f"{held_out} {metric}" if len(sets) > 1 else metric,
                *(MISSING if score is None else f"{score:.4f}" for score in found),
            ]


def large(value: float | None) -> str:
    """A count in three digits.

    Example:
        >>> large(22_713_216), large(812.4), large(None)
        ('22.7 M', '812', '–')
    """
    if value is None:
        return MISSING
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.0f}"


def with_unit(value: float | None, unit: str) -> str:
    """A figure in three digits with its unit."""
    return MISSING if value is None else f"{value:.3g} {unit}"
