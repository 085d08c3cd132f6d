"""What `study run`, `study status` and `study export` do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of
from autodistill.commands.show import Shown, TextTable
from autodistill.commands.units import duration
from autodistill.history.store import Store
from autodistill.study.collect import Planned, collect, plan_study
from autodistill.study.design import Job
from autodistill.study.executors import Place, local, on_ray
from autodistill.study.ledger import Ledger, pace
from autodistill.study.spec import Study, read_study
from engine.base.checks import check_place
from engine.base.errors import InputError, counted
from engine.base.options import RunOptions
from engine.base.progress import Reporter

MOST_SHOWN = 10  # reasons


def run(typed: Typed, reporter: Reporter) -> Shown:
    """Makes the runs of a study that are not there yet."""
    study, store, options = _asked(typed)
    place = _place(typed)
    folder = Path("runs", f"study-{study.name}")
    check_place("runs", folder, is_folder=True)
    store.check_writing()
    planned = _planned(study, options, reporter)
    jobs = _chosen(planned.jobs, typed["only"])
    known = {} if typed["only"] else _known(study, planned.jobs)
    unmade = collect(study, jobs, store, options, place, folder, reporter, known)
    shown = _shown(study, planned, store, unmade)
    return replace(shown, lines=[*shown.lines, *_scores(store, typed["only"])])


def _known(study: Study, jobs: Sequence[Job]) -> dict[str, str]:
    """Runs that stand in the study's tables, in whichever precision, with their status."""
    from autodistill.study.tables import known_runs  # loads pandas

    known = known_runs(Path(study.tables)) if study.tables else {}
    return {job.identity: "ok" for job in jobs if not known.keys().isdisjoint(job.alike)}


def _chosen(jobs: Sequence[Job], identities: Sequence[str] | None) -> list[Job]:
    """The runs of these identities, or all where none is named."""
    known = {job.identity: job for job in jobs}
    if unknown := [identity for identity in identities or () if identity not in known]:
        hint = "A run has another identity with other data, models, precision or versions of the study."
        raise InputError.of("--only", "the study has no such run here", ", ".join(unknown), (), hint)
    return [known[identity] for identity in identities] if identities else [*jobs]


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
    written = write_tables(_planned(study, options, reporter), store, folder)
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
    from engine.base.machine import machine_for  # loads torch

    reporter.message(f"reading {counted(len(study.datasets), 'dataset')} and working out the runs of the study")
    planned = plan_study(study, machine_for(options).rounding)
    for reason in planned.left_out:
        reporter.message(f"left out: {reason}")
    return planned


def _shown(study: Study, planned: Planned, store: Store, unmade: dict[str, str]) -> Shown:
    ledger = Ledger(store, study.name)
    known = {**_known(study, planned.jobs), **ledger.finished(job.identity for job in planned.jobs)}
    over = {job.identity: known[job.identity] for job in planned.jobs if job.identity in known}
    claims = [claim for claim in ledger.claims() if claim.identity not in over]
    running = [claim for claim in claims if claim.reason is None]
    reasons = {claim.identity: claim.reason for claim in claims if claim.reason} | unmade
    record: dict[str, Any] = {
        "study": study.name,
        "datasets": len({cell.plan.task.fingerprint for cell in planned.cells}),
        "runs": len(planned.jobs),
        "ok": Counter(over.values())["ok"],
        "failed": Counter(over.values())["failed"],
        "running": len(running),
        "not_made": len(reasons),
        "left": len(planned.jobs) - len(over),
        **_times(ledger, [job.identity for job in planned.jobs], over),
        "reasons": dict(Counter(reasons.values()).most_common()),
        "do_not_fit": planned.refused,
        "left_out": planned.left_out,
    }
    return Shown(record, [_table(planned, over)], [*_sentences(record)])


def _times(ledger: Ledger, identities: Sequence[str], over: dict[str, str]) -> dict[str, float | None]:
    """How fast runs come, and how long it takes until all are there."""
    per_hour = pace(ledger, identities)
    left = len(identities) - len(over)
    return {"runs_per_hour": per_hour, "seconds_left": 3600 * left / per_hour if per_hour and left else None}


def _table(planned: Planned, over: dict[str, str]) -> TextTable:
    """How far each stage has come."""
    rows = []
    for stage in dict.fromkeys(job.stage for job in planned.jobs):
        own = [over.get(job.identity) for job in planned.jobs if job.stage == stage]
        rows.append([stage, f"{len(own):,}", f"{own.count('ok'):,}", f"{own.count('failed'):,}"])
    return ["", "runs", "ok", "failed"], rows, ""


def _sentences(record: dict[str, Any]) -> Iterator[str]:
    where = f"{record['runs']:,} runs on {record['datasets']:,} tasks"
    yield f"{where}: {record['ok']:,} are there, {record['failed']:,} failed, {record['left']:,} are left"
    if record["running"]:
        yield f"{record['running']:,} under way"
    if record["runs_per_hour"]:
        left = f"; {duration(record['seconds_left'])} left" if record["seconds_left"] else ""
        yield f"{record['runs_per_hour']:,.0f} runs an hour{left}"
    for reason, times in [*record["reasons"].items()][:MOST_SHOWN]:
        yield f"not made, {times}×: {reason}"
    for reason, times in [*record["do_not_fit"].items()][:MOST_SHOWN]:
        yield f"does not go together, {times}×: {reason}"
