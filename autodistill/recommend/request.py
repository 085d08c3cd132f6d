"""What is asked for: one object, made once from what was typed or from Python's arguments, and passed down.

Decided here: names, ranges and defaults. The command line offers these fields as its options; the first paragraph
of a field's docstring is its help. Imports neither torch nor pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from engine.base.checks import check_place
from engine.base.errors import InputError, unknown_name
from engine.base.options import FineTuning, RunOptions
from engine.base.spec import Described, Place, Seed
from engine.data.task import TaskKind

if TYPE_CHECKING:
    from engine.data.task import Task
    from engine.pipeline.pipeline import Pipeline
else:  # both are checked where they are made
    Pipeline = Task = Any


class Columns(Described):
    """How a dataset is read: the keyword arguments of `load_task`, which checks them."""

    text: str | None = None
    """Column of the text."""
    text_pair: str | None = None
    """Column of the second text."""
    label: str | None = None
    """Column of the label."""
    kind: TaskKind | None = None
    """What is predicted, where the columns do not tell."""
    metric: str | None = None
    """The score that counts."""
    positive: str | None = None
    """Of two classes the one that F1 is of. Default: the rarer one."""
    test: str | None = None
    """Labelled rows that report the score and select nothing."""
    unlabelled: str | None = None
    """Further training texts, which the teacher labels."""
    teacher_logits: str | None = None
    """Prefix of columns with logits, which teach in place of a teacher."""
    teacher_probabilities: str | None = None
    """The same with probabilities."""
    max_train: Annotated[int, Field(ge=1)] | None = None
    """Use at most this many training rows."""
    max_validation: Annotated[int, Field(ge=1)] | None = None
    """Use at most this many rows of a validation set."""
    max_test: Annotated[int, Field(ge=1)] | None = None
    """Use at most this many rows of a test set."""
    max_unlabelled: Annotated[int, Field(ge=1)] | None = None
    """Use at most this many unlabelled texts."""
    seed: Seed = 0
    """Of the held-out splits and of the samples."""
    name: str | None = None
    """Name of the task instead of the source's."""


class Limits(Described):
    """What a suggestion may cost."""

    seconds: float | None = None
    """Time that one run may take: 30m, 2h."""
    parameters: float | None = None
    """Parameters of the student: 20M."""
    latency_ms: float | None = None
    """Of the student, one example at a time: 5ms."""


class Effort(Described):
    """What a search may take; without either there is none."""

    budget: Annotated[float, Field(gt=0)] | None = None
    """Search among pipelines for so long: 30m, 2h."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """Search, and try at most so many pipelines."""
    pareto: bool = False
    """Of several students, keep each that no faster one is as good as."""


class Request(Described):
    """What is asked for; what is None or empty was not said."""

    data: str = ""
    """Hub name, file, folder with train and validation, or demo."""
    columns: Columns = Field(default_factory=Columns)
    description: str = ""
    """The task in a sentence or two, for its embedding."""
    task: Task = None  # type: ignore[assignment]  # until the data are read
    """The data."""

    teacher: str = ""
    """Hub name, folder, or scratch:layers=L,hidden=H."""
    students: tuple[str, ...] = ()
    """Hub name, folder, layers:K (teacher's), scratch:…, lstm or static."""
    members: tuple[str, ...] = ()
    """Another teacher of the team, named likewise or layers:K. Repeatable."""
    pipeline: Pipeline = None  # type: ignore[assignment]  # until it is read
    """The one that is run; of a recommendation its training counts alone, for all that are compared."""
    fine_tuning: FineTuning = Field(default_factory=FineTuning)

    out: Path | None = None
    """Folder of the run. Default: runs/…"""
    seed: Seed = 0
    """Of everything that is drawn."""
    student_alone: bool = False
    """Also fine-tune the student without a teacher."""
    options: RunOptions = Field(default_factory=RunOptions)

    pick: Annotated[int, Field(ge=1)] | None = None
    """Run this pick of the recommendation."""
    top: Annotated[int, Field(ge=1)] | None = None
    """Number of picks. Default: 5."""
    limits: Limits = Field(default_factory=Limits)
    effort: Effort = Field(default_factory=Effort)
    meta_data: tuple[Place, ...] = ("published", "study", "store")
    """Past runs: published, study, store, a table, a folder. Repeatable."""
    predictor: str = "average"
    """What orders the pipelines."""
    vectors: Place = "glove"
    """Word vectors: glove, a file, or owner/repo:file of the hub."""
    store: Place | None = None
    """Your record of runs: a file or a database's URL."""

    count: Annotated[int, Field(ge=1)] = 10
    """Number of examples."""


def check_places(request: Request) -> None:
    """Raises InputError where runs cannot be added to the store, or nothing can be written to a folder: before data
    are read, and long before there is something to write."""
    from autodistill.history.store import Store  # loads numpy

    check_place("--cache-dir", request.options.cache)
    if request.out is not None:
        check_place("--out", request.out)
    Store(request.store).check_writing()


def check_teachable(request: Request) -> None:
    """Raises InputError where no model teaches whose layers can be compared: past runs are of such teachers."""
    from engine.models.question import is_asked

    if request.task.soft_labels:
        what = "what is compared and predicted are pipelines of a teacher, and the data bring soft labels"
        hint = "Run a pipeline: autodistill run … --pipeline vanilla_kd."
        raise InputError.of("--teacher", what, request.task.soft_labels, (), hint)
    if is_asked(request.teacher, request.fine_tuning):
        what = (
            "what is compared are mostly ways to learn from a teacher's layers, and one that is asked in words has none"
        )
        hint = "Run a pipeline: autodistill run … --pipeline vanilla_kd."
        raise InputError.of("--teacher", what, repr(request.teacher), (), hint)


def check_predictor(name: str) -> None:
    """Raises InputError where there is no such predictor."""
    from autodistill.ranking.fitted import PREDICTORS  # loads pandas

    if name not in PREDICTORS:
        raise InputError(unknown_name("--predictor", "unknown predictor", str(name), PREDICTORS))
