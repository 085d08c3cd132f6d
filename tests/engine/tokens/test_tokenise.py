"""What becomes of a tokenizer, and of the spans of its tokens."""

from __future__ import annotations

import pytest

from engine.base.errors import InputError
from engine.tokens.examples import encode
from tests.engine.tokens.rows import kinds
from tests.tasks import make_task
from tests.tokenizers import unigram


def test_the_tokenizer_keeps_its_own_settings():
    tokenizer = unigram()
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(7, stride=2, strategy="only_first")
    backend.enable_padding(length=9)
    before = backend.truncation, backend.padding
    task = make_task("classification", [{"text": "the quick brown fox jumps over the lazy dog"}])
    assert encode(task.train, task, tokenizer, 64).lengths[0] > 9
    assert (backend.truncation, backend.padding) == before
    backend.no_truncation()
    backend.no_padding()


def test_a_tokenizer_without_offsets_is_refused():
    class Slow:
        is_fast = False

    task = make_task("classification", [{"text": "a"}])
    with pytest.raises(InputError, match=r"tokenizer: has no fast version.*Slow"):
        encode(task.train, task, Slow(), 16)


@kinds
def test_spans_have_no_whitespace_at_their_ends(build):
    text = "  The quick\tbrown \n\n fox,  naïve café 🙂 中文 "
    task = make_task("classification", [{"text": text}])
    encoded = encode(task.train, task, build(), 64)
    pieces = [text[start:end] for start, end in zip(encoded.starts[0], encoded.ends[0], strict=True)]
    assert all(piece == piece.strip() or not piece.strip() for piece in pieces)
    covered = {c for s, e in zip(encoded.starts[0], encoded.ends[0], strict=True) for c in range(s, e)}
    assert {index for index, character in enumerate(text) if not character.isspace()} <= covered
