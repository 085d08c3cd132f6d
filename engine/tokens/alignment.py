"""Student token → teacher tokens, when the two have different tokenizers.

Decided here: tokens meet where they cover the same characters of the same text, special tokens where they stand in
the same segment; `weights @ teacher` is the teacher as the student's tokens see it. See docs/alignment.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.tokens.tokenise import FIRST, SECOND

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engine.tokens.examples import Encoded, Spans
    from engine.tokens.ragged import Ids


def same_tokenizer(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Whether two tokenizers give a model the same inputs: vocabulary, rules, template and names are equal.

    Truncation and padding do not count. Tokenizers without a fast version cannot be compared; `encode` refuses them.
    """
    return one is other or (one.is_fast and other.is_fast and rules(one) == rules(other))


def rules(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Everything by which a tokenizer with a fast version makes a model's inputs."""
    own = json.loads(tokenizer.backend_tokenizer.to_str())
    return own | {"truncation": None, "padding": None, "inputs": sorted(tokenizer.model_input_names)}


def alignments(student: Encoded, teacher: Encoded | None, ids: Ids) -> tuple[Tensor | None, Tensor | None]:
    """Of all tokens (`align`), and in tagging of the logits (`align_labels`); None where `teacher` is the same."""
    if teacher is None:
        return None, None
    of_labels = align_labels(student, teacher, ids) if student.kind == "tagging" else None
    return align(student, teacher, ids), of_labels


def align(student: Encoded, teacher: Encoded, ids: Ids) -> Tensor:
    """Weights that carry teacher tokens to student tokens.

    Equation: weight(i, j) = 1 / (teacher tokens that overlap i) where i and j overlap, else 0 (docs/alignment.md).

    Shapes: (B, N student, N teacher) float32, each N that of the padded batch. Rows sum to 1; rows of padding, and of
    tokens without a partner in the teacher, are 0.
    """
    own, other = (each.spans(ids, each.padded_length(ids)) for each in (student, teacher))
    size = 1 + max(own.ends.max(initial=0), other.ends.max(initial=0))
    start, end = (edge[:, :, None] for edge in _on_one_line(own, size))
    other_start, other_end = (edge[:, None, :] for edge in _on_one_line(other, size))
    partners = (start < other_end) & (other_start < end)
    counts = np.maximum(np.count_nonzero(partners, axis=2, keepdims=True), 1)
    return torch.from_numpy(np.multiply(partners, 1 / counts, dtype=np.float32))


def _on_one_line(spans: Spans, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends with every segment on its own stretch of one line, `size` characters apart.

    A special token covers one character of its stretch; nothing overlaps padding and tokens without characters.
    """
    special = (spans.segments != FIRST) & (spans.segments != SECOND)
    ends = spans.ends + special
    nowhere = (spans.segments < 0) | (spans.starts >= ends)
    starts = np.where(nowhere, np.iinfo(np.int32).max, spans.starts + spans.segments * size)
    return starts.astype(np.int32), (ends + spans.segments * size).astype(np.int32)


def align_labels(student: Encoded, teacher: Encoded, ids: Ids) -> Tensor:
    """Weights that carry the teacher's logits to the student's tokens: (B, N student, N teacher) float32.

    Tagging: the student's first token of a word sees the teacher's first token of that word, which
    is where both were trained to answer; all other rows are 0. Otherwise as `align`.
    """
    if student.words is None or teacher.words is None:
        return align(student, teacher, ids)
    own, other = (words.padded(ids, fill=-1) for words in (student.words, teacher.words))
    example, word = np.nonzero((own >= 0) & (other >= 0))
    weights = torch.zeros(len(ids), student.padded_length(ids), teacher.padded_length(ids))
    weights[example, own[example, word], other[example, word]] = 1
    return weights
