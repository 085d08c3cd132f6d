"""Whether a run's models fit into memory, and whether their weights can be held in less of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.errors import InputError, Problem
from engine.base.hub import local_snapshot
from engine.base.machine import check_memory, free_on
from engine.models.files import weight_files
from engine.models.held import BY_LIBRARY, SMALLER, has_library
from engine.models.names import Scratch

if TYPE_CHECKING:
    from engine.base.machine import Machine
    from engine.base.options import FineTuning
    from engine.models.start import Start
    from engine.run.plan import RunPlan

PLACE = "--teacher-weights"


def weights_of(start: Start) -> int:
    """Bytes of a model's weights at least; as far as they are known without building it."""
    if start.config is None:  # from scratch, or layers of such a one: BERT's layers, in float32
        return 4 * 12 * start.layers * start.width**2
    if not isinstance(start.name, str):
        return 0
    return (
        sum(path.stat().st_size for path in weight_files(local_snapshot(start.name, start.role))) // SMALLER[start.bits]
    )


def check_trains(plan: RunPlan, machine: Machine) -> None:
    """Raises an `InputError` with the numbers where the device's memory cannot hold what trains: four times its
    weights (with gradients and Adam's two means; by LoRA once), and the teacher beside the student."""
    held = next((each.start.bits for each in plan.team if each.start.bits != "float32"), "")
    if held and machine.options.int8_teacher:
        what = "it makes 8-bit integers of weights in float32 while the teacher answers"
        raise InputError.of("--int8-teacher", what, f"{PLACE} {held}", (), "Leave one of both out.")
    free = free_on(machine.device)
    for each in plan.team:
        check_memory("--teacher", (1 if each.fine_tuning.lora else 4) * weights_of(each.start) * each.fine_tune, free)
    beside = weights_of(plan.teacher.start) if plan.teacher else 0
    check_memory("--student", beside + 4 * weights_of(plan.student), free)


def held_problems(start: Start, fine_tune: bool, fine_tuning: FineTuning) -> list[Problem]:
    """Whether a teacher's weights can be held as they are to be, and what is to learn can learn then."""
    problems, bits = [], fine_tuning.weights
    if bits != "float32" and start.role == "teacher" and isinstance(start.name, Scratch):
        what = "this teacher begins with random weights, which have to learn, and do so in float32"
        problems.append(Problem(PLACE, what, bits, ("float32",)))
    if start.bits != "float32" and fine_tune and not fine_tuning.lora:
        what = "weights in so few bits cannot learn: most steps are smaller than what they are rounded to"
        remedy = "--teacher-lora 16 has matrices beside them learn."
        problems.append(Problem(PLACE, what, bits, ("float32",), remedy))
    if start.bits in BY_LIBRARY and not has_library():
        what = "bitsandbytes is not installed; pip install 'autodistiller-nlp[bits]'"
        problems.append(Problem(PLACE, what, bits, ("float32", "bf16")))
    return problems
