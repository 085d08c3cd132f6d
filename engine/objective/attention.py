"""Intermediate objectives that compare what a student's attention works on with a teacher's.

Decided here: scores follow from queries and keys, so nothing that grows by the square of a text is kept; models with
other numbers of heads, or other widths, are compared in as many groups as divide both; padding neither asks nor is
asked, and is left out of every mean; everything is computed in float32 at least.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.base.errors import Problem, counted
from engine.base.spec import Spec
from engine.data.task import TaskKind
from engine.models.forward import Features
from engine.objective.hidden import HiddenObjective
from engine.objective.reduction import full_precision, masked_mean
from engine.pipeline.components import MSE, Attention, Relations

Pairs = Sequence[tuple[int, int]]  # student layer → teacher layer
Heads = tuple[int, int]  # of the student's attention and of the teacher's
MOST_RELATION_HEADS, LEAST_RELATION_WIDTH = 48, 8  # MiniLMv2: 48 heads of 8 numbers, of a student 384 wide


def products(rows: Tensor, columns: Tensor, groups: int) -> Tensor:
    """Inner products of all positions with all, in groups of neighbouring numbers: (B, groups, N, N).

    Shapes: rows, columns (B, N, width), where `groups` divides the width.
    """
    with torch.autocast(rows.device.type, enabled=False):
        left, right = (full_precision(each).unflatten(-1, (groups, -1)).transpose(1, 2) for each in (rows, columns))
        return left @ right.mT


def scores(queries: Tensor, keys: Tensor, heads: int, maps: int) -> Tensor:
    """Attention scores before the softmax, as `maps` means over neighbouring heads: (B, maps, N, N).

    Equation: mean over the heads h of a map of q_h · k_h / √(width / heads).

    Shapes: queries, keys (B, N, width), all heads side by side; `maps` divides `heads`.

    Example:
        >>> queries, keys = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[2.0, 4.0]]])
        >>> scores(queries, keys, 2, 2).flatten(), scores(queries, keys, 2, 1).flatten()
        (tensor([ 2., 12.]), tensor([7.]))
    """
    return products(queries, keys, maps) * (maps / heads / math.sqrt(queries.shape[-1] / heads))


def map_distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of scores over maps and pairs of tokens (TinyBERT, Jiao et al. 2020, eq. 7).

    Shapes: student, teacher (B, maps, N, N); mask (B, N), true where a token counts. Returns: (B,).
    """
    counts = mask.unsqueeze(1) & mask.unsqueeze(2)
    squares = (student - teacher).square().mean(1)
    return masked_mean(squares.flatten(1), counts.flatten(1))


