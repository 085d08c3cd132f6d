"""Long contexts of question answering, and long texts that are classified, cut into overlapping windows.

Decided here: a question is never cut below half of the maximum length, only the context moves on from window to
window, and neighbouring windows share at most half of what fits. The windows are made by the first tokenizer (the
student's) and remembered as character spans, so that a second tokenizer can see the same examples in the same order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from engine.base.progress import log


@dataclass(frozen=True, eq=False)
class Windows:
    """Which piece of which row's context, or text, each example holds; each (n,)."""

    rows: np.ndarray  # ascending row indices
    starts: np.ndarray  # first character of the piece within the context
    ends: np.ndarray  # one behind its last character

    def __len__(self) -> int:
        return len(self.rows)


def _cut(backend: Tokenizer, text: str, limit: int) -> str:
    """The longest beginning of `text`, cut behind a token, that has at most `limit` tokens."""
    encoding = backend.encode(text, add_special_tokens=False)
    keep = limit
    # The beginning of a text may have more tokens than it had within the text: shorten until it fits.
    while len(encoding) > limit:
        text = text[: encoding.offsets[keep - 1][1]] if keep else ""
        encoding = backend.encode(text, add_special_tokens=False)
        keep = min(keep, len(encoding)) - 1
    return text


def fit_questions(backend: Tokenizer, questions: Sequence[str], max_length: int) -> tuple[list[str], np.ndarray]:
    """The questions, each at most half of `max_length` long, and their lengths; the backend must not truncate."""
    special = backend.num_special_tokens_to_add(is_pair=True)
    limit = max(1, min(max_length // 2, max_length - special - 1))
    fitting = list(questions)
    lengths = np.array([len(each) for each in backend.encode_batch(fitting, add_special_tokens=False)], int)
    too_long = np.flatnonzero(lengths > limit).tolist()
    for index in too_long:
        fitting[index] = _cut(backend, fitting[index], limit)
        lengths[index] = len(backend.encode(fitting[index], add_special_tokens=False))
    if too_long:
        count = len({questions[index] for index in too_long})
        log.warning("%d question(s) were cut to %d tokens to leave room for the context", count, limit)
    return fitting, lengths


def encode_windows(
    backend: Tokenizer, questions: Sequence[str] | None, contexts: Sequence[str], max_length: int, overlap: int
) -> list[list[Encoding]]:
    """Each question with its context in windows of at most `max_length` tokens, in the order of the context.

    Args:
        backend: Its truncation is changed; the caller restores it.
        questions: None: the contexts are texts of their own.
        overlap: Tokens that neighbouring windows share; less where a long question leaves little room.
    """
    backend.no_truncation()
    if questions is None:
        alone = max_length - backend.num_special_tokens_to_add(is_pair=False)
        backend.enable_truncation(max_length, stride=min(overlap, alone // 2))
        return [[each, *each.overflowing] for each in backend.encode_batch(list(contexts))]
    questions, lengths = fit_questions(backend, questions, max_length)
    room = max_length - backend.num_special_tokens_to_add(is_pair=True) - lengths
    overlaps = np.minimum(overlap, room // 2)
    windows: list[list[Encoding]] = [[] for _ in questions]
    for shared in np.unique(overlaps):  # nearly always one value; the tokenizer takes one per call
        members = np.flatnonzero(overlaps == shared).tolist()
        backend.enable_truncation(max_length, stride=int(shared), strategy="only_second")
        encodings = backend.encode_batch([(questions[i], contexts[i]) for i in members])
        for index, encoding in zip(members, encodings, strict=True):
            windows[index] = [encoding, *encoding.overflowing]
    return windows


def context_spans(inside: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From which to which character each window sees the context, (B,) each; 0 to 0 without a context token.

    Shapes: inside (B, N), true at context tokens; starts, ends (B, N), in characters of the context.
    """
    last = np.where(inside, ends, 0).max(axis=1, initial=0)
    first = np.where(inside, starts, last[:, None]).min(axis=1, initial=np.iinfo(np.int64).max)
    return np.minimum(first, last), last


def answer_spans(answers: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """First and behind-last character of each row's first answer, without outer whitespace: (rows, 2), or −1, −1."""
    spans = np.full((len(answers), 2), -1, dtype=np.int64)
    for row, answer in enumerate(answers):
        if len(answer["text"]) and (text := answer["text"][0]).strip():
            start = answer["answer_start"][0] + len(text) - len(text.lstrip())
            spans[row] = start, start + len(text.strip())
    return spans


def answer_tokens(inside: np.ndarray, starts: np.ndarray, ends: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """First and last token of the answer in each window; 0, 0 where the window lacks some of it.

    Shapes: answers (B, 2) spans of the answers, −1 for none; the others as for `context_spans`. Returns: (B, 2).
    """
    begin, finish = answers[:, :1], answers[:, 1:]
    window_start, window_end = context_spans(inside, starts, ends)
    held = (begin[:, 0] >= window_start) & (finish[:, 0] <= window_end) & (begin[:, 0] >= 0)
    touched = inside & (ends > begin) & (starts < finish)
    first = touched.argmax(axis=1)
    last = touched.shape[1] - 1 - touched[:, ::-1].argmax(axis=1)
    held &= touched.any(axis=1)
    return np.where(held[:, None], np.stack([first, last], axis=1), 0)
