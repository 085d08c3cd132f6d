"""After training: the temperature that makes a student's probabilities honest, and what it would be for the teacher.

Decided here: it is fitted on the rows that select, and becomes a part of the student's output layer: (W h + b) / T is
(W / T) h + b / T, so whatever reads the folder answers with it: plain transformers, `predict`, an export. The answers
and scores stay what they were. The teacher stays as it is, since it is kept for other runs and students learn from what
it says; its temperature is a figure of the record alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from engine.evaluation.inference import encode_held_out, logits_of
from engine.evaluation.scores import calibration_error
from engine.evaluation.temperature import fitted_temperature
from engine.models.output import divide_outputs
from engine.run.folder import Run
from engine.run.result import Calibration
from engine.run.teacher import Teacher
from engine.tokens.examples import Encoded

NO_LAYER = "the probabilities are not calibrated: the student's head has no single output layer that could hold it"


def calibrate(
    run: Run, teacher: Teacher | None, student: PreTrainedModel, held_out: Mapping[str, Encoded]
) -> dict[str, Any]:
    """Calibrates the student of a run, in place; the record's `calibration`, and a warning where it cannot be done.

    Args:
        held_out: Through the student's tokenizer.
    """
    plan = run.plan
    own = _logits(run, student, held_out)
    found = {"student": _fitted(run, own)}
    warnings = []
    if not divide_outputs(student, plan.task.outputs, found["student"].temperature):
        warnings, found = [NO_LAYER], {}
    if teacher is not None:
        seen = encode_held_out(plan.task, teacher.tokenizer, plan.pipeline.training)
        found["teacher"] = _fitted(run, _logits(run, teacher.model, seen))
    calibration = dict(sorted(found.items(), reverse=True))  # the teacher's first, as everywhere
    return {"calibration": calibration, "warnings": warnings}


def _logits(run: Run, model: PreTrainedModel, held_out: Mapping[str, Encoded]) -> dict[str, np.ndarray]:
    """Of the set that selects and of the one that is reported, each (n, C)."""
    task, machine = run.plan.task, run.machine
    wanted = dict.fromkeys((next(iter(task.validation)), task.split))
    accelerator, reporter = machine.accelerator, machine.reporter
    return {name: np.stack([*logits_of(model, held_out[name], task.kind, accelerator, reporter)]) for name in wanted}


def _fitted(run: Run, logits: Mapping[str, np.ndarray]) -> Calibration:
    """The temperature of the first set, and what it changes on the last one."""
    task = run.plan.task
    selects, split = next(iter(logits)), task.split
    temperature = fitted_temperature(logits[selects], task.held_out[selects]["label"][:])
    rows = task.held_out[split]
    before, after = (calibration_error(task, rows, logits[split] / each) or 0.0 for each in (1.0, temperature))
    return Calibration(temperature=temperature, before=before, after=after)
