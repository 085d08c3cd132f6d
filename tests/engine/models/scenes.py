"""Inputs of tiny models, and students that start from a teacher, on which the tests of models agree."""

from __future__ import annotations

from pathlib import Path

from engine.base.machine import machine_for
from engine.base.options import RunOptions
from engine.models.names import parse_model
from engine.models.start import Start, begin, start_of
from engine.tokens.examples import encode
from tests.tokenizers import wordpiece
from tests.toys import ROWS


def starts(teacher: str, student: str) -> tuple[Start, Start]:
    """What two models start as that are named as on the command line."""
    of_teacher = start_of(parse_model(teacher, "teacher"), "teacher")
    return of_teacher, start_of(parse_model(student, "student"), "student", of_teacher)


def started(teacher, tokenizer, student: str, task, folder: Path, seed: int = 0):
    """The student that starts from a teacher's model and tokenizer, and its own tokenizer."""
    machine = machine_for(RunOptions(device="cpu", precision="float32"))
    return begin(starts(str(folder), student)[1], task, seed, machine, (teacher, tokenizer))


KINDS = [name for name in ROWS if name != "pair"]


def batch(task, tokenizer=None, ids=(0, 1, 2)):
    encoded = encode(task.train, task, tokenizer or wordpiece(), 32, 8 if task.name.endswith("ing") else None)
    return encoded.inputs(ids)
