"""What `run`, `recommend` and `evaluate` do.

Decided here: a recommendation for DATA lies in `runs/<name of DATA>/recommendation.json`, where
`run --pick` and `run --top` find it; their runs lie beside it.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autodistill.api import evaluation_of
from autodistill.commands import show
from autodistill.commands.options import OPTIONS, Typed, dashed
from autodistill.commands.request import (
    brings_soft_labels,
    default_folder,
    fields_of,
    folder_word,
    given,
    request_from,
    training_alone,
    with_known,
)
from autodistill.commands.show_evaluation import evaluation as evaluation_shown
from autodistill.ranking.fitted import PREDICTORS, SIMPLE
from autodistill.recommend.race import distilled, record_run, run_recommended
from autodistill.recommend.recommend import PICKS
from autodistill.recommend.recommend import recommend as recommendation_for
from autodistill.recommend.record import RECOMMENDATION_FILE, Recommendation
from autodistill.recommend.request import Request
from engine.base.checks import check_place
from engine.base.errors import InputError
from engine.base.progress import Reporter, SilentReporter
from engine.data.task import Task
from engine.models.names import start_of_name
from engine.models.question import is_asked
from engine.pipeline.presets import usual_preset
from engine.pipeline.read import load_pipeline
from engine.pipeline.training import Training

USUAL = Training()
ADVISING = ("members", "max_time", "max_params", "max_latency", "meta_data", "predictor", "vectors", "description")
"""Options that say what is recommended, or searched among."""


def run(typed: Typed, reporter: Reporter) -> show.Shown:
    """The pipeline that was named; or picks of a recommendation, or a search, where these were asked for."""
    _check_ways(typed)
    if typed["budget"] is not None or typed["trials"] is not None:
        return search(typed, reporter)
    if typed["pick"] is not None or typed["top"] is not None:
        return run_picks(typed, reporter)
    source = typed["pipeline"] or _usual(typed)
    request = request_from(typed, lambda: load_pipeline(source, _sets(typed)))
    out = request.out or default_folder(request, source)
    result = distilled(request, request.students[0], request.pipeline, out, reporter)
    record_run(request, result, out, reporter)
    where = f"student and result: {out}"
    if not request.student_alone:
        return show.run(result, where)

    from autodistill.datasets.bilstm import bilstm_costs
    from engine.base.machine import machine_for

    return show.comparison(result, bilstm_costs(request.task, machine_for(request.options, reporter)), where)


def _usual(typed: Typed) -> str:
    """The preset that suits student and teacher."""
    student, teacher = next(iter(typed["students"] or []), ""), typed["teacher"]
    try:
        asked = bool(teacher) and is_asked(teacher, fields_of(typed).fine_tuning)
    except InputError:  # which is said when everything is checked
        asked = False
    return usual_preset(start_of_name(student), not asked and not brings_soft_labels(typed))


def _check_ways(typed: Typed) -> None:
    """Raises InputError where several things choose the pipeline, or what only advice or a search knows is given."""
    chosen = [dashed(name) for name in ("pick", "top", "pipeline") if typed[name] is not None]
    if typed["budget"] is not None or typed["trials"] is not None:
        chosen.append("--budget" if typed["budget"] is not None else "--trials")
    if len(chosen) > 1:
        raise InputError.of(chosen[0], "only one of these chooses what is run", ", ".join(chosen))
    if typed["augment"] and chosen not in ([], ["--pipeline"]):
        raise InputError.of(
            "--augment", "the pipelines that are tried have augmentations of their own", typed["augment"]
        )
    if len(typed["students"] or []) > 1 and chosen in ([], ["--pipeline"]):
        what = "one student is trained here, and several are named"
        raise InputError.of("--student", what, ", ".join(typed["students"]), (), "--budget searches among several.")
    if typed["pareto"] and not {"--budget", "--trials"} & {*chosen}:
        raise InputError.of("--pareto", "only for a search, and none is asked for", "", (), "Add --budget or --trials.")
    idle = [dashed(name) for name in ADVISING if _said(name, typed[name])]
    if idle and chosen in ([], ["--pipeline"]):
        what, hint = "only for a search or for picks, and neither is asked for", "Add --budget, --trials or --top."
        raise InputError.of(idle[0], what, ", ".join(idle), (), hint)


def _said(name: str, value: Any) -> bool:
    """Whether an option has another value than where nothing is typed."""
    usual = OPTIONS[name].default
    return value not in (None, [], usual) and not (isinstance(usual, tuple) and tuple(value) == usual)


def search(typed: Typed, reporter: Reporter) -> show.Shown:
    """Tries pipelines in pieces; the best one is trained to its end and compared."""
    from autodistill.datasets.bilstm import bilstm_costs
    from autodistill.recommend.trials import search as searched
    from engine.base.machine import machine_for

    request = request_from(typed, lambda: training_alone(_sets(typed)))
    request = request.model_copy(update={"out": _folder(request)})
    for note in request.task.notes:
        reporter.message(note)
    request = request.model_copy(update={"task": replace(request.task, notes=())})  # once, not with every run
    found = searched(request, reporter)
    small = bilstm_costs(request.task, machine_for(request.options, SilentReporter()))
    more = [f"student and result: {found.folder}"]
    if len(found.front) > 1:
        from autodistill.evaluation.figures import draw_front  # loads matplotlib

        more.append(f"figure: {draw_front([each.result for each in found.front], found.folder.parent)}")
    return show.search(found, small, *more)


def recommend(typed: Typed, reporter: Reporter) -> show.Shown:
    """Makes a recommendation and writes it."""
    found, request = _recommended(typed, reporter)
    path = found.write(_folder(request))
    return show.recommendation(found, f"recommendation: {path}", pareto=typed["pareto"])


def _recommended(
    typed: Typed, reporter: Reporter, least: int = 0, training: Training = USUAL
) -> tuple[Recommendation, Request]:
    """A recommendation of at least so many picks, and what it answers; what is set changes that training."""
    request = request_from(typed, lambda: training_alone(_sets(typed), training))
    if least:
        request = request.model_copy(update={"top": least})
    return recommendation_for(request, reporter), request


def run_picks(typed: Typed, reporter: Reporter) -> show.Shown:
    """One pick, or several of which the worse are stopped early; the best comes first.

    The recommendation is read where it lies. Where none does, one is made; where something else is asked for now, one
    with everything else as it was.
    """
    request = fields_of(typed)
    found, task = _recommendation(typed, request, reporter)
    request = request.model_copy(update={"out": _folder(request)})
    return show.race(run_recommended(request, found, reporter, task))


def _recommendation(typed: Typed, request: Request, reporter: Reporter) -> tuple[Recommendation, Task | None]:
    """The one that lies there; or one that is made now, and its data, whose notes were said."""
    path, training = _folder(request) / RECOMMENDATION_FILE, USUAL
    least = max(PICKS, request.top or 0, request.pick or 0)
    lying = Recommendation.read(path) if os.path.lexists(path) else None
    if lying is not None and lying.data == request.data:
        changes = ", ".join(_changes(request, _sets(typed), lying))
        if not changes:
            return lying, None
        reporter.message(f"{path} was made without {changes}: a new one is made, with everything else as it was")
        typed, training = with_known(typed, lying.request()), lying.training
        least = max(least, len(lying.picks))
    found, answered = _recommended(typed, reporter, least, training)
    found.write(_folder(answered))
    return found, replace(answered.task, notes=())


def evaluate(typed: Typed, reporter: Reporter) -> show.Shown:
    """Leaves one dataset out at a time, for all predictors or one; draws the figures where a folder is named."""
    if typed["figures"] is not None:
        check_place("--figures", typed["figures"], is_folder=True)
    compared = (SIMPLE,) if typed["predictor"] else tuple(PREDICTORS)
    found, held_out = evaluation_of(request_from(typed), reporter, compared)
    if typed["figures"] is None:
        return evaluation_shown(found)

    from autodistill.evaluation.figures import draw  # loads matplotlib

    return evaluation_shown(found, *(f"figure: {path}" for path in draw(held_out, typed["figures"])))


def _sets(typed: Typed) -> list[str]:
    """What is set of the pipeline."""
    augmentation = [f"augmentation={typed['augment']}"] if typed.get("augment") else []
    paper = ["training.paper=true"] if typed.get("paper") else []
    calibrate = ["training.calibrate=true"] if typed.get("calibrate") else []
    weights = [f"training.class_weights={typed['class_weights']}"] if typed.get("class_weights") else []
    windows = [] if typed.get("windows") is None else [f"training.window_overlap={typed['windows']}"]
    return [*paper, *calibrate, *weights, *windows, *augmentation, *(typed["set"] or ())]


def _folder(request: Request) -> Path:
    """Where the recommendation and its runs go."""
    return request.out or Path("runs", folder_word(request.data))


def _changes(request: Request, sets: Sequence[str], found: Recommendation) -> Iterator[str]:
    """What is asked for now and a recommendation does not have, as it is typed."""
    for name, value in given(request, found.request()).items():
        option = next(iter(OPTIONS[name].names), dashed(name))
        yield " ".join(f"{option} {each}" for each in (value if isinstance(value, tuple) else [value]))
    if training_alone(sets, found.training).training != found.training:
        yield from (f"--set {each}" for each in sets)
    for option, asked, known in (("--pick", request.pick, found.by_rank), ("--top", request.top, found.picks)):
        if len(known) < (asked or 0) <= found.candidates:  # there are never more
            yield f"{option} {asked}"
