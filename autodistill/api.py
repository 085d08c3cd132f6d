"""`AutoDistiller`: recommend, search, run, evaluate, importance, report; the command line has the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodistill.history.store import Store
from autodistill.ranking.fitted import PREDICTORS
from autodistill.ranking.knowledge import load_knowledge
from autodistill.recommend.race import Outcome, run_recommended
from autodistill.recommend.recommend import recommend
from autodistill.recommend.record import Recommendation
from autodistill.recommend.request import Effort, Limits, Request, check_places, check_predictor
from engine.base.errors import InputError
from engine.base.files import RESULT_FILE
from engine.base.notebook import usual_reporter
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.base.text import expanded
from engine.data.load import identified, load_task
from engine.data.task import Task
from engine.models.given import name_of
from engine.pipeline.explain import checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.training import Training
from engine.run.result import RunResult

if TYPE_CHECKING:
    from autodistill.evaluation.importance import Importance
    from autodistill.evaluation.leave_one_out import HeldOut
    from autodistill.evaluation.report import Evaluation
    from autodistill.recommend.searched import Searched
    from autodistill.report.page import Page

USUAL = Request()


@dataclass(frozen=True)
class AutoDistiller:
    """Recommends pipelines for a dataset from past runs, runs them, and says how far it can be trusted.

    Args:
        meta_data: Where past runs are: `published`, `study`, `store`, tables, folders of runs.
        store: The user's record of runs: a file or a database's URL.
        vectors: Word vectors that datasets are embedded with: `glove`, a file, or `owner/repository:file` of the hub.
        predictor: A name of `autodistill.ranking.fitted.PREDICTORS`.
        options: Device, precision, caches.
        reporter: Is told how far the work is. By default it is shown below the cell of a notebook, elsewhere not.

    Raises:
        InputError: There is no such predictor.

    Example:
        >>> from autodistill import AutoDistiller
        >>> evaluation = AutoDistiller(meta_data=["published"], predictor="mean_rank").evaluate(compared=())
        >>> evaluation.runs, len(evaluation.datasets)
        (504, 9)
    """

    meta_data: str | Path | Sequence[str | Path] = USUAL.meta_data
    store: str | Path | None = None
    vectors: str | Path = USUAL.vectors
    predictor: str = USUAL.predictor
    options: RunOptions = field(default_factory=RunOptions)
    reporter: Reporter = field(default_factory=usual_reporter)

    def __post_init__(self) -> None:
        check_predictor(self.predictor)

    def _request(self, **given: Any) -> Request:
        sources = (self.meta_data,) if isinstance(self.meta_data, str | Path) else tuple(self.meta_data)
        own = {name: getattr(self, name) for name in ("store", "vectors", "predictor", "options")}
        return checked(Request, {"meta_data": sources, **own, **given})

    def recommend(
        self,
        dataset: Any,
        *,
        teacher: Any,
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
            dataset: As `distill` takes it.
            teacher: A hub name, a folder, `scratch:layers=L,hidden=H`, or `(model, tokenizer)` in memory.
            student: The same, `layers:K`, `lstm` or `static`; several are compared.
            members: Further teachers, named likewise; with them, teams of teachers are compared too.
            training: Of every pipeline; what is None there gets what suits the task and the models.
            description: The task in a sentence or two.
            columns: Keyword arguments of `load_task`.

        Raises:
            InputError: The data or a model cannot be used, or nothing is within the limits.
        """
        request = self._question(
            dataset,
            student,
            columns,
            teacher=teacher,
            members=tuple(members),
            top=top,
            limits=limits,
            pipeline=Pipeline(training=training),
            fine_tuning=fine_tuning,
            description=description,
        )
        return recommend(request, self.reporter)

    def search(
        self,
        dataset: Any,
        *,
        teacher: Any,
        student: str | Sequence[str],
        out: str | Path,
        budget: float | None = None,
        trials: int | None = None,
        pareto: bool = False,
        members: Sequence[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - frozen
        training: Training = Training(),  # noqa: B008 - frozen
        fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
        description: str = "",
        seed: int = 0,
        **columns: Any,
    ) -> Searched:
        """Tries pipelines in short pieces, and trains the best one to its end; the same call goes on where it stopped.

        Args:
            out: Folder in which each run has one.
            budget: Seconds, of everything together.
            trials: At most so many pipelines are begun. One of the two is needed.
            pareto: Of several students, keep each that no faster one is as good as (`Searched.front`).
            columns: Keyword arguments of `load_task`; the others are as in `recommend`.

        Returns:
            The record of the search, what was tried, the best first, and the run that was chosen.

        Raises:
            InputError: The data or a model cannot be used, nothing is within the limits, or no end is given.
            RunError: Every run failed.
        """
        from autodistill.recommend.trials import search

        if budget is None and trials is None:
            raise InputError.of("budget", "a search needs an end: budget in seconds, or a number of trials")
        request = self._question(
            dataset,
            student,
            columns,
            teacher=teacher,
            members=tuple(members),
            limits=limits,
            pipeline=Pipeline(training=training),
            fine_tuning=fine_tuning,
            description=description,
            seed=seed,
            out=Path(out),
            effort=checked(Effort, {"budget": budget, "trials": trials, "pareto": pareto}),
        )
        return search(request, self.reporter)

    def _question(
        self, dataset: Any, student: str | Sequence[str], columns: Mapping[str, Any], **given: Any
    ) -> Request:
        """A request with its data, after it was checked that all can be written down."""
        students = (student,) if isinstance(student, str) else tuple(student)
        given["teacher"] = name_of(given["teacher"], self.options.cache, self.reporter)
        request = self._request(students=students, columns=columns, **given)
        check_places(request)
        task = identified(dataset) if isinstance(dataset, Task) else load_task(dataset, **columns)
        data = str(dataset) if isinstance(dataset, str | Path) else task.name
        return request.model_copy(update={"task": task, "data": data})

    def run(
        self,
        recommendation: Recommendation,
        *,
        out: str | Path,
        dataset: Any = None,
        pick: int | None = None,
        top: int | None = None,
        seed: int = 0,
        student_alone: bool = False,
        fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
    ) -> list[Outcome]:
        """Runs one pick, or several of which the hopeless ones are stopped early (`race`).

        Args:
            recommendation: From `recommend`.
            out: Folder in which each run has one.
            dataset: The dataset of the recommendation, where its name does not lead to it.
            pick: Rank of the pick to run, also of the front; 1 where neither this nor `top` is given.
            top: How many of the best picks to run side by side.
            fine_tuning: Of the teacher; what is not given is as the recommendation has it.

        Returns:
            What became of each, the best first; its folder holds the student. All are in the store.

        Raises:
            InputError: The dataset is not the recommendation's, or there is no such pick.
            RunError: Every run failed.
        """
        request = self._request(
            out=Path(out), pick=pick, top=top, seed=seed, student_alone=student_alone, fine_tuning=fine_tuning
        )
        return run_recommended(request, recommendation, self.reporter, dataset)

    def evaluate(self, compared: Sequence[str] = tuple(PREDICTORS)) -> Evaluation:
        """Leaves one dataset out at a time: how well its runs are predicted from those of the others.

        Args:
            compared: Predictors to measure beside the own one.

        Raises:
            InputError: There is no such predictor, no run, or but one dataset.
        """
        for name in compared:
            check_predictor(name)
        return evaluation_of(self._request(), self.reporter, compared)[0]

    def importance(
        self, components: Sequence[str] = (), *, teacher: str = "", student: str | Sequence[str] = ()
    ) -> Importance:
        """Divides the variance of past runs' scores among what was chosen (functional ANOVA).

        Args:
            components: Those that are asked about, such as `intermediate.alpha`, the others averaged out. Default: all.
            teacher: Runs of this one alone.
            student: Runs of this one, or of these, alone.

        Raises:
            InputError: No run has one of these, or there are too few runs of every dataset.
        """
        students = (student,) if isinstance(student, str) and student else tuple(student)
        return importance_of(self._request(teacher=teacher, students=students), self.reporter, components)

    def report(self, run: str | Path | None = None, *, dataset: Any = None, **columns: Any) -> Page:
        """One page about past runs, or about one, with figures and tables, that needs nothing but itself.

        Args:
            run: Folder of a run; None: all past runs.
            dataset: The dataset of the run, whose rows the page may then show; `columns` as `load_task` takes them.

        Returns:
            The page, which a notebook shows; its `html()` is the document, its `draw(folder)` writes the figures as PNG
            and SVG.

        Raises:
            InputError: A source cannot be read, there is no such run, or the dataset is not its own.
        """
        if run is None:
            return report_of(self._request(), self.reporter)
        given = dataset is None or isinstance(dataset, Task)
        return page_about(run, dataset if given else load_task(dataset, **columns))


def evaluation_of(
    request: Request, reporter: Reporter, compared: Sequence[str] = tuple(PREDICTORS)
) -> tuple[Evaluation, list[HeldOut]]:
    """What the recommender that is asked for is worth, and the held-out runs with their predictions."""
    from autodistill.evaluation.report import evaluate  # loads scipy's statistics

    sources = request.meta_data, Store(request.store), request.vectors, request.options
    table, notes = load_knowledge(*sources, reporter)
    name, cache = " and ".join(request.meta_data), request.options.cache
    return evaluate(table, name, reporter, request.predictor, cache, compared, notes)


def importance_of(request: Request, reporter: Reporter, components: Sequence[str] = ()) -> Importance:
    """What decides the scores of the past runs that are asked for."""
    from autodistill.evaluation.importance import importance, of_models  # loads scikit-learn's forests

    sources = request.meta_data, Store(request.store), request.vectors, request.options
    table, notes = load_knowledge(*sources, reporter)
    runs = of_models(table.runs, request.teacher, request.students)
    return importance(runs, " and ".join(request.meta_data), reporter, components, notes)


def report_of(request: Request, reporter: Reporter) -> Page:
    """What the past runs that are asked for say, as a page."""
    from autodistill.report.material import gather
    from autodistill.report.sections import page  # loads matplotlib

    return page(gather(request, reporter))


def page_about(run: str | Path, task: Task | None) -> Page:
    """The page about a finished run, with rows of its `task` where that is given.

    Raises:
        InputError: There is no such run, or the task is not its own.
    """
    from autodistill.report.answers import answers_of
    from autodistill.report.one_run import page_of_run  # loads matplotlib

    folder = Path(expanded(str(run)))
    result = RunResult.read(folder)
    if result is None:
        hint = f"A page about several runs: autodistill report --meta-data {run}."
        raise InputError.of(str(run), f"this folder holds no finished run (no {RESULT_FILE})", "", (), hint)
    return page_of_run(result, answers_of(folder, result, task))
