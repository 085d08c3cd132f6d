"""The one table of runs that everything in the meta layer reads, whatever the runs came from.

One row a run; the score it reached, beside everything that was decided before it. Decided here: names and units of
the columns, and how a pipeline becomes columns. It does so by its own keys (`intermediate`, `intermediate.alpha`,
`mapping`, …), so a new component or a new knob is a new column without a line of code here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import pandas as pd
from pydantic import Field

from autodistill.datasets.descriptors import dataset_name
from autodistill.datasets.known import known_as
from engine.base.errors import InputError, counted
from engine.base.spec import Count, Name, Score, TableRow
from engine.data.rows import Findings
from engine.data.task import TaskKind
from engine.pipeline.explain import NUMBER, TAG, checked
from engine.pipeline.pipeline import Pipeline
from engine.run.result import RunResult

Row = TypeVar("Row", bound=TableRow)


class RunRow(TableRow):
    """One run in our layout; its pipeline stands in columns beside these."""

    dataset: Name
    """Rows of one dataset are left out together; `dataset_name` gives the spelling."""
    task_kind: TaskKind
    metric: Name
    held_out: str = "validation"
    """The set that the scores are of."""
    n_train: Count
    """Training examples."""
    teacher: Name
    student: Name
    teacher_layers: Count | None = None
    teacher_hidden_size: Count | None = None
    teacher_parameters: Count | None = None
    student_layers: Annotated[int, Field(ge=0)] | None = None
    """0: it is no stack of layers."""
    student_hidden_size: Count | None = None
    student_parameters: Count | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    score: Score
    """Of the student, −1 to 1."""
    teacher_score: Score | None = None
    ratio: float | None = None
    """Distillation ratio, no percentage; where absent it is score / teacher_score."""
    bilstm_score: Score | None = None
    """Of a small Bi-LSTM on the dataset's gold labels (`datasets.bilstm`)."""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """Of the student's training."""
    source: str = ""
    """Where the row came from, for people."""
    identity: str | None = None
    """Of one of our own runs (`RunPlan.identity`); the next ones are known of these alone."""
    fingerprint: str | None = None
    """Of the dataset as it was split, sampled and measured."""
    validation_score: Score | None = None
    """Of the student, on the rows that chose the epoch; `score` is of others where there are some."""
    student_alone_score: Score | None = None
    """Of the student fine-tuned without a teacher."""
    linear_score: Score | None = None
    """Of a linear model on TF-IDF."""
    trivial_score: Score | None = None
    """Of one answer to all."""
    best_epoch: Count | None = None
    total_seconds: Annotated[float, Field(ge=0)] | None = None
    """Of the whole run; of the first one with a teacher that one's fine-tuning, too."""
    latency_ms: Annotated[float, Field(ge=0)] | None = None
    """Of the student, one example at a time."""
    size_mb: Annotated[float, Field(ge=0)] | None = None
    precision: str | None = None
    device: str | None = None
    finished_at: str | None = None
    """ISO 8601, UTC."""


COLUMNS = tuple(RunRow.model_fields)
BEFOREHAND = ("student_alone_score", "linear_score", "trivial_score")
"""What is reached without a teacher, which can be measured before a run is made."""
REMARKS = tuple(name for name in COLUMNS[COLUMNS.index("source") + 1 :] if name not in BEFOREHAND)
"""What is known of a run beside; nobody predicts from it."""
MODEL_SIZES = ("layers", "hidden_size", "parameters")
MODEL_COLUMNS = tuple(f"{role}_{size}" for role in ("teacher", "student") for size in MODEL_SIZES)
SCORES = tuple(name for name in COLUMNS if name.endswith("score"))
NUMBERS = (*MODEL_COLUMNS, *SCORES, "n_train", "seed", "ratio", "seconds", "total_seconds", "latency_ms", "size_mb")
SAME = (
    *("task_kind", "metric", "teacher", "student", "seed", "teacher_score", *MODEL_COLUMNS[:3]),
    *("identity", "student_alone_score", "trivial_score", "best_epoch", "latency_ms", "size_mb"),
    *("precision", "device", "finished_at"),
)
"""Columns that the record of a run has under the same name."""
STACKS = ("augmentation",)
"""Components that are a stack of operators; the place of each operator has a column of its own."""
STRENGTH = "strength"
"""Knob that the operators of a stack share."""
COMPONENTS = tuple(Pipeline.model_fields)
"""First words of the columns that come from a pipeline."""
GROUP = ["dataset", "metric", "held_out"]
"""Ratios are compared within one dataset, metric and held-out set."""


@dataclass(frozen=True)
class Runs:
    """A frame with a row a run (the columns of `RunRow`, those of the pipelines), and notes on reading it."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)


def flat(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline as columns: a component's kind under its own name, its knobs under dotted names.

    A stack of operators gives their order under the component's name, each operator's place in it, and one strength,
    that of the strongest: one column for what past tables have one of. Of a list the column has the count of names,
    or the only number; how many there are of several numbers has a column of its own. Pairs are written out.

    Example:
        >>> flat({"mapping": {"kind": "emd", "temperature": 1.0}, "weights": {"hard_label": 0.0}})
        {'mapping': 'emd', 'mapping.temperature': 1.0, 'weights.hard_label': 0.0}
        >>> flat({"augmentation": {"operators": [{"kind": "random"}, {"kind": "mixup"}]}})
        {'augmentation': 'random+mixup', 'augmentation.random': 1, 'augmentation.mixup': 2}
        >>> flat({"team": {"kind": "autoskd", "members": ["a", "b"], "dropped": [1]}})
        {'team': 'autoskd', 'team.members': 2, 'team.dropped': 1}
        >>> flat({"team": {"kind": "autoskd", "dropped": [1, 2]}})
        {'team': 'autoskd', 'team.dropped.count': 2}
        >>> flat({"mapping": {"kind": "manual", "pairs": [[1, 4], [2, 8]]}})
        {'mapping': 'manual', 'mapping.pairs': '1-4 2-8'}
    """
    found: dict[str, Any] = {}
    for component, value in pipeline.items():
        _flatten(value, component, found)
    empty = tuple(f"{name}." for name in STACKS if found.get(name) == "none")
    return {name: value for name, value in found.items() if not name.startswith(empty)}


