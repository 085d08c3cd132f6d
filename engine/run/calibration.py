"""After training: the temperature that makes a student's probabilities honest, and what it would be for the teacher.

Decided here: it is fitted on the rows that select, and becomes a part of the student's output layer: (W h + b) / T is
(W / T) h + b / T, so whatever reads the folder answers with it: plain transformers, `predict`, an export. The answers
and scores stay what they were. The teacher stays as it is, since it is kept for other runs and students learn from what
it says; its temperature is a figure of the record alone.
"""

from collections.abc import Mapping

import numpy as np
from transformers import PreTrainedModel

from engine.evaluation.inference import encode_held_out, logits_of
from engine.evaluation.scores import calibration_error, logits_of_rows
from engine.evaluation.temperature import fitted_temperature
from engine.models.output import divide_outputs
from engine.run.folder import Run
from engine.run.result import Calibration
from engine.run.teacher import Teacher
from engine.tokens.examples import Encoded

NO_LAYER = "the probabilities are not calibrated: the student's head has no single output layer that could hold it"


def calibrate(
    run: Run, teacher: Teacher | None, student: PreTrainedModel, held_out: Mapping[str, Encoded]
) -> tuple[dict[str, Calibration], list[str]]:
    """Calibrates the student of a run, in place, where that was asked for.

    Returns:
        The record's `calibration`, and a warning where the student cannot be calibrated.

    Args:
        held_out: Through the student's tokenizer.
    """
    plan, found = run.plan, {}
    if not plan.pipeline.training.calibrate:
        return {}, []
    with run.stage("calibration"):
        if teacher is not None:
            seen = encode_held_out(plan.task, teacher.tokenizer, plan.pipeline.training)
            found["teacher"] = _fitted(run, _logits(run, teacher.model, seen))
        own = _fitted(run, _logits(run, student, held_out))
        if not divide_outputs(student, plan.task.outputs, own.temperature):
            return found, [NO_LAYER]
        return found | {"student": own}, []


def _logits(run: Run, model: PreTrainedModel, held_out: Mapping[str, Encoded]) -> dict[str, np.ndarray]:
    """Of the set that selects and of the one that is reported, each (n, C)."""
    task, machine = run.plan.task, run.machine
    wanted = dict.fromkeys((next(iter(task.validation)), task.split))
    accelerator, reporter = machine.accelerator, machine.reporter
    answered = {name: logits_of(model, held_out[name], task.kind, accelerator, reporter) for name in wanted}
    return {name: np.stack([*logits_of_rows(held_out[name], logits)]) for name, logits in answered.items()}


def _fitted(run: Run, logits: Mapping[str, np.ndarray]) -> Calibration:
    """The temperature of the first set, and what it changes on the last one."""
    task = run.plan.task
    selects, split = next(iter(logits)), task.split
    temperature = fitted_temperature(logits[selects], task.held_out[selects]["label"][:])
    rows = task.held_out[split]
    before, after = (calibration_error(task, rows, [*(logits[split] / each)]) or 0.0 for each in (1.0, temperature))
    return Calibration(temperature=temperature, before=before, after=after)
