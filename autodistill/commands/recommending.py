"""From what was typed after `recommend`, `evaluate` and `run --pick` to the meta layer.

Decided here: a recommendation for DATA lies in `runs/<name of DATA>/recommendation.json`, where
`run --pick` and `run --top` find it; their runs lie beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.api import AutoDistiller
from autodistill.commands.request import check_models, folder_word, models_for, options_from, together
from autodistill.datasets.embedding import GLOVE
from autodistill.evaluation.report import Evaluation
from autodistill.race import Outcome
from autodistill.ranking.fitted import DEFAULT
from autodistill.ranking.knowledge import DEFAULT_SOURCES
from autodistill.recommend.recommend import Limits
from autodistill.recommend.record import RECOMMENDATION_FILE, Recommendation
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.read import load_pipeline
from engine.pipeline.training import Training

MULTIPLES = {"k": 1e3, "m": 1e6, "g": 1e9}


@dataclass(frozen=True)
class Wish:
    """What somebody typed; None and absent keys mean the default.

    Args:
        students: Names; several are compared.
        members: Names of further teachers; with them teams are compared too.
        limits: `budget`, `max_params`, `max_latency` as they were typed.
        columns: Keyword arguments of `load_task`.
        fine_tuning: Fields of `FineTuning`; `options` of `RunOptions`.
        meta_data: Sources of past runs.
    """

    data: str
    teacher: str | None = None
    students: Sequence[str] = ()
    members: Sequence[str] = ()
    top: int = 5
    limits: Mapping[str, str | None] = field(default_factory=dict)
    sets: Sequence[str] = ()
    out: Path | None = None
    description: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    meta_data: Sequence[str] = ()
    store: str | None = None
    vectors: str | None = None
    predictor: str | None = None

    @property
    def folder(self) -> Path:
        """Where the recommendation and its runs go."""
        return self.out or Path("runs", folder_word(self.data))


def recommend(wish: Wish, reporter: Reporter) -> tuple[Recommendation, Path]:
    """Makes a recommendation and writes it.

    Returns:
        The recommendation and its file.

    Raises:
        InputError: With every problem that shows without loading a model, or a limit that nothing keeps.
    """
    distiller, models, limits, training, fine_tuning = together(
        lambda: _distiller(wish, reporter),
        lambda: _models(wish),
        lambda: _limits(wish.limits),
        lambda: _training(wish.sets),
        lambda: options_from(FineTuning, wish.fine_tuning),
    )
    teacher, students = models
    for student in students:
        check_models(teacher=teacher, student=student)
    together(*(lambda name=name: check_models(members=name) for name in wish.members))
    found = distiller.recommend(
        wish.data,
        teacher=teacher,
        student=students,
        members=wish.members,
        top=wish.top,
        limits=limits,
        training=training,
        fine_tuning=fine_tuning,
        description=wish.description,
        **wish.columns,
    )
    return found, found.write(wish.folder)


@dataclass(frozen=True)
class Choice:
    """Which picks are to be run, and how.

    Args:
        pick: Rank of one pick; `top`: how many of the first ones. One of the two.
        pipeline: What was typed after --pipeline, which cannot go with them.
    """

    pick: int | None
    top: int | None
    seed: int = 0
    student_alone: bool = False
    pipeline: str | None = None

    def check(self) -> None:
        """Refuses what excludes each other.

        Raises:
            InputError: Two ways to choose a pipeline were typed.
        """
        typed = {"--pick": self.pick, "--top": self.top, "--pipeline": self.pipeline}
        names = [name for name, value in typed.items() if value is not None]
        if len(names) > 1:
            raise InputError.of(names[0], "only one of these chooses what is run", ", ".join(names))


def run_picks(wish: Wish, choice: Choice, reporter: Reporter) -> list[Outcome]:
    """Runs one pick, or races several; the best comes first.

    The recommendation is read where it lies; where it is absent, or answers another question, one is made.

    Raises:
        InputError: There is no such pick, or no recommendation can be made.
    """
    choice.check()
    found = _known(wish) or recommend(wish, reporter)[0]
    distiller, fine_tuning = together(
        lambda: _distiller(wish, reporter), lambda: options_from(FineTuning, wish.fine_tuning)
    )
    return distiller.run(
        found,
        out=wish.folder,
        pick=choice.pick,
        top=choice.top,
        seed=choice.seed,
        student_alone=choice.student_alone,
        fine_tuning=fine_tuning,
    )


def _known(wish: Wish) -> Recommendation | None:
    """The recommendation that lies there, where it answers the same question."""
    path = wish.folder / RECOMMENDATION_FILE
    if not path.is_file():
        return None
    found = Recommendation.read(path)
    columns = {name: value for name, value in wish.columns.items() if value is not None}
    same = (
        found.data == wish.data
        and wish.teacher in (None, found.teacher)
        and (not wish.students or list(wish.students) == [student.name for student in found.students])
        and (not wish.members or list(wish.members) == [member.name for member in found.members])
        and columns.items() <= found.columns.items()
        and not wish.sets
    )
    return found if same else None


def _distiller(wish: Wish, reporter: Reporter) -> AutoDistiller:
    return AutoDistiller(
        meta_data=tuple(wish.meta_data) or DEFAULT_SOURCES,
        store=wish.store,
        vectors=wish.vectors or GLOVE,
        predictor=wish.predictor or DEFAULT,
        options=options_from(RunOptions, wish.options),
        reporter=reporter,
    )


def _models(wish: Wish) -> tuple[str, list[str]]:
    pairs = [models_for(wish.data, wish.teacher, student) for student in wish.students or (None,)]
    return pairs[0]["teacher"], [pair["student"] for pair in pairs]


def _training(sets: Sequence[str]) -> Training:
    """The training of every pipeline; its other parts are what is recommended.

    Raises:
        InputError: A key of another part is set.
    """
    pipeline = load_pipeline({}, sets)
    if pipeline != Pipeline(training=pipeline.training):
        what = "a recommendation chooses the pipeline; only training can be set"
        raise InputError.of("--set", what, ", ".join(sets), ("training.…",))
    return pipeline.training


def _limits(given: Mapping[str, str | None]) -> Limits:
    """Limits as they were typed: `30m`, `20M`, `5ms`.

    Example:
        >>> _limits({"budget": "30m", "max_params": "20M", "max_latency": "5ms"})
        Limits(seconds=1800.0, parameters=20000000.0, latency_ms=5.0)
    """
    return Limits(
        *together(
            lambda: _duration("--budget", given.get("budget"), "s", "30m"),
            lambda: _count("--max-params", given.get("max_params")),
            lambda: _milliseconds(_duration("--max-latency", given.get("max_latency"), "ms", "5ms")),
        )
    )


def _duration(place: str, text: str | None, unit: str, example: str) -> float | None:
    """Seconds of a time such as `30m` or `1h30m`; a bare number is in `unit`."""
    if text is None:
        return None
    found = pd.to_timedelta(f"{text}{unit}" if text.replace(".", "", 1).isdigit() else text, errors="coerce")
    if pd.isna(found) or found.total_seconds() <= 0:
        raise InputError.of(place, "a time above 0 is needed", repr(text), (example,))
    return float(found.total_seconds())


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _count(place: str, text: str | None) -> float | None:
    """A number such as `20M`."""
    if text is None:
        return None
    multiple = MULTIPLES.get(text[-1:].lower())
    try:
        found = float(text[:-1] if multiple else text) * (multiple or 1.0)
    except ValueError:
        found = 0.0
    if not found > 0:
        raise InputError.of(place, "a number above 0 is needed", repr(text), ("20M", "500k"))
    return found


def evaluate(wish: Wish, reporter: Reporter, figures: Path | None = None) -> tuple[Evaluation, list[Path]]:
    """Validates the recommender; draws its figures where a folder is named.

    Returns:
        The evaluation, and the files of the figures.
    """
    found, held_out = _distiller(wish, reporter).evaluation()
    if figures is None:
        return found, []

    from autodistill.evaluation.figures import draw  # loads matplotlib

    return found, draw(held_out, figures)
