"""`AutoDistiller`: recommend, run, evaluate. The command line says the same with the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autodistill.commands.request import record
from autodistill.datasets.embedding import HASHED
from autodistill.evaluation.leave_one_out import HeldOut
from autodistill.evaluation.report import Evaluation, evaluate
from autodistill.history.store import Store
from autodistill.race import Outcome, Race, run_picks
from autodistill.ranking import DEFAULT, PREDICTORS
from autodistill.ranking.knowledge import DEFAULT_SOURCES, load_knowledge
from autodistill.recommend.recommend import Limits, Question, recommend
from autodistill.recommend.record import Recommendation
from engine.base.errors import InputError, unknown_name
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter, SilentReporter
from engine.data.load import identified, load_task
from engine.data.task import Task
from engine.pipeline import Training


@dataclass(frozen=True)
class AutoDistiller:
    """Recommends pipelines for a dataset from past runs, runs them, and says how far it can be trusted.

    Args:
        meta_data: Where past runs are: `published`, `store`, tables, folders of runs.
        store: The user's record of runs: a file or a database's URL.
        vectors: Word vectors that datasets are embedded with: `hashed`, a file of GloVe's form, or
            `owner/repository:file` of the hub.
        predictor: A name of `predictors.PREDICTORS`.
        options: Device, precision, caches.

    Raises:
        InputError: There is no such predictor.

    Example:
        >>> from autodistill import AutoDistiller
        >>> evaluation = AutoDistiller(meta_data=["published"], predictor="mean_rank").evaluate(compared=())
        >>> evaluation.runs, len(evaluation.datasets)
        (504, 9)
    """

    meta_data: Sequence[str] = DEFAULT_SOURCES
    store: str | None = None
    vectors: str = HASHED
    predictor: str = DEFAULT
    options: RunOptions = field(default_factory=RunOptions)
    reporter: Reporter = field(default_factory=SilentReporter)

    def __post_init__(self) -> None:
        if isinstance(self.meta_data, str):
            object.__setattr__(self, "meta_data", (self.meta_data,))
        if self.predictor not in PREDICTORS:
            raise InputError(unknown_name("--predictor", "unknown predictor", self.predictor, PREDICTORS))

    def recommend(
        self,
        dataset: Any,
        *,
        teacher: str,
        student: str | Sequence[str],
        members: Sequence[str] = (),
        top: int = 5,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        training: Training = Training(),  # noqa: B008 - frozen
        fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
        description: str = "",
        **columns: Any,
    ) -> Recommendation:
        """Pipelines for a dataset, with what each will give and cost.

        Args:
            dataset: As `engine.distill` takes it.
            teacher: A hub name, a folder or `scratch:layers=L,hidden=H`.
            student: The same, or `layers:K`; several are compared.
            members: Further teachers, named likewise; with them, teams of teachers are compared too.
            top: Number of picks.
            limits: What a pick may cost.
            training: Of every pipeline; what is None there gets the paper's value for the task.
            description: The task in a sentence or two.
            columns: `text`, `text_pair`, `label`, `kind`, `metric`, `max_train`, `max_validation`.

        Raises:
            InputError: The data or a model cannot be used, or nothing is within the limits.
        """
        task = identified(dataset) if isinstance(dataset, Task) else load_task(dataset, **columns)
        question = Question(
            task=task,
            teacher=teacher,
            students=(student,) if isinstance(student, str) else tuple(student),
            members=tuple(members),
            data=dataset if isinstance(dataset, str) else task.name,
            columns=columns,
            count=top,
            limits=limits,
            training=training,
            fine_tuning=fine_tuning,
            description=description,
            predictor=self.predictor,
            sources=self.meta_data,
            vectors=self.vectors,
        )
        return recommend(question, Store(self.store), self.options, self.reporter)

    def run(
        self,
        recommendation: Recommendation,
        *,
        out: str | Path,
        dataset: Any = None,
        pick: int | None = None,
        top: int | None = None,
        seed: int = 0,
        with_baseline: bool = False,
        fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
    ) -> list[Outcome]:
        """Runs one pick, or several of which the hopeless ones are stopped early (`race`).

        Args:
            recommendation: From `recommend`.
            out: Folder in which each run has one.
            dataset: The dataset of the recommendation, where its name does not lead to it.
            pick: Rank of the pick to run; 1 where neither this nor `top` is given.
            top: How many of the best picks to run side by side.

        Returns:
            What became of each, the best first; its folder holds the student. All are in the store.

        Raises:
            InputError: The dataset is not the recommendation's, or there is no such pick.
        """
        task = self._task_of(recommendation, dataset)
        chosen = recommendation.top(top) if top else [recommendation.pick(pick or 1)]
        race = Race(
            task=task,
            recommendation=recommendation,
            out=Path(out),
            seed=seed,
            with_baseline=with_baseline,
            fine_tuning=fine_tuning,
            options=self.options,
            reporter=self.reporter,
            record=partial(record, Store(self.store)),
        )
        return run_picks(race, chosen)

    def _task_of(self, recommendation: Recommendation, dataset: Any) -> Task:
        data = recommendation.data if dataset is None else dataset
        task = identified(data) if isinstance(data, Task) else load_task(data, **recommendation.columns)
        if task.fingerprint != recommendation.dataset_fingerprint:
            what = "the recommendation was made for other data"
            raise InputError.of(
                str(recommendation.data), what, task.name, (), "Run `autodistill recommend` again."
            )
        return task

    def evaluate(self, compared: Sequence[str] = tuple(PREDICTORS)) -> Evaluation:
        """Leaves one dataset out at a time: how well its runs are predicted from those of the others.

        Args:
            compared: Predictors to measure beside the own one.

        Raises:
            InputError: There are too few runs.
        """
        return self.evaluation(compared)[0]

    def evaluation(self, compared: Sequence[str] = tuple(PREDICTORS)) -> tuple[Evaluation, list[HeldOut]]:
        """The same with the held-out runs and their predictions, for figures."""
        table, notes = load_knowledge(self.meta_data, Store(self.store), self.vectors, self.options)
        name = " and ".join(self.meta_data)
        return evaluate(table, name, self.reporter, self.predictor, compared, notes)
