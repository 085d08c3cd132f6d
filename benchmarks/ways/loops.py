"""`plain`, the loop that anybody writes, and `limit`, the student alone, whose teacher has answered beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import cycle, islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from workload import RATE, TEMPERATURE, Turns, Workload, asked

KEPT = 8  # batches whose answers lie in memory: more than a processor's cache holds

Answers = tuple[Tensor, list[Tensor]]
"""A teacher's logits (B, C) and the hidden states (B, N, E) of its mapped layers."""


@torch.no_grad()
def answers(teacher: PreTrainedModel, batch: dict[str, Tensor], workload: Workload) -> Answers:
    """What the teacher says of a batch."""
    output = teacher(**batch)
    return output.logits, [output.hidden_states[layer] for _, layer in workload.pairs]


def loss(student: PreTrainedModel, projections: nn.ModuleList, batch: dict, said: Answers, pairs: list) -> Tensor:
    """Cross-entropy of the logits at a temperature, and mean squared error of the projected hidden states."""
    output, (logits, hidden) = student(**batch), said
    target = F.softmax(logits / TEMPERATURE, -1)
    total = -(target * F.log_softmax(output.logits.float() / TEMPERATURE, -1)).sum(-1).mean() * TEMPERATURE**2
    for projection, (layer, _), states in zip(projections, pairs, hidden, strict=True):
        total = total + F.mse_loss(projection(output.hidden_states[layer]).float(), states)
    return total


def with_answers(workload: Workload, teacher: PreTrainedModel, limit: bool) -> Iterator[tuple[dict, Answers]]:
    """Batches with what the teacher says of them; for the `limit` said beforehand, again and again the same."""
    pairs = ((batch, answers(teacher, batch, workload)) for batch in workload.batches())
    return cycle(list(islice(pairs, KEPT))) if limit else pairs


def main() -> None:
    """Takes steps when it is asked to."""
    way, workload = asked()
    limit = way == "limit"
    teacher, student = workload.models()
    batches = with_answers(workload, teacher, limit)
    if limit:
        del teacher
        student.set_attn_implementation("eager")  # with dropout faster on a CPU, as the engine knows
    widths = workload.student[1], workload.teacher[1]
    projections = nn.ModuleList(nn.Linear(*widths) for _ in workload.pairs)
    optimizer = torch.optim.AdamW([*student.parameters(), *projections.parameters()], lr=RATE, fused=limit)
    half = workload.precision == "bf16"
    turns = Turns(workload)
    turns.step()
    for batch, said in batches:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            total = loss(student, projections, batch, said, workload.pairs)
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        turns.step()


if __name__ == "__main__":
    main()
