"""Tokens of text with the characters they came from, for any fast tokenizer.

Decided here: everything goes through plain text with character offsets, so that one way serves
every task and two tokenizers can be compared. Words of a tagged sentence are joined by one space.
Spans carry no whitespace at their ends (byte-level and SentencePiece tokens bring their leading
space along), unless the token is nothing but whitespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from engine.base.errors import InputError
from engine.base.mapped import Growing, count_read
from engine.data.task import KINDS
from engine.tokens.prompt import prompt_tokens
from engine.tokens.windows import Windows, encode_windows

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from engine.data.task import Task, TaskKind

CHUNK = 1024  # examples that are worked on at once
BEFORE, FIRST, BETWEEN, SECOND, AFTER = range(5)
"""Segments of an example: special tokens before the texts, the first text, special ones between them, …"""
_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])  # U+3000 is the last whitespace


class Flat(NamedTuple):
    """Tokenised examples, one behind the other; those not marked (n,) of the length of all tokens."""

    rows: np.ndarray  # (n,) the row that each example came from
    lengths: np.ndarray  # (n,) its number of tokens
    tokens: np.ndarray
    types: np.ndarray  # token type ids
    starts: np.ndarray  # characters within the token's text; 0 for special tokens
    ends: np.ndarray
    segments: np.ndarray  # `BEFORE`, `FIRST`, `BETWEEN`, `SECOND` or `AFTER`
    cut: np.ndarray  # (n,) whether its text goes on behind its tokens; of question answering in no window


def tokenise(
    rows: Dataset,
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    window_overlap: int | None = None,
    windows: Windows | None = None,
) -> Flat:
    """All rows of a task through a tokenizer; arguments as in `engine.tokens.examples.encode`.

    Raises:
        InputError: The tokenizer knows no character offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        what = "has no fast version, and only those give character offsets"
        raise InputError.of("tokenizer", what, type(tokenizer).__name__)
    with _without_limits(tokenizer.backend_tokenizer) as backend:
        if windows is not None:
            chunks = _read_windows(backend, rows, task, max_length, windows)
        elif reads_windows(task.kind, window_overlap):
            chunks = _read_in_windows(backend, rows, task, max_length, window_overlap or 0)
        else:
            chunks = _read_texts(backend, rows, task, max_length + prompt_tokens(tokenizer))
        return _joined_flat(chunks)


def reads_windows(kind: TaskKind, window_overlap: int | None) -> bool:
    """Whether rows of such a task are read in windows, which share so many tokens: contexts always, texts on demand."""
    return kind == "question_answering" or (kind == "classification" and window_overlap is not None)


def _joined_flat(chunks: Iterable[Flat]) -> Flat:
    """Examples one behind the other, each array in the smallest type that holds it."""
    columns = [Growing() for _ in Flat._fields]
    for chunk in chunks:
        for column, values in zip(columns, chunk, strict=True):
            column.append(values)
    return Flat(*(column.whole() for column in columns))


def in_chunks(rows: Dataset, columns: list[str]) -> Iterator[tuple[int, list[list[Any]]]]:
    """The first row of each chunk, and the cells of some columns as Python has them."""
    plain = rows.select_columns(columns)
    for begin in range(0, len(rows), CHUNK):
        cells = list(plain[begin : begin + CHUNK].values())
        yield begin, cells
        count_read(sum(len(cell) for column in cells for cell in column))


@contextmanager
def _without_limits(backend: Tokenizer) -> Iterator[Tokenizer]:
    """The tokenizer without truncation and padding, which come back afterwards."""
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        yield backend
    finally:
        backend.enable_truncation(**truncation) if truncation else backend.no_truncation()
        backend.enable_padding(**padding) if padding else backend.no_padding()


def _read_texts(backend: Tokenizer, rows: Dataset, task: Task, max_length: int) -> Iterator[Flat]:
    """One example a row: one text, two texts, or words joined by spaces."""
    columns = ["tokens"] if task.kind == "tagging" else ["text", "text_pair"][: 1 + task.pair]
    backend.enable_truncation(max_length, strategy="longest_first")
    edges = _template(backend, task.pair)
    for begin, (first, *second) in in_chunks(rows, columns):
        if task.kind == "tagging":
            first = [" ".join(words) for words in first]
        encodings = backend.encode_batch(list(zip(first, *second, strict=True)) if second else first)
        flat = _flatten(encodings, np.arange(len(first)), first, *second, edges=edges, begin=begin)
        yield flat._replace(cut=np.array([len(each.overflowing) > 0 for each in encodings], np.int64))


