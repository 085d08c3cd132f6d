"""How much memory a model's weights take, and whether they can be held in less of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.errors import InputError, Problem
from engine.base.hub import local_snapshot
from engine.models.files import weight_files
from engine.models.held import BY_LIBRARY, SMALLER, has_library
from engine.models.names import Scratch

if TYPE_CHECKING:
    from engine.base.options import FineTuning, RunOptions
    from engine.models.start import Start

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


NEEDS_FLOAT32 = {
    "int8_teacher": "it makes 8-bit integers of weights in float32 while the teacher answers",
    "shard_teacher": "pieces have one type of numbers, and LoRA's matrices another than weights in fewer bits",
}
"""Option → why the teacher's weights have to be held in float32 with it."""


def check_held(bits: str, options: RunOptions) -> None:
    """Raises an `InputError` where an option does not go with weights in fewer bits; empty: they are in float32."""
    for name, what in NEEDS_FLOAT32.items():
        if bits and getattr(options, name):
            option = "--" + name.replace("_", "-")
            raise InputError.of(option, what, f"--teacher-weights {bits}", (), "Leave one of both out.")
