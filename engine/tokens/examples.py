"""One split seen through one tokenizer: from rows of text to padded tensors.

Decided here: how examples are stored (flat numpy arrays with offsets), how a batch is padded, and where labels stand.
A word's label stands at the first token that begins inside the word; the label of a question is the first and last
token of its first answer.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.base.errors import counted
from engine.base.mapped import Growing, mapped_array
from engine.data.task import KINDS, LABELLED, NO_UNIT, Unit, numbers_in
from engine.tokens.ragged import NO_LABEL, Ids, Ragged, offsets_of
from engine.tokens.tokenise import CHUNK, FIRST, SECOND, in_chunks, reads_windows, tokenise
from engine.tokens.windows import Windows, answer_spans, answer_tokens, context_spans

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from engine.data.task import Task, TaskKind

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Tensors that a tokenizer may give for a model."""
MULTIPLE = 8  # batches are padded to a multiple of it


class Spans(NamedTuple):
    """Where the tokens of a batch come from; each (B, N)."""

    starts: np.ndarray  # first character within the token's text, 0 for special tokens
    ends: np.ndarray  # one behind the last character, 0 for special tokens
    segments: np.ndarray  # which text, or the special tokens around them (engine.tokens.tokenise); −1 for padding


@dataclass(frozen=True, eq=False)
class Encoded:
    """One split through one tokenizer. An example is a row, or one window of a row: in question answering, and where
    long texts are read in windows."""

    kind: TaskKind
    source: Dataset
    rows: np.ndarray  # (n,) the row that each example came from
    tokens: Ragged
    types: Ragged | None  # token type ids where the model takes them
    starts: Ragged
    ends: Ragged
    segments: Ragged
    pad: int
    cut: int = 0  # examples whose text was longer than `max_length`
    targets: np.ndarray | None = None  # (n,) class or value, (n, 2) first and last answer token, (n, C) has; else None
    outputs: int = 0  # where a text has several labels: how many there are, C
    unit: Unit = NO_UNIT  # of regression: what the values among them are in
    words: Ragged | None = None  # of tagging: the first token of each word, −1 where it was lost
    tags: Ragged | None = None  # of tagging: the label of each word
    windows: Windows | None = None  # where examples are windows: the piece of context, or text, in each
    labelled: np.ndarray | None = None  # (n,) whether an example has a label; None where all have, or none has

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) tokens of each example, special ones included."""
        return self.tokens.lengths

    def padded_length(self, ids: Ids) -> int:
        """N to which a batch is padded: its longest example, rounded up to a `MULTIPLE`."""
        return int(-(-self.lengths[np.asarray(ids, dtype=np.int64)].max(initial=1) // MULTIPLE) * MULTIPLE)

    def inputs(self, ids: Ids, length: int | None = None, accepted: Container[str] | None = None) -> dict[str, Tensor]:
        """The `INPUTS`, the last one where the tokenizer gives it; of these the `accepted`.

        Each is (B, N) int64, where N is `padded_length(ids)` unless `length` is given.
        """
        width = length or self.padded_length(ids)
        tokens = self.tokens.padded(ids, width, fill=-1)
        mask = tokens >= 0
        arrays = {"input_ids": np.where(mask, tokens, self.pad), "attention_mask": mask.astype(np.int64)}
        if self.types is not None:
            arrays["token_type_ids"] = self.types.padded(ids, width)
        return {k: torch.from_numpy(array) for k, array in arrays.items() if accepted is None or k in accepted}

    def context_tokens(self, example: int) -> np.ndarray:
        """Of question answering: the positions of an example's tokens that are the context's."""
        return np.flatnonzero(self.segments[example] == SECOND)

    def labels(self, ids: Ids) -> Tensor:
        """The gold labels of these examples.

        Shapes:
            Returns: classification (B,) int64; regression (B,) float32, in `unit`; tagging (B, N) int64 with `NO_LABEL`
                at tokens without one; question answering (B, 2) int64, first and last token of the answer, 0, 0 if it
                is absent; multi-label (B, C) float32, 1 where an example has a label.

        Raises:
            ValueError: These rows came without labels.
        """
        if self.targets is not None:
            found = torch.from_numpy(self.targets[np.asarray(ids, dtype=np.int64)])
            return found.float() if self.kind == "multi_label" else found
        if self.words is None or self.tags is None:
            raise ValueError("these rows have no labels")
        labels = np.full((len(ids), self.padded_length(ids)), NO_LABEL, dtype=np.int64)
        positions = self.words.padded(ids, fill=-1)
        example, word = np.nonzero(positions >= 0)
        labels[example, positions[example, word]] = self.tags.padded(ids)[example, word]
        return torch.from_numpy(labels)

    def have_labels(self, ids: Ids) -> Tensor | None:
        """(B,) whether these examples have labels; those of the others mean nothing. None where all have."""
        return None if self.labelled is None else torch.from_numpy(self.labelled[np.asarray(ids, dtype=np.int64)])

    def label_count(self, ids: Ids) -> int:
        """How many labels these examples have: labelled tokens for tagging, otherwise examples."""
        return len(ids) if self.words is None else int((self.words.padded(ids, fill=-1) >= 0).sum())

    def spans(self, ids: Ids, width: int | None = None) -> Spans:
        """Where the tokens of these examples come from, padded to `width` (their longest)."""
        starts, ends = self.starts.padded(ids, width), self.ends.padded(ids, width)
        return Spans(starts, ends, self.segments.padded(ids, width, fill=-1))


def cut_in_words(examples: Encoded, task: Task, max_length: int, most: int | None, asked: bool = False) -> list[str]:
    """How many training texts are cut, a sentence that says how to read more of them; none where all are read whole.

    Args:
        most: Tokens that the models can read, where something limits them.
        asked: Whether a language model is asked about the texts, which reads no windows.
    """
    if examples.windows is not None and examples.kind != "question_answering":
        return _windows_in_words(np.bincount(examples.rows), max_length)
    if not examples.cut:
        return []
    cut, share = examples.cut, examples.cut / len(examples)
    verb, more = "is" if cut == 1 else "are", 2 * max_length if most is None else most
    what = f"{cut:,} of {counted(len(examples), 'training text')} ({share:.1%}) {verb} longer than {max_length} tokens"
    if more <= max_length:
        if task.kind == "classification" and not (task.pair or task.soft_labels or asked):
            return [
                f"{what}, which is all that the models read at once; --windows 32 reads longer ones piece by piece."
            ]
        return [f"{what}, which is all that the models read."]
    return [f"{what}, and what follows is not read; --set training.max_length={more} reads more."]


def _windows_in_words(counts: np.ndarray, max_length: int) -> list[str]:
    """How many texts are read in windows, of which each has so many; nothing where all fit into one.

    Example:
        >>> _windows_in_words(np.array([1, 2, 3, 1]), 128)
        ['2 of 4 texts are longer than 128 tokens, and are read in 2.5 windows on average.']
    """
    long = counts[counts > 1]
    if not len(long):
        return []
    verb, mean = "is" if len(long) == 1 else "are", long.mean()
    what = f"{len(long):,} of {counted(len(counts), 'text')} {verb} longer than {max_length} tokens"
    return [f"{what}, and {verb} read in {mean:.1f} windows on average."]


def encode(
    rows: Dataset,
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    window_overlap: int | None = None,
    windows: Windows | None = None,
) -> Encoded:
    """Tokenises rows of a task; rows without label columns give examples without labels, and a column `LABELLED`
    says which of them have some.

    Args:
        max_length: Tokens of one example, special ones included; what is longer is truncated, or cut into windows, of
            which neighbours share `window_overlap` tokens: in question answering, and in classification where given.
        windows: Of a first tokenizer, where this is a second one, to get the same examples.

    Raises:
        InputError: The tokenizer knows no character offsets.
    """
    flat = tokenise(rows, task, tokenizer, max_length, window_overlap, windows)
    names, offsets = ["tokens", "types", "starts", "ends", "segments"], offsets_of(flat.lengths)
    ragged: dict[str, Any] = {name: Ragged(getattr(flat, name), offsets) for name in names}
    if "token_type_ids" not in tokenizer.model_input_names:
        ragged["types"] = None
    pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, 0)
    pad = next(token for token in pads if token is not None)
    cut, of_rows = int(flat.cut.sum()), mapped_array(flat.rows.astype(np.int32))  # signed, as one counts with them
    outputs = task.outputs if KINDS[task.kind].independent else 0
    encoded = Encoded(task.kind, rows, of_rows, pad=pad, cut=cut, unit=task.unit, outputs=outputs, **ragged)
    if task.kind == "classification" and (windows is not None or reads_windows(task.kind, window_overlap)):
        encoded = replace(encoded, windows=windows or _windows_of(encoded, FIRST))
    encoded = _LABELLED.get(task.kind, _with_targets)(encoded, windows)
    if LABELLED not in rows.column_names:
        return encoded
    return replace(encoded, labelled=mapped_array(numbers_in(rows, LABELLED)[encoded.rows]))


def _with_targets(encoded: Encoded, _: Windows | None) -> Encoded:
    if "label" not in encoded.source.column_names:
        return encoded
    labels = numbers_in(encoded.source, "label")
    if encoded.kind == "regression":
        targets = encoded.unit.inside(labels.astype(np.float64)).astype(np.float32)
    else:
        targets = labels.astype(np.int64)
    if encoded.windows is not None:
        targets = targets[encoded.rows]
    return replace(encoded, targets=mapped_array(targets))


def _with_words(encoded: Encoded, _: Windows | None) -> Encoded:
    """The first token that begins in each word, and the words' tags."""
    labelled = "tags" in encoded.source.column_names
    first, tags, counts = Growing(), Growing(), Growing()
    for begin, (words, *given) in in_chunks(encoded.source, ["tokens", *["tags"] * labelled]):
        of_rows = np.array([len(row) for row in words], dtype=np.int64)
        counts.append(of_rows)
        first.append(_first_tokens(encoded, begin, words, of_rows))
        for rows in given:
            tags.append(np.array([tag for row in rows for tag in row], dtype=np.int64))
    offsets = offsets_of(counts.whole())
    found, known = (Ragged(each.whole(), offsets) for each in (first, tags))
    return replace(encoded, words=found, tags=known if labelled else None)