def _flatten(value: Any, place: str, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            _flatten(part, place if key == TAG else f"{place}.{key}", found)
    elif isinstance(value, str) or not isinstance(value, Sequence):
        found |= {} if value is None else {place: value}
    elif all(isinstance(each, Mapping) for each in value):
        _flatten_stack(value, place.rpartition(".")[0] or place, found)
    elif isinstance(value[0], str):
        found[place] = len(value)
    elif isinstance(value[0], Sequence):
        found[place] = " ".join("-".join(map(str, each)) for each in value)
    else:
        found |= {place: value[0]} if len(value) == 1 else {f"{place}.count": len(value)}


def _flatten_stack(operators: Sequence[Mapping[str, Any]], component: str, found: dict[str, Any]) -> None:
    found[component] = "+".join(operator["kind"] for operator in operators) or "none"
    for position, operator in enumerate(operators, start=1):
        found[name := f"{component}.{operator['kind']}"] = position
        _flatten({key: part for key, part in operator.items() if key not in (TAG, STRENGTH)}, name, found)
        if STRENGTH in operator:
            together = f"{component}.{STRENGTH}"
            found[together] = max(operator[STRENGTH], found.get(together, 0.0))


def row_of_result(result: RunResult, bilstm: float | None = None) -> dict[str, Any] | None:
    """A run of this project in our layout; None for one without a final score: it failed or was stopped.

    Args:
        bilstm: Score of the Bi-LSTM on this task, for a run that was not compared with it.
    """
    is_final = result.status == "ok" and result.student_score is not None
    return facts_of_result(result, bilstm) if is_final else None


def facts_of_result(result: RunResult, bilstm: float | None = None) -> dict[str, Any]:
    """What is known of a run in our layout, however it ended; arguments as in `row_of_result`."""
    return {
        "dataset": known_as(result.task, result.dataset_fingerprint, result.dataset_source, result.dataset_hub),
        "held_out": f"{result.split or 'validation'} of {result.dataset_fingerprint}",
        "n_train": result.train_examples,
        **{f"student_{size}": getattr(result, size) for size in MODEL_SIZES},
        "score": result.student_score,
        "bilstm_score": result.on_split("bilstm").get(result.metric, bilstm),
        "seconds": result.stage_seconds.get("student"),
        "total_seconds": result.seconds,
        "source": f"run {result.identity}",
        "fingerprint": result.dataset_fingerprint,
        "validation_score": result.selection_score,
        "linear_score": result.on_split("linear").get(result.metric),
        **{name: getattr(result, name) for name in SAME},
        **flat(result.pipeline),
    }


def runs_of_results(results: Iterable[RunResult], bilstm: Mapping[str, float | None] | None = None) -> Runs:
    """The finished ones of this project's runs, and a note that counts the others.

    Args:
        bilstm: Fingerprint of a task → score of the Bi-LSTM on it.
    """
    scores, results = bilstm or {}, list(results)
    rows = [row for result in results if (row := row_of_result(result, scores.get(result.dataset_fingerprint)))]
    failed = sum(result.status == "failed" for result in results)
    counts = {"failed": failed, "stopped early": len(results) - len(rows) - failed}
    notes = [f"{counted(count, 'run')} left out that {what}" for what, count in counts.items() if count]
    return Runs(runs_frame(rows, [str(row["source"]) for row in rows]), tuple(notes))


def runs_frame(rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> pd.DataFrame:
    """Rows of `RunRow` and pipelines, None where not known, checked, as a frame with the distillation ratio.

    Args:
        places: Where each row stands, such as `runs.csv:7`.

    Raises:
        InputError: With every damaged row and its column.
    """
    findings = Findings()
    kept: list[dict[str, Any]] = []
    for row, place in zip(rows, places, strict=True):
        pipeline = {name: cell(row[name]) for name in row if is_pipeline_column(name)}
        known = {name: row[name] for name in row if name not in pipeline}
        if run := checked_row(RunRow, known, place, findings):
            kept.append({**run.model_dump(), "dataset": dataset_name(run.dataset), **pipeline})
    findings.check()
    columns = dict.fromkeys([*COLUMNS, *(name for row in kept for name in row)])
    frame = pd.DataFrame(kept, columns=list(columns)).astype(dict.fromkeys(NUMBERS, float))
    derived = (frame.score / frame.teacher_score).where(frame.teacher_score > 0)
    return frame.assign(ratio=frame.ratio.fillna(derived))


def cell(value: Any) -> Any:
    """A cell of a pipeline's column: what reads as a number is one.

    Example:
        >>> cell("0.9"), cell("emd"), cell(None)
        (0.9, 'emd', None)
    """
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def is_pipeline_column(name: str) -> bool:
    """Whether a column holds a component of the pipeline or one of its knobs."""
    return name not in COLUMNS and name.split(".")[0] in COMPONENTS


def checked_row(model: type[Row], row: Mapping[str, Any], place: str, findings: Findings) -> Row | None:
    """A row as a `model`, its empty cells left out; what is wrong with it goes to `findings`."""
    try:
        return checked(model, {name: value for name, value in row.items() if value is not None})
    except InputError as error:
        for problem in error.problems:
            findings.add(replace(problem, place=f"{place}, {problem.place}"), where=problem.place)
        return None
