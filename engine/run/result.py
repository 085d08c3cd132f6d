"""The record of a run: `RunResult`, written as `result.json` beside the student."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import from_json

from engine.base.errors import InputError
from engine.base.files import RESULT_FILE
from engine.base.text import read_text
from engine.data.metrics import Scores
from engine.data.task import TaskKind
from engine.pipeline.training import Training
from engine.run.layouts import LAYOUT, upgraded

if TYPE_CHECKING:
    from pandas import DataFrame

    from engine.base.machine import Machine
    from engine.data.task import Task
    from engine.evaluation.intervals import Measures


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


def metric_in_words(metric: str, positive: str | None) -> str:
    """A metric as a person reads it: F1 with the class that it is of.

    Example:
        >>> metric_in_words("f1", "spam"), metric_in_words("accuracy", "spam")
        ('f1 of spam', 'accuracy')
    """
    return f"f1 of {positive}" if metric == "f1" and positive else metric


READ_AGAIN = {"epochs", "max_length", "window_overlap"}
"""Of a pipeline's training, what others than the run itself read in its record."""


class Record(BaseModel):
    """Base of what is written as JSON and read again: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Member(Record):
    """A teacher of a team, with its scores on the held-out sets."""

    name: str
    parameters: int
    scores: Scores

    def score(self, metric: str, split: str | None = None) -> float:
        """On a held-out set; on the first one, which selects, where none is named."""
        return self.scores[split or next(iter(self.scores))][metric]


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


class ClassScores(Record):
    """What a student reaches on the rows of one class."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


class Calibration(Record):
    """A temperature by which logits were divided after training, and the calibration error without and with it."""

    temperature: float
    before: float  # on `RunResult.split`, as the next
    after: float


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
    language_model_seconds: float = 0.0  # to train the one of contextual augmentation, once
    evaluation_seconds: float  # of the student on the first held-out set, once


@dataclass(frozen=True)
class Expected:
    """What a run is compared with.

    Args:
        others: Role of another model that the student is compared with → what measures it (`RunResult.scores`).
        ratio: 80 % interval of the predicted distillation ratio, low and high.
    """

    others: Mapping[str, Callable[[Task, Machine], Measures]] = field(default_factory=dict)
    ratio: tuple[float, float] | None = None


def _training_in(pipeline: dict[str, Any]) -> Training:
    """What a recorded pipeline says of its training, as far as it is read again; a `ValueError` where that is none."""
    training = pipeline.get("training", {})
    if not isinstance(training, dict):
        raise ValueError("training must be a table")
    return Training.model_validate({name: training[name] for name in training.keys() & READ_AGAIN})