def relation_distance(student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Divergence of the student's relations from the teacher's (MiniLMv2, Wang et al. 2021, section 3.1).

    Equation: mean over relation heads a and tokens n of KL(R^teacher_an ‖ R^student_an), with the relations
    R_a = softmax(x_a x_aᵀ / √d) of vectors x cut into heads of d numbers each.

    Shapes: student (B, N, D); teacher (B, N, E), where `heads` divides both widths; mask (B, N). Returns: (B,).
    """
    ours, theirs = (_log_relations(vectors, mask, heads) for vectors in (student, teacher))
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean(1)
    return masked_mean(divergence, mask)


def _log_relations(vectors: Tensor, mask: Tensor, heads: int) -> Tensor:
    """(B, heads, N, N); log softmax over the tokens that count."""
    related = products(vectors, vectors, heads) / math.sqrt(vectors.shape[-1] / heads)
    # The lowest finite number, because minus infinity times a probability of zero is NaN.
    return related.masked_fill(~mask[:, None, None], torch.finfo(related.dtype).min).log_softmax(-1)


class AttentionMaps(nn.Module):
    """Scores of every mapped pair of layers, 1-based, and beside them, where they have weight, their hidden states; of
    embeddings, layer 0, these alone."""

    first_token_only, token_level = False, True
    learning_rate: float | None = None

    def __init__(
        self, spec: Attention, kind: TaskKind, pairs: Pairs, student_width: int, teacher_width: int, heads: Heads
    ):
        super().__init__()
        self.pairs, self.heads, self.maps, self.weight = tuple(pairs), heads, math.gcd(*heads), spec.hidden
        beside = MSE(projection=spec.projection), kind, pairs, student_width, teacher_width
        self.hidden = HiddenObjective(*beside) if spec.hidden > 0 else None
        self.reads = ("query", "key") if self.hidden is None else ("hidden", "query", "key")
        ours, theirs = heads
        who = f"{counted(ours, 'attention head')} of the student and {theirs} of the teacher"
        note = f"{who} are compared as {counted(self.maps, 'map')} of mean scores."
        self.notes: tuple[str, ...] = () if ours == theirs else (note,)

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """One value per pair of layers and sample (pairs, B), position by position and with one mask."""
        ours, theirs = (self._scores(side, heads) for side, heads in zip((student, teacher), self.heads, strict=True))
        nothing = full_precision(student.logits).new_zeros(len(student.mask))
        values = [map_distance(ours[i], theirs[j], student.mask) if i else nothing for i, j in self.pairs]
        beside = 0 if self.hidden is None else self.weight * self.hidden(student, teacher)
        return torch.stack(values) + beside

    def _scores(self, side: Features, heads: int) -> dict[int, Tensor]:
        """Layer → its scores; of each layer once, which may stand in several pairs."""
        queries = {layer: vectors for (name, layer), vectors in side.attention.items() if name == "query"}
        return {layer: scores(each, side.attention["key", layer], heads, self.maps) for layer, each in queries.items()}


class AttentionRelations(nn.Module):
    """Relations among queries, among keys and among values of every mapped pair of layers, 1-based."""

    first_token_only, token_level = False, True
    reads = ("query", "key", "value")
    learning_rate: float | None = None
    notes: tuple[str, ...] = ()

    def __init__(
        self, spec: Relations, kind: TaskKind, pairs: Pairs, student_width: int, teacher_width: int, heads: Heads
    ):
        super().__init__()
        self.pairs, self.relation_heads = tuple(pairs), relation_heads(spec, student_width, teacher_width)

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """One value per pair of layers and sample (pairs, B): the sum over queries, keys and values."""
        found = []
        for i, j in self.pairs:
            vectors = ((student.attention[name, i], teacher.attention[name, j]) for name in self.reads)
            distances = [relation_distance(*each, student.mask, self.relation_heads) for each in vectors]
            found.append(torch.stack(distances).sum(0))
        return torch.stack(found)


def relation_heads(spec: Relations, student_width: int, teacher_width: int) -> int:
    """Into how many heads the vectors of both models are cut.

    Example:
        >>> [relation_heads(Relations(), *widths) for widths in ((384, 768), (312, 768), (64, 256), (30, 77))]
        [48, 24, 8, 1]
    """
    if spec.heads is not None:
        return spec.heads
    most = min(MOST_RELATION_HEADS, min(student_width, teacher_width) // LEAST_RELATION_WIDTH)
    common = math.gcd(student_width, teacher_width)
    return max((heads for heads in range(1, most + 1) if common % heads == 0), default=1)


def check_heads(intermediate: Spec, student_width: int, teacher_width: int) -> list[Problem]:
    """Why models of these widths cannot be compared in the heads that an objective names; empty when they can.

    Example:
        >>> print(*check_heads(Relations(heads=5), 312, 768))
        intermediate.heads: it must divide the widths of student and teacher, 312 and 768; got 5; allowed: 1, 2, 3, 4, \
6, 8, 12, 24
    """
    common = math.gcd(student_width, teacher_width)
    if not isinstance(intermediate, Relations) or intermediate.heads is None or common % intermediate.heads == 0:
        return []
    what = f"it must divide the widths of student and teacher, {student_width} and {teacher_width}"
    allowed = tuple(str(heads) for heads in range(1, common + 1) if common % heads == 0)
    return [Problem("intermediate.heads", what, str(intermediate.heads), allowed)]
