"""What `study run`, `study status` and `study export` do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of
from autodistill.commands.show import Shown, TextTable
from autodistill.commands.units import duration
from autodistill.history.store import Store
from autodistill.study.collect import collect
from autodistill.study.design import Job
from autodistill.study.executors import Place, local, on_ray
from autodistill.study.kept import planned as planned_study
from autodistill.study.ledger import Ledger, given_up, pace
from autodistill.study.planning import Planned, tasks_of
from autodistill.study.searching import ENDS, Records, Searching
from autodistill.study.spec import Study, read_study
from engine.base.checks import check_place
from engine.base.errors import InputError, counted
from engine.base.machine import rounding_for
from engine.base.options import RunOptions
from engine.base.progress import Reporter

MOST_SHOWN = 10  # reasons


def run(typed: Typed, reporter: Reporter) -> Shown:
    """Makes the runs of a study that are not there yet."""
    study, store, options = _asked(typed)
    place = _place(typed)
    folder = Path("runs", f"study-{study.name}").resolve()  # a worker on Ray may stand in another one
    check_place("runs", folder, is_folder=True)
    store.check_writing()
    planned = _planned(study, options, reporter)
    jobs = _chosen(planned, typed["only"])
    known = {} if typed["only"] else _known(study, planned.jobs)
    searches = () if typed["only"] else _searches(study, planned, store)
    unmade = collect(study, jobs, store, options, place, folder, reporter, known, searches)
    shown = _shown(study, planned, store, unmade)
    return replace(shown, lines=[*shown.lines, *_scores(store, typed["only"])])


def _known(study: Study, jobs: Sequence[Job]) -> dict[str, str]:
    """Runs that stand in the study's tables, in whichever precision, with their status."""
    from autodistill.study.tables import known_runs  # loads pandas

    known = known_runs(Path(study.tables)) if study.tables else {}
    return {job.identity: "ok" for job in jobs if not known.keys().isdisjoint(job.alike)}


def _searches(study: Study, planned: Planned, store: Store, failed: Iterable[str] = ()) -> list[Searching]:
    """The searches of a study, each at its beginning."""
    from autodistill.study.tables import known_courses  # loads pandas

    tables = study.tables if planned.searches else None
    records = Records(store, known_courses(Path(tables)) if tables else {}, failed)
    return [Searching(search, records) for search in planned.searches]


def _chosen(planned: Planned, identities: Sequence[str] | None) -> list[Job]:
    """The runs of these identities, or all of the design where none is named."""
    if not identities:
        return planned.jobs
    known = planned.runs(identities)
    if unknown := [identity for identity in identities if identity not in known]:
        hint = "A run has another identity with other data, models, precision or versions of the study."
        raise InputError.of("--only", "the study has no such run here", ", ".join(unknown), (), hint)
    return [known[identity] for identity in identities]


def _scores(store: Store, identities: Sequence[str] | None) -> Iterator[str]:
    """What the runs that were named came to."""
    for result in store.runs() if identities else ():
        if result.identity in (identities or ()) and result.student_score is not None:
            yield f"{result.identity}: {result.metric} {result.student_score:.6g} on {result.split}"


def status(typed: Typed, reporter: Reporter) -> Shown:
    """How far a study has come."""
    study, store, options = _asked(typed)
    return _shown(study, _planned(study, options, reporter), store, {})


def export(typed: Typed, reporter: Reporter) -> Shown:
    """Writes the tables of a study's runs."""
    from autodistill.study.tables import write_tables  # loads pandas

    study, store, options = _asked(typed)
    folder = typed["into"] or Path(study.tables or study.name)
    check_place("--out", folder, is_folder=True)
    planned = _planned(study, options, reporter)
    searches = _searches(study, planned, store, given_up(store))
    written = write_tables(planned, tasks_of(study, planned.samples), store, folder, searches)
    return Shown({path.name: rows for path, rows in written.items()}, (), [
        f"{path}: {counted(rows, 'row')}" for path, rows in written.items()
    ])  # fmt: skip


def _asked(typed: Typed) -> tuple[Study, Store, RunOptions]:
    request = fields_of(typed)
    # Threads of workers are shared out; an augmenting process beside each would take another one's core.
    return read_study(typed["study"]), Store(request.store), request.options.model_copy(update={"workers": 0})


def _place(typed: Typed) -> Place:
    if typed["ray"]:
        return on_ray(typed["ray"], typed["processes"] or 1, typed["threads"] or 1, typed["gpus"] or 0)
    return local(typed["processes"], typed["threads"])


