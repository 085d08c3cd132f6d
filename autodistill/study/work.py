"""One run of a study, in a process of its own: nothing but a job goes in, and nothing but its record comes out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from autodistill.study.design import Job, task_of
from autodistill.study.spec import Study
from engine.base.errors import InputError, RunError
from engine.base.options import RunOptions
from engine.run.result import Expected, RunResult

log = logging.getLogger("autodistiller")


@dataclass(frozen=True)
class Outcome:
    """What became of a job: the record of its run, or why there is none."""

    identity: str
    record: str = ""
    reason: str = ""


_task = lru_cache(maxsize=4)(task_of)  # of Source, which is frozen
"""Jobs on one dataset come one after the other."""


def carry_out(job: Job, study: Study, options: RunOptions, folder: Path) -> Outcome:
    """Makes a run, or goes on with one that was stopped.

    Args:
        folder: Of all runs of the study; this one's is in it, and stays if the run is not over.
    """
    from autodistill.datasets.bilstm import bilstm_measures  # these load torch
    from engine.distillation import distill

    out = folder / job.identity
    try:
        result = distill(
            _task(job.source, job.rows, study.seed, job.test_rows),
            teacher=job.teacher,
            student=job.student,
            pipeline=job.pipeline,
            out=out,
            seed=job.seed,
            until_epoch=job.until,
            student_alone=study.student_alone,
            fine_tuning=study.fine_tuning,
            options=options,
            expected=Expected({"bilstm": bilstm_measures}),
        )
    except InputError as error:
        return Outcome(job.identity, reason=str(error))
    except RunError as error:
        failed = RunResult.read(out)
        if failed is None or failed.status != "failed":
            return Outcome(job.identity, reason=str(error))
        result = failed
    except Exception as error:  # nobody foresaw it; the other runs go on
        log.exception("run %s of a study", job.identity)
        return Outcome(job.identity, reason=f"{type(error).__name__}: {error}")
    return Outcome(job.identity, result.model_dump_json())