def _read_in_windows(backend: Tokenizer, rows: Dataset, task: Task, max_length: int, overlap: int) -> Iterator[Flat]:
    """Windows of question and context, or of a text, some to each row."""
    columns = list(KINDS[task.kind].texts)
    edges = _template(backend, pair=len(columns) == 2)
    for begin, (*questions, contexts) in in_chunks(rows, columns):
        windows = encode_windows(backend, next(iter(questions), None), contexts, max_length, overlap)
        text_of = np.repeat(np.arange(len(windows)), [len(each) for each in windows])
        encodings = list(chain.from_iterable(windows))
        yield _flatten(encodings, text_of, *questions, contexts, edges=edges, begin=begin)


def _read_windows(backend: Tokenizer, rows: Dataset, task: Task, max_length: int, windows: Windows) -> Iterator[Flat]:
    """Given windows: one example for each, whatever its number of tokens here."""
    *beside, whole = KINDS[task.kind].texts
    plain = rows.select_columns([*beside, whole])
    edges, cut = _template(backend, pair=bool(beside)), SECOND if beside else FIRST
    for begin in range(0, len(windows), CHUNK):
        here = slice(begin, begin + CHUNK)
        low = int(windows.rows[here][0])
        chunk = plain[low : int(windows.rows[here][-1]) + 1]
        cuts = list(zip(windows.rows[here] - low, windows.starts[here], windows.ends[here], strict=True))
        questions = [[chunk[name][row] for row, _, _ in cuts] for name in beside]
        contexts = [chunk[whole][row][start:end] for row, start, end in cuts]
        pieces = encode_windows(backend, next(iter(questions), None), contexts, max_length, 0)
        flat = _flatten([each[0] for each in pieces], np.arange(len(cuts)), *questions, contexts, edges=edges)
        shift = np.repeat(windows.starts[here], flat.lengths) * (flat.segments == cut)
        yield flat._replace(rows=windows.rows[here], starts=flat.starts + shift, ends=flat.ends + shift)


def _template(backend: Tokenizer, pair: bool) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after the texts."""
    sequences = backend.encode("a", "a" if pair else None).sequence_ids
    texts = [index for index, sequence in enumerate(sequences) if sequence is not None]
    return (texts[0], len(sequences) - 1 - texts[-1]) if texts else (len(sequences), 0)


def _flatten(
    encodings: Sequence[Encoding], text_of: np.ndarray, *texts: Sequence[str], edges: tuple[int, int], begin: int = 0
) -> Flat:
    """The arrays of some examples, whose texts are those from row `begin` on.

    Args:
        text_of: (n,) index into `texts` of each example.
        texts: The first texts, and the second ones where there are pairs.
        edges: Special tokens before and after the texts.
    """
    lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
    tokens, types = _joined(each.ids for each in encodings), _joined(each.type_ids for each in encodings)
    offsets = _joined(span for each in encodings for span in each.offsets).reshape(-1, 2)
    sequences = chain.from_iterable(each.sequence_ids for each in encodings)
    text = np.array([-1 if sequence is None else sequence for sequence in sequences], np.int64)
    from_start = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    from_end = np.repeat(lengths, lengths) - 1 - from_start
    cases = [text >= 0, from_start < edges[0], from_end < edges[1]]
    segments = np.select(cases, [2 * text + 1, BEFORE, AFTER], BETWEEN)
    source = np.repeat(text_of, lengths) + len(texts[0]) * (text > 0)
    starts, ends = _trimmed(offsets[:, 0], offsets[:, 1], source, list(chain.from_iterable(texts)))
    starts, ends = np.where(text >= 0, starts, 0), np.where(text >= 0, ends, 0)
    return Flat(begin + text_of, lengths, tokens, types, starts, ends, segments, np.zeros_like(lengths))


def _joined(lists: Iterable[Iterable[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(lists), np.int64)


def _trimmed(
    starts: np.ndarray, ends: np.ndarray, source: np.ndarray, texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Spans without whitespace at their ends; a span of nothing else stays as it is."""
    base = np.cumsum([0, *map(len, texts)])[source]
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    solid = np.flatnonzero(~_SPACE[np.minimum(characters, len(_SPACE) - 1)])
    low, high = np.searchsorted(solid, base + starts), np.searchsorted(solid, base + ends)
    has_solid = np.flatnonzero(high > low)
    starts, ends = starts.copy(), ends.copy()
    starts[has_solid] = solid[low[has_solid]] - base[has_solid]
    ends[has_solid] = solid[high[has_solid] - 1] + 1 - base[has_solid]
    return starts, ends