def _planned(study: Study, options: RunOptions, reporter: Reporter) -> Planned:
    planned = planned_study(study, rounding_for(options), options.cache, reporter)
    for reason in planned.left_out:
        reporter.message(f"left out: {reason}")
    return planned


def _shown(study: Study, planned: Planned, store: Store, unmade: dict[str, str]) -> Shown:
    ledger = Ledger(store, study.name)
    known = {**_known(study, planned.jobs), **ledger.finished(job.identity for job in planned.jobs)}
    over = {job.identity: known[job.identity] for job in planned.jobs if job.identity in known}
    keys = {search.key for search in planned.searches}
    claims = [claim for claim in ledger.claims() if claim.identity not in over.keys() | keys]
    running = [claim for claim in claims if claim.reason is None]
    reasons = {claim.identity: claim.reason for claim in claims if claim.reason} | unmade
    searches = _searches(study, planned, store, reasons)
    record: dict[str, Any] = {
        "study": study.name,
        "datasets": len(planned.samples),
        "runs": len(planned.jobs),
        "ok": Counter(over.values())["ok"],
        "failed": Counter(over.values())["failed"],
        "running": len(running),
        "not_made": len(reasons),
        "left": len(planned.jobs) - len(over),
        "searches": _of_searches(searches),
        **_times(ledger, [job.identity for job in planned.jobs], over),
        "reasons": dict(Counter(reasons.values()).most_common()),
        "do_not_fit": planned.refused,
        "left_out": planned.left_out,
    }
    return Shown(record, [_table(planned, over, record["searches"])], [*_sentences(record)])


def _of_searches(searches: Sequence[Searching]) -> dict[str, Any]:
    """How many there are and are over, the trials that they have spent, what became of what they began, and where each
    stands."""
    for search in searches:
        search.go_on()
    ends = Counter(end for search in searches for end in search.ends.values())
    return {
        "count": len(searches),
        "over": sum(search.job is None for search in searches),
        "trials": sum(search.plan.trials for search in searches),
        "spent": sum(search.done for search in searches),
        **{end: ends[end] for end in ENDS},
        "cells": [search.words for search in searches],
    }


def _times(ledger: Ledger, identities: Sequence[str], over: dict[str, str]) -> dict[str, float | None]:
    """How fast runs come, and how long it takes until all are there."""
    per_hour = pace(ledger, identities)
    left = len(identities) - len(over)
    return {"runs_per_hour": per_hour, "seconds_left": 3600 * left / per_hour if per_hour and left else None}


def _table(planned: Planned, over: dict[str, str], searches: dict[str, Any]) -> TextTable:
    """How far each stage has come."""
    rows = []
    for stage in dict.fromkeys(job.stage for job in planned.jobs):
        own = [over.get(job.identity) for job in planned.jobs if job.stage == stage]
        rows.append([stage, f"{len(own):,}", f"{own.count('ok'):,}", f"{own.count('failed'):,}"])
    if searches["count"]:
        counts = sum(searches[end] for end in ENDS), searches["ok"], searches["failed"]
        rows.append(["search", *(f"{count:,}" for count in counts)])
    return ["", "runs", "ok", "failed"], rows, ""


def _sentences(record: dict[str, Any]) -> Iterator[str]:
    tasks, searches = f"{record['datasets']:,} tasks", record["searches"]
    if record["runs"]:
        counts = f"{record['ok']:,} are there, {record['failed']:,} failed, {record['left']:,} are left"
        yield f"{record['runs']:,} runs on {tasks}: {counts}"
    if searches["count"]:
        spent = f"{searches['spent']:,} of {searches['trials']:,} trials are spent"
        paused = f"{counted(searches['paused'], 'run')} stopped early"
        many = f"{searches['count']:,} search{'es' * (searches['count'] != 1)} on {tasks}"
        yield f"{many}: {searches['over']:,} over, {spent}, {paused}"
        yield from searches["cells"][:MOST_SHOWN]
    if record["running"]:
        yield f"{record['running']:,} under way"
    if record["runs_per_hour"]:
        left = f"; {duration(record['seconds_left'])} left" if record["seconds_left"] else ""
        yield f"{record['runs_per_hour']:,.0f} runs an hour{left}"
    for reason, times in [*record["reasons"].items()][:MOST_SHOWN]:
        yield f"not made, {times}×: {reason}"
    for reason, times in [*record["do_not_fit"].items()][:MOST_SHOWN]:
        yield f"does not go together, {times}×: {reason}"
