"""How a step is cut: neither the pieces nor the processes change which examples it sees."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.forward import Features
from engine.pipeline import Training
from engine.tokens.alignment import align, align_labels
from engine.tokens.examples import encode
from engine.tokens.ragged import NO_LABEL
from engine.training.batches import StepPlan, Stream, TrainingData, examples_in, steps_in_epoch
from tests.conftest import ROOT
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import ROWS, toy_task

ACCEPTED = {"input_ids", "attention_mask", "token_type_ids"}


class Echo:
    """Teacher signals that are the ids of the examples."""

    source = "cached"

    def fetch(self, ids: np.ndarray, inside: bool = True) -> Features:
        return Features(torch.from_numpy(ids.copy()), {}, torch.ones(len(ids), 1))

    def view(self, fetched: Features) -> Features:
        return fetched


def encoded(name: str, tokenizer=None, rows: int = 37):
    task = toy_task(name, rows=rows, held_out=1)
    overlap = 4 if task.kind == "question_answering" else None
    return encode(task.train, task, tokenizer or wordpiece(), 64, overlap)


def plan(data: TrainingData, size: int, accumulation: int, rank: int = 0, processes: int = 1, epoch: int = 0):
    return StepPlan(data, Training(batch_size=size, gradient_accumulation=accumulation), 0, rank, processes, epoch)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_every_cut_sees_the_same_steps(size: int, accumulation: int, processes: int) -> None:
    data = TrainingData(encoded("tagging"), ACCEPTED, Echo())
    plans = [plan(data, size, accumulation, rank, processes) for rank in range(processes)]
    whole = plan(data, size * accumulation, 1)
    assert len(whole) == steps_in_epoch(37, Training(batch_size=size, gradient_accumulation=accumulation))
    assert sorted(np.concatenate(whole.steps).tolist()) == list(range(37))
    for number in range(len(whole)):
        (expected,) = whole[number]
        parts = [batch for each in plans for batch in each[number]]
        assert len({len(each[number]) for each in plans}) == 1  # all processes take as many passes
        counted = [batch for batch in parts if math.isfinite(batch.totals["examples"])]
        assert all(len(batch.labels) <= size for batch in parts)
        seen = torch.cat([batch.fetched.logits for batch in counted])
        assert sorted(seen.tolist()) == sorted(expected.fetched.logits.tolist())
        assert all(batch.totals == expected.totals for batch in counted)
        assert expected.totals["examples"] == len(seen)
        assert expected.totals["tokens"] == sum((batch.labels != NO_LABEL).sum().item() for batch in counted)
        for batch in set(map(id, parts)) - set(map(id, counted)):
            (spare,) = [each for each in parts if id(each) == batch]
            assert set(spare.totals.values()) == {math.inf}


def test_epochs_differ_and_repeat() -> None:
    data = TrainingData(encoded("single"), ACCEPTED, Echo())
    first, again, second = (plan(data, 8, 1, epoch=epoch).steps for epoch in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_training_may_begin_within_an_epoch() -> None:
    data = TrainingData(encoded("single"), ACCEPTED, Echo())
    training = Training(batch_size=4, gradient_accumulation=2)
    place = SimpleNamespace(process_index=0, num_processes=1, device=torch.device("cpu"))
    stream = Stream(data, training, 0, 2, place)
    whole, late = ([[b.fetched.logits.tolist() for b in step] for step in stream.from_step(start)] for start in (0, 7))
    assert len(stream) == len(whole) == 10
    epochs = [plan(data, 4, 2, epoch=epoch) for epoch in (0, 1)]
    assert whole == [[b.fetched.logits.tolist() for b in epoch[number]] for epoch in epochs for number in range(5)]
    assert whole[7:] == late
    assert [*stream.from_step(10)] == []


def test_a_worker_that_is_spawned_can_be_given_the_steps() -> None:
    accelerator = Accelerator(cpu=True)
    data = TrainingData(encoded("single"), ACCEPTED, Echo())
    stream = Stream(data, Training(batch_size=4), 0, 2, accelerator)
    accelerator.prepare(torch.nn.Linear(1000, 1000))  # of which a worker has no need
    for number in (0, 15, 3):
        sent = pickle.dumps(stream)
        assert len(sent) < 1_000_000
        there = pickle.loads(sent)
        assert [b.fetched.logits.tolist() for b in there[number]] == [b.fetched.logits.tolist() for b in stream[number]]


WAITING = """
import multiprocessing
import time
import torch
from engine.tokens.batch import Batch
from engine.training.batches import Stream

class Large(Stream):
    def __init__(self):
        self._on_gpu = False

    def __getitem__(self, number):
        return [Batch({"input_ids": torch.zeros(1_000_000)}, torch.zeros(1), None, None, None, {})]

steps = Large()._from_workers(range(1000), 1)
next(steps)
print(multiprocessing.active_children()[0].pid, flush=True)
time.sleep(600)
"""


def test_a_worker_ends_with_a_parent_that_was_killed() -> None:
    """Also while it waits to hand over what nobody takes any more."""
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
    assert within(60, lambda: not alive(worker))


def alive(process: int) -> bool:
    """Whether it runs; one that ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


def test_the_examples_of_a_step() -> None:
    data = TrainingData(encoded("single"), ACCEPTED, Echo())
    for processes in (1, 3):
        counts = [
            [examples_in(plan(data, 4, 2, rank, processes)[number]) for number in range(5)] for rank in range(processes)
        ]
        assert counts[0] == [len(ids) for ids in plan(data, 4, 2).steps]
        assert all(set(other) <= {0, *counts[0]} for other in counts)


@pytest.mark.parametrize("name", ROWS)
def test_a_batch_holds_what_student_and_objective_take(name: str) -> None:
    student = encoded(name)
    data = TrainingData(student, {"input_ids", "attention_mask"}, Echo())
    ids = np.array([3, 0, 7])
    batch = data.batch(ids, {"examples": 3.0})
    assert batch.inputs.keys() == {"input_ids", "attention_mask"}
    assert torch.equal(batch.inputs["input_ids"], student.inputs(ids)["input_ids"])
    assert torch.equal(batch.labels, student.labels(ids))
    assert batch.fetched.logits.tolist() == [3, 0, 7]
    assert batch.alignment is batch.label_alignment is None
    assert TrainingData(student, ACCEPTED).batch(ids, {}).fetched is None


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("aligned", [True, False])
def test_tokens_are_aligned_where_tokenizers_differ_and_it_matters(name: str, aligned: bool) -> None:
    task = toy_task(name, rows=9, held_out=1)
    student = encoded(name, rows=9)
    windows = student.windows
    teacher = encode(task.train, task, byte_bpe(), 128, None, windows)
    ids = np.array([3, 0, 7])
    batch = TrainingData(student, ACCEPTED, Echo(), teacher, aligned).batch(ids, {})
    if not aligned:
        assert batch.alignment is batch.label_alignment is None
        return
    sizes = batch.inputs["input_ids"].shape[1], teacher.padded_length(ids)
    assert batch.alignment is not None
    assert torch.equal(batch.alignment, align(student, teacher, ids))
    assert batch.alignment.shape == (3, *sizes)
    assert (batch.label_alignment is None) == (name != "tagging")
    if name == "tagging":
        assert torch.equal(batch.label_alignment, align_labels(student, teacher, ids))
        assert not torch.equal(batch.label_alignment, batch.alignment)