def _first_tokens(encoded: Encoded, begin: int, words: list[list[str]], counts: np.ndarray) -> np.ndarray:
    """For each word of some rows, from `begin` on, the first token that begins in it, −1 where there is none."""
    if not counts.any():
        return np.zeros(0, dtype=np.int64)
    sizes = np.array([len(word) for row in words for word in row], dtype=np.int64)
    indents = np.array([len(word) - len(word.lstrip() or word) for row in words for word in row], dtype=np.int64)
    word_starts = np.cumsum(sizes + 1) - sizes - 1  # all sentences one behind the other
    row_starts = np.concatenate([word_starts, [sizes.sum() + len(sizes)]])[np.cumsum(counts) - counts]
    lengths = encoded.lengths[begin : begin + len(words)]
    here = slice(*encoded.tokens.offsets[[begin, begin + len(words)]])
    position = np.arange(here.stop - here.start) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    starts = encoded.starts.values[here] + np.repeat(row_starts, lengths)
    owner = np.searchsorted(word_starts, starts, side="right") - 1
    inside = (starts >= (word_starts + indents)[owner]) & (starts < (word_starts + sizes)[owner])
    begins = np.flatnonzero((encoded.segments.values[here] == FIRST) & inside)
    first = np.full(len(sizes), -1, dtype=np.int64)
    first[owner[begins][::-1]] = position[begins][::-1]  # the last one written is the first in the text
    return first


