"""The rows of a word embedding that a training uses, which are all it trains.

Of a vocabulary of tens of thousands a dataset uses a few thousand tokens. The others get no gradient, so AdamW does
nothing to their rows but let them decay; yet gradients, their norm and the optimiser's means would take time and memory
for all. What comes out is the same within the rounding of float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.training.optimiser import schedule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.pipeline.training import Training
    from engine.tokens.examples import Encoded
    from engine.training.batches import TrainingData

MOST = 0.75  # share of the rows; of more, too little would be left out
CHUNK = 1 << 20  # tokens that are looked at together


class UsedRows(nn.Module):
    """Some rows of a word embedding, in its place. Other tokens must not be looked up."""

    row_of: Tensor

    def __init__(self, whole: nn.Embedding, ids: Tensor):
        """The rows `ids` (U,) of the `whole`, which stays as it is and is no part of the model meanwhile."""
        super().__init__()
        self.ids, self._whole = ids, (whole,)  # a module in a tuple is none of torch's
        row_of = torch.zeros(whole.num_embeddings, dtype=torch.int64)
        row_of[ids] = torch.arange(len(ids))
        self.padding = None if whole.padding_idx is None else int(row_of[whole.padding_idx])
        self.register_buffer("row_of", row_of.to(whole.weight.device), persistent=False)
        self.weight = nn.Parameter(whole.weight.detach()[ids])

    def forward(self, tokens: Tensor) -> Tensor:
        """(…) tokens of the vocabulary → (…, E)."""
        return F.embedding(self.row_of[tokens], self.weight, self.padding)

    @property
    def whole(self) -> nn.Embedding:
        """The embedding as it was before the training."""
        return self._whole[0]

    @torch.no_grad()
    def trained(self, decay: float) -> nn.Embedding:
        """All rows as they are now, those that are not used being `decay` of what they were."""
        rows = self.whole.weight.detach() * decay
        rows[self.ids] = self.weight.detach().to(rows.device)
        return nn.Embedding.from_pretrained(rows, padding_idx=self.whole.padding_idx)


def use_rows(student: PreTrainedModel, data: TrainingData, held_out: Encoded) -> None:
    """Leaves a student, in place, the rows of its word embedding that these examples use, until they are restored.

    Nothing changes where they are many or not known yet, as those of augmented texts, or where the model uses its
    embedding for anything else.
    """
    embedding = _embedding(student)
    if type(embedding) is not nn.Embedding or embedding.max_norm is not None or embedding.sparse or data.augmenter:
        return
    learned = [each for _, each in student.named_parameters(remove_duplicate=False) if each is embedding.weight]
    used = np.zeros(embedding.num_embeddings, dtype=bool)
    used[[] if embedding.padding_idx is None else embedding.padding_idx] = True
    for each in (data.student, held_out):
        used[each.pad] = True
        for begin in range(0, len(each.tokens.values), CHUNK):
            used[each.tokens.values[begin : begin + CHUNK]] = True
    if len(learned) == 1 and embedding.weight.requires_grad and used.sum() <= MOST * len(used):
        student.set_input_embeddings(UsedRows(embedding, torch.from_numpy(np.flatnonzero(used))))


@contextmanager
def all_rows(student: PreTrainedModel, decay: float) -> Iterator[None]:
    """Gives a student all rows of its embedding, as a training of all would have left them, to be saved."""
    rows = _embedding(student)
    if not isinstance(rows, UsedRows):
        yield
        return
    student.set_input_embeddings(rows.trained(decay))
    try:
        yield
    finally:
        student.set_input_embeddings(rows)


def restore_rows(student: PreTrainedModel) -> None:
    """Gives a student the embedding back that it had before `use_rows`, with the rows as they were then."""
    rows = _embedding(student)
    if isinstance(rows, UsedRows):
        student.set_input_embeddings(rows.whole)


def _embedding(student: PreTrainedModel) -> nn.Module | None:
    try:
        return student.get_input_embeddings()
    except NotImplementedError:  # transformers does not know where this model has it
        return None


def left_by_decay(training: Training, steps: int, total: int) -> float:
    """What weight decay leaves, after the first `steps` of `total`, of a weight that gets no gradient."""
    rate = training.weight_decay * (training.learning_rate or 0.0)
    return math.prod(1 - rate * schedule(step, total, training.warmup) for step in range(steps))
