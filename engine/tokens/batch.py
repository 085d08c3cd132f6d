"""What a model is fed in one forward pass of training."""

from __future__ import annotations

import copyreg
import pickle
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import recursively_apply, send_to_device
from torch import Tensor

from engine.tokens.ragged import NO_LABEL

if TYPE_CHECKING:
    from engine.pipeline.training import Weights


@dataclass
class Batch:
    """The part of a step that one process computes in one forward pass."""

    inputs: dict[str, Tensor]  # (B, N) for the student
    labels: Tensor  # as in `Encoded.labels`; of mixed examples as in `engine.augment.mixup.mixed_targets`
    fetched: Any = None  # the host's part of the teacher signals; None without a teacher
    alignment: Tensor | None = None  # (B, N, N of the teacher); None where the tokenizers agree
    label_alignment: Tensor | None = None  # of the logits of tagging, where they are paired word by word
    totals: dict[str, Any] = field(default_factory=dict)  # unit → count over the step, all passes and processes
    team: Any = None  # the host's part of a team's signals; None with one teacher
    augmented: bool = False
    labelled: Tensor | None = None  # (B,) whether an example has a label; None where all have
    kept: bool = False  # whether it was made, and the teacher asked about it, for another training
    weights: Weights | None = None  # of the terms in its step; None: the pipeline's, which never change

    @property
    def inside(self) -> bool:
        """Whether anything is learned from hidden states or attention."""
        return not self.augmented and (self.weights is None or self.weights.intermediate > 0)

    def to(self, device: torch.device) -> Batch:
        """The same on the training device, without the teachers' part, which moves when it is viewed."""
        return Batch(**send_to_device(vars(self), device, non_blocking=True, skip_keys=["fetched", "team"]))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which a GPU copies without waiting."""
        parts = recursively_apply(
            lambda part: part.pin_memory(), vars(self), test_type=lambda part: hasattr(part, "pin_memory")
        )
        return Batch(**parts)


def label_weights(labels: Tensor) -> Tensor:
    """How much of a label each token of tagged examples has: 1 or 0, of mixed examples something between.

    Shapes: labels (B, N), or of mixed examples distributions (B, N, C). Returns: (B, N) float32.

    Example:
        >>> label_weights(torch.tensor([[2, NO_LABEL]])), label_weights(torch.tensor([[[0.0, 0.25], [0.5, 0.5]]]))
        (tensor([[1., 0.]]), tensor([[0.2500, 1.0000]]))
    """
    return labels.sum(-1) if labels.ndim == 3 else (labels != NO_LABEL).float()


def packed(batches: list[Batch]) -> bytes:
    """Batches as bytes that `pickle.loads` reads, for another process."""
    buffer = BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    # As they are, tensors would each take a file of shared memory, and as long as making them.
    pickler.dispatch_table = copyreg.dispatch_table | {Tensor: lambda each: (torch.from_numpy, (each.numpy(),))}
    pickler.dump(batches)
    return buffer.getvalue()
