"""A batch moves as a whole, and another process gets it as it was."""

from __future__ import annotations

import pickle

import torch

from engine.tokens.batch import Batch, packed


def test_a_batch_moves_as_a_whole() -> None:
    tensor = torch.ones(2)
    batch = Batch({"input_ids": tensor}, tensor, "fetched", tensor, tensor, {"examples": 2.0})
    moved = batch.to(torch.device("meta"))
    tensors = [*moved.inputs.values(), moved.labels, moved.alignment, moved.label_alignment]
    assert {each.device.type for each in tensors} == {"meta"}
    assert (moved.fetched, moved.totals) == ("fetched", {"examples": 2.0})
    assert Batch({}, tensor, None, None, None, {}).to(torch.device("meta")).alignment is None


class Pinnable:
    """Counts how often it was pinned; what signals and tensors have in common here."""

    def __init__(self, times: int = 0):
        self.times = times

    def pin_memory(self) -> Pinnable:
        return Pinnable(self.times + 1)


def test_every_part_is_pinned_the_teachers_too() -> None:
    part = Pinnable()
    batch = Batch({"input_ids": part}, part, {"logits": part}, part, None, {"tokens": 3.0}, (1, [part]), True)
    pinned = batch.pin_memory()
    parts = [pinned.inputs["input_ids"], pinned.labels, pinned.fetched["logits"], pinned.alignment]
    assert [each.times for each in (*parts, pinned.team[1][0])] == [1] * 5
    assert (pinned.label_alignment, pinned.totals, pinned.team[0]) == (None, {"tokens": 3.0}, 1)
    assert pinned.augmented


def test_another_process_gets_what_was_packed() -> None:
    batch = Batch({"input_ids": torch.arange(6).reshape(2, 3)}, torch.tensor([0.5, 1.0]), totals={"tokens": 4.0})
    (read,) = pickle.loads(packed([batch]))
    assert torch.equal(read.inputs["input_ids"], batch.inputs["input_ids"])
    assert torch.equal(read.labels, batch.labels)
    assert (read.fetched, read.totals) == (None, {"tokens": 4.0})
