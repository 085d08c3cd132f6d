"""What a model is fed in one forward pass of training."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import torch
from accelerate.utils import recursively_apply, send_to_device
from torch import Tensor


@dataclass
class Batch:
    """The part of a step that one process computes in one forward pass.

    Shapes:
        inputs: tensors (B, N) for the student.
        labels: as in `Encoded.labels`; of mixed examples as in `engine.augment.mixup.mixed_targets`.
        fetched: the host's part of the teacher signals; None without a teacher.
        alignment: (B, N, N of the teacher) or None where the tokenizers agree.
        label_alignment: the same for the logits of tagging, where they are paired word by word.
        totals: unit → count over the whole step, all passes and processes.
        team: the host's part of a team's signals; None with one teacher.
        augmented: whether these are augmented examples.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    fetched: Any = None
    alignment: Tensor | None = None
    label_alignment: Tensor | None = None
    totals: dict[str, float] = field(default_factory=dict)
    team: Any = None
    augmented: bool = False

    def to(self, device: torch.device) -> Batch:
        """The same on the training device, without the teachers' part, which moves when it is viewed."""
        parts = send_to_device(vars(self), device, non_blocking=True, skip_keys=["fetched", "team"])
        return Batch(**parts)

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which a GPU copies without waiting."""
        parts = recursively_apply(lambda part: part.pin_memory(), vars(self), test_type=_can_be_pinned)
        return Batch(**parts)


def _can_be_pinned(part: Any) -> bool:
    return hasattr(part, "pin_memory")


class _Packer(pickle.Pickler):
    """Packs tensors as arrays.

    As they are, they would go through shared memory, one file each, which takes as long as making them.
    """

    def reducer_override(self, value: Any) -> Any:
        return (torch.from_numpy, (value.numpy(),)) if isinstance(value, Tensor) else NotImplemented


def packed(batches: list[Batch]) -> bytes:
    """Batches as bytes that `pickle.loads` reads, for another process."""
    buffer = BytesIO()
    _Packer(buffer, pickle.HIGHEST_PROTOCOL).dump(batches)
    return buffer.getvalue()
