"""The record of a run: `RunResult`, written as `result.json` beside the student."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from engine.base.errors import InputError
from engine.base.files import RESULT_FILE
from engine.data.metrics import Scores
from engine.data.task import TaskKind


def distillation_ratio(student_score: float, teacher_score: float) -> float | None:
    """Student score / teacher score on the same metric (Distiller, section 3.4).

    None, that is undefined, where the teacher's score is not above zero, or either is not finite.

    Example:
        >>> distillation_ratio(0.8, 0.9)
        0.888888888888889
        >>> distillation_ratio(0.8, 0.0) is None
        True
    """
    if not (math.isfinite(student_score) and math.isfinite(teacher_score)) or teacher_score <= 0:
        return None
    return student_score / teacher_score


LAYOUT = 2  # of the record. The first said `baseline` for the student alone, `[teacher] policy` for `[team] kind`.


def upgraded(record: Any) -> Any:
    """A record in today's layout, whichever it was written in.

    Raises:
        ValueError: It was written by a newer version.

    Example:
        >>> upgraded({"baseline_score": 0.7, "pipeline": {"teacher": {"policy": "single"}}})
        {'pipeline': {'team': {'kind': 'single'}}, 'student_alone_score': 0.7, 'layout': 2}
    """
    layout = record.get("layout", 1) if isinstance(record, dict) else LAYOUT
    if not isinstance(layout, int) or layout > LAYOUT:
        raise ValueError(f"it was written by a newer version (layout {layout}, and {LAYOUT} is known)")
    if layout == LAYOUT:
        return record
    record = {**record, "pipeline": upgraded_pipeline(record.get("pipeline", {}))}
    if "baseline_score" in record:
        record["student_alone_score"] = record.pop("baseline_score")
    for name in {"scores", "stage_seconds"} & record.keys():
        record[name] = _renamed(record[name], "baseline", "student_alone")
    if "team" in record:
        record["team"] = _renamed(record["team"], "members", "teachers")
    return record | {"layout": LAYOUT}


def upgraded_pipeline(pipeline: Any) -> Any:
    """A pipeline of the first layout with its team under today's keys."""
    pipeline = _renamed(pipeline, "teacher", "team")
    if isinstance(pipeline, dict) and "team" in pipeline:
        pipeline["team"] = _renamed(pipeline["team"], "policy", "kind")
    return pipeline


def _renamed(table: Any, old: str, new: str) -> Any:
    """A table with a key renamed; what is no table is left to those who check it."""
    return {new if key == old else key: value for key, value in table.items()} if isinstance(table, dict) else table


class Record(BaseModel):
    """Base of what is written as JSON and read again: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Member(Record):
    """A teacher of a team, with its scores on the held-out sets."""

    name: str
    parameters: int
    scores: Scores

    def score(self, metric: str) -> float:
        """On the first held-out set."""
        return next(iter(self.scores.values()))[metric]


class Candidate(Record):
    """A distribution over a team, and the score of the student that it trained."""

    distribution: list[float]
    score: float


class TeamResult(Record):
    """Who taught, how often, and what else was tried."""

    teachers: list[Member]  # the teacher first, then the members
    distribution: list[float] | None = None
    """How often each was drawn; None where all teach at once, or the last assistant alone."""
    candidates: list[Candidate] = []  # of autoskd, in the order of the search


class RunCosts(Record):
    """Measured sizes, speeds and costs of a student beside its teacher; sizes and speeds as in `RunResult`."""

    parameters: int
    teacher_parameters: int
    size_mb: float
    teacher_size_mb: float
    latency_ms: float
    throughput: float
    step_seconds: dict[str, float]  # name of a plan → of one optimiser step, the teacher not counted
    steps_per_epoch: int
    signal_seconds: float  # of the teacher on all training examples, once
    evaluation_seconds: float  # of the student on the first held-out set, once


class RunResult(Record):
    """What a run was and what came out. Scores are 0 to 1 (correlations −1 to 1)."""

    layout: int = LAYOUT
    status: Literal["ok", "failed", "pruned"]
    """`pruned`: stopped before the last epoch; the figures are those so far, and the run can go on."""
    reason: str | None = None  # why a run failed
    identity: str  # hash of pipeline, dataset, teacher, student, seed and precision: equal for equal runs
    task: str
    task_kind: TaskKind
    dataset_fingerprint: str
    dataset_hub: str = ""  # the hub name that was asked for, in full; empty for files, and in older records
    labels: list[str]
    train_examples: int
    teacher: str
    student: str
    pipeline: dict[str, Any]  # with every default, resolved for the task
    seed: int

    metric: str
    teacher_score: float | None = None
    student_score: float | None = None
    student_alone_score: float | None = None  # of the student fine-tuned without a teacher, where it was asked for
    distillation_ratio: float | None = None
    trivial_score: float | None = None  # of always answering the majority class (the majority tag, the mean)
    scores: dict[str, Scores] = {}  # `teacher`, `student`, `student_alone` → held-out set → metric → score
    warnings: list[str] = []
    best_epoch: int | None = None
    history: list[dict[str, Any]] = []  # per epoch: the weighted terms of the loss and the scores

    layers: int | None = None  # transformer layers of the student
    hidden_size: int | None = None  # width of its hidden states
    teacher_layers: int | None = None
    teacher_hidden_size: int | None = None
    parameters: int | None = None
    teacher_parameters: int | None = None
    size_mb: float | None = None  # size of the weights on disk, in 10^6 bytes
    teacher_size_mb: float | None = None
    latency_ms: float | None = None  # median time of one example at batch 1, in float32, tokenising not counted
    teacher_latency_ms: float | None = None
    throughput: float | None = None  # examples per second at batch 32
    teacher_throughput: float | None = None

    team: TeamResult | None = None  # where several teachers taught
    teacher_examples: int = 0  # training examples, augmented ones counted, that this run passed through its teachers
    signals: Literal["cached", "online"] | None = None
    examples_per_second: float | None = None  # of the student's training, evaluation not counted
    waiting_share: float | None = None  # share of that time in which the training waited for its next batch
    seconds: float = 0.0  # wall time of the whole run, over all of its starts
    stage_seconds: dict[str, float] = {}
    finished_at: str | None = None  # when the record was written: ISO 8601, UTC
    peak_memory_mb: float | None = None
    device: str = ""
    precision: str = ""
    versions: dict[str, str] = {}

    def to_json(self) -> str:
        """The record as indented JSON."""
        return json.dumps(self.model_dump(), indent=2, allow_nan=False)

    @classmethod
    def parse(cls, text: str) -> RunResult:
        """The record in a JSON text, in today's layout; a `ValueError` where there is none, or a newer one."""
        return cls.model_validate(upgraded(json.loads(text)))

    @classmethod
    def read(cls, folder: str | Path) -> RunResult | None:
        """The record in `folder`, or None where there is none; an `InputError` where the file is no record."""
        path = Path(folder) / RESULT_FILE
        try:
            return cls.parse(path.read_text("utf-8")) if path.is_file() else None
        except ValueError as error:
            raise InputError.of(str(path), "not the record of a run", str(error).splitlines()[0]) from error