class RunResult(Record):
    """What a run was and what came out. Scores are 0 to 1 (correlations −1 to 1)."""

    layout: int = LAYOUT
    status: Literal["ok", "failed", "pruned"]
    """`pruned`: stopped before the last epoch; the figures are those so far, and the run can go on."""
    reason: str | None = None  # why a run failed
    identity: str  # hash of pipeline, dataset, teacher, student, seed and precision: equal for equal runs
    task: str
    task_kind: TaskKind
    dataset_fingerprint: str  # of rows, splits, labels and metric
    held_out_fingerprint: str = ""  # of the labelled rows of `split`; empty in records of before
    dataset_source: str = ""  # of the training rows as they came: equal for every sample, split and metric of them
    dataset_hub: str = ""  # the hub name that was asked for, in full; empty for files, and in older records
    labels: list[str]
    columns: dict[str, str] = {}  # field → column of the training data; empty in records of before
    train_examples: int  # with labels
    unlabelled_examples: int = 0  # without, which the teacher labelled
    teacher: str
    student: str
    pipeline: dict[str, Any]  # with every default, resolved for the task
    seed: int

    metric: str
    positive: str | None = None  # the class that `f1` is of, where there are two
    split: str | None = None  # the held-out set that the figures below are of: a test set where there is one
    selected_on: str | None = None  # the one that chose the epoch and the candidate; another one, or the same
    teacher_score: float | None = None
    student_score: float | None = None
    student_alone_score: float | None = None  # of the student fine-tuned without a teacher, where it was asked for
    distillation_ratio: float | None = None
    ratio_interval: list[float] | None = None  # low and high, 95 %, paired: teacher and student on the same rows
    trivial_score: float | None = None  # of one answer to all: the commonest class or tag, the mean; for F1 its class
    scores: dict[str, Scores] = {}
    """Role → held-out set → metric → score. Roles are `teacher` and `student`; where known, `student_alone`, `bilstm`
    (a small Bi-LSTM that learns from gold labels) and `linear` (a linear model on TF-IDF)."""
    intervals: dict[str, dict[str, dict[str, list[float]]]] = {}  # the same of the 95 % intervals: low and high
    lead_intervals: dict[str, list[float]] = {}
    """Role → low and high, 95 %, paired, of student score − that of the role."""
    calibration_error: dict[str, float] = {}
    """Role → expected calibration error of its probabilities on `split`; of classification alone."""
    calibration: dict[str, Calibration] = {}
    """Role → what was fitted on `selected_on` where it was asked for; the student's output layer holds its own."""
    null_thresholds: dict[str, float] = {}
    """Role → how far no answer must score above the best span, of questions that may have none; from `selected_on`."""
    agreement: float | None = None  # share of equal answers of teacher and student on `split`; none of values
    predicted_ratio: list[float] | None = None  # 80 % interval of a recommendation, low and high
    verdict: list[str] = []  # what the figures say, a sentence each
    classes: list[ClassScores] = []  # of the student on `split`
    confusion: list[list[int]] = []
    """Rows of a class (first index) that the student gave to another (second index); empty of more than 200 classes."""
    warnings: list[str] = []
    best_epoch: int | None = None
    history: list[dict[str, Any]] = []  # per epoch: the weighted terms of the loss and the scores
    epoch_seconds: list[float] = []
    """Seconds of training up to the end of each epoch, evaluation not counted; empty in older records."""
    paused_after: int | None = None  # the epoch; the best of several candidates may have stopped earlier by itself

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
    signals: Literal["cached", "online", "given"] | None = None  # given: soft labels of the data, and no teacher
    examples_per_second: float | None = None  # of the student's training, evaluation not counted
    waiting_share: float | None = None  # share of that time in which the training waited for its next batch
    seconds: float = 0.0  # wall time of the whole run, over all of its starts
    stage_seconds: dict[str, float] = {}
    finished_at: str | None = None  # when the record was written: ISO 8601, UTC
    peak_memory_mb: float | None = None
    device: str = ""
    precision: str = ""
    versions: dict[str, str] = {}
    files: list[str] = []  # what the run wrote beside this record, within its folder; empty in records of before

    @field_validator("pipeline")
    @classmethod
    def _says_how_it_trained(cls, pipeline: dict[str, Any]) -> dict[str, Any]:
        _training_in(pipeline)
        return pipeline

    @property
    def training(self) -> Training:
        """How many epochs there were to be, and how texts were read; of older records what they know."""
        return _training_in(self.pipeline)

    def on_split(self, role: str) -> dict[str, float]:
        """Metric → score of a role on the set that is reported."""
        return self.scores.get(role, {}).get(self.split or "", {})

    def interval(self, role: str, metric: str, split: str | None = None) -> list[float] | None:
        """The 95 % interval of a score, on the set that is reported where none is named; None where it is not known."""
        return self.intervals.get(role, {}).get(split or self.split or "", {}).get(metric)

    def reports_on(self, task: Task) -> bool:
        """Whether the rows that a task reports are those of this run; by a record of before, whether all rows are."""
        if self.held_out_fingerprint:
            return self.held_out_fingerprint == task.held_out_fingerprint
        return self.dataset_fingerprint == task.fingerprint

    def named(self, metric: str) -> str:
        """A metric as a person reads it."""
        return metric_in_words(metric, self.positive)

    @property
    def epochs(self) -> int:
        """How far the run came; its history is shorter where the best of several candidates stopped earlier."""
        return self.paused_after or len(self.history)

    @property
    def selection_score(self) -> float | None:
        """The student's best score so far on the set that selects."""
        if not self.history or self.best_epoch is None:
            return self.student_score
        return self.history[self.best_epoch - 1]["scores"].get(self.metric)

    @property
    def split_in_words(self) -> str:
        """The set that the figures are of, and whether it has also selected."""
        also = " (also used to select)" if self.split == self.selected_on else ""
        return f"{self.split or 'validation'}{also}"

    @property
    def calibration_in_words(self) -> list[str]:
        """What temperatures change, a sentence for each role that has one."""
        where = {"student": "its output layer holds it", "teacher": "the teacher stays as it is"}
        return [
            f"{role} calibrated on {self.selected_on}: temperature {each.temperature:.2f}, expected calibration error "
            f"on {self.split_in_words} {each.before:.3f} → {each.after:.3f}; {where[role]}"
            for role, each in self.calibration.items()
        ]

    def to_frame(self) -> DataFrame:
        """The scores as a DataFrame: a row for each model, held-out set and metric, with its 95 % interval."""
        from engine.run.notebook import frame_of

        return frame_of(self.scores, self.interval)

    def _repr_html_(self) -> str:
        from engine.run.notebook import html_of

        ended = self.reason or self.status
        title = f"{self.student} from {self.teacher} on {self.task}, {self.split_in_words}: {ended}"
        return html_of(title, self.on_split, self.interval, self.named, self.verdict)

    def to_json(self) -> str:
        """The record as indented JSON."""
        return json.dumps(self.model_dump(), indent=2, allow_nan=False)

    @classmethod
    def parse(cls, text: str) -> RunResult:
        """The record in a JSON text, in today's layout; a `ValueError` where there is none, or a newer one."""
        return cls.model_validate(upgraded(from_json(text)))

    @classmethod
    def read(cls, folder: str | Path) -> RunResult | None:
        """The record in `folder`, or None where there is none; an `InputError` where it is no record, or no file."""
        path = Path(folder) / RESULT_FILE
        if not os.path.lexists(path):
            return None
        text = read_text(path)
        try:
            return cls.parse(text)
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:  # of JSON, or any part
            raise InputError.of(str(path), "not the record of a run", str(error).partition("\n")[0]) from error