def _with_answers(encoded: Encoded, windows: Windows | None) -> Encoded:
    """What each example sees of the context, and where the answer stands in it."""
    source, n = encoded.source, len(encoded)
    windows = windows or _windows_of(encoded, SECOND)
    answers = None
    if "answers" in source.column_names:
        parts = [answer_spans(part) for _, (part,) in in_chunks(source, ["answers"])]
        answers = np.concatenate([np.zeros((0, 2), dtype=np.int64), *parts])
    if answers is None:
        return replace(encoded, windows=windows)
    targets = np.zeros((n, 2), dtype=np.int64)
    for begin in range(0, n, CHUNK):
        here = np.arange(begin, min(begin + CHUNK, n))
        tokens = encoded.spans(here)
        inside = tokens.segments == SECOND
        targets[here] = answer_tokens(inside, tokens.starts, tokens.ends, answers[encoded.rows[here]])
    return replace(encoded, windows=windows, targets=targets)


def _windows_of(encoded: Encoded, segment: int) -> Windows:
    """The piece of the text in a segment that each example sees."""
    spans = np.zeros((len(encoded), 2), dtype=np.int64)
    for begin in range(0, len(encoded), CHUNK):
        here = np.arange(begin, min(begin + CHUNK, len(encoded)))
        tokens = encoded.spans(here)
        spans[here] = np.stack(context_spans(tokens.segments == segment, tokens.starts, tokens.ends), axis=1)
    return Windows(encoded.rows, spans[:, 0], spans[:, 1])


def _with_sets(encoded: Encoded, _: Windows | None) -> Encoded:
    """For each example and label whether it has it, a byte each."""
    if "label" not in encoded.source.column_names:
        return encoded
    marks = Growing()
    for _begin, (sets,) in in_chunks(encoded.source, ["label"]):
        piece = np.zeros((len(sets), encoded.outputs), dtype=np.uint8)
        for row, labels in enumerate(sets):
            piece[row, labels] = 1
        marks.append(piece)
    return replace(encoded, targets=marks.whole().reshape(len(encoded), encoded.outputs))


_LABELLED = {"tagging": _with_words, "question_answering": _with_answers, "multi_label": _with_sets}
