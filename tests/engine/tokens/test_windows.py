"""Windows of long contexts: they cover them, share what they should, and are the same for two tokenizers."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from engine.tokens.examples import encode
from tests.engine.tokens.rows import CONTEXT, QUESTIONS, kinds, question, spans_of
from tests.tasks import make_task
from tests.tokenizers import KINDS, bare_bpe, byte_bpe, unigram, wordpiece


@kinds
@pytest.mark.parametrize("overlap", [0, 8, 500])
def test_windows_cover_the_whole_context(build, overlap):
    task = make_task("question_answering", QUESTIONS)
    encoded = encode(task.train, task, build(), 48, overlap)
    assert len(encoded) > 8
    assert encoded.lengths.max() == 48
    assert (np.diff(encoded.rows) >= 0).all()
    for row, source in enumerate(QUESTIONS):
        examples = np.flatnonzero(encoded.rows == row)
        covered = {c for example in examples for s, e in spans_of(encoded, example) for c in range(s, e)}
        text = source["context"]
        assert {index for index, character in enumerate(text) if not character.isspace()} <= covered
        for example in examples:
            spans = spans_of(encoded, example)
            assert encoded.windows.starts[example] == spans[0][0]
            assert encoded.windows.ends[example] == spans[-1][1]
        for example in examples[:-1]:
            shared = set(spans_of(encoded, example)) & set(spans_of(encoded, example + 1))
            assert (len(shared) > 0) == (overlap > 0)
            assert len(shared) <= 48 // 2


def test_neighbouring_windows_share_the_overlap():
    task = make_task("question_answering", QUESTIONS[:1])
    encoded = encode(task.train, task, wordpiece(), 64, 20)
    shared = set(spans_of(encoded, 0)) & set(spans_of(encoded, 1))
    assert len(shared) == 20


@pytest.mark.parametrize("other", [wordpiece, byte_bpe, unigram, bare_bpe])
@kinds
def test_a_second_tokenizer_sees_the_same_windows(build, other):
    task = make_task("question_answering", QUESTIONS)
    student = encode(task.train, task, build(), 64, 16)
    teacher = encode(task.train, task, other(), 512, windows=student.windows)
    assert teacher.rows.tolist() == student.rows.tolist()
    assert teacher.windows is student.windows
    for example, row in enumerate(student.rows):
        context = QUESTIONS[row]["context"]
        theirs, mine = spans_of(teacher, example), spans_of(student, example)
        assert (teacher.labels([example]).any() == student.labels([example]).any()).item()
        assert context[theirs[0][0] : theirs[-1][1]].strip() == context[mine[0][0] : mine[-1][1]].strip()


@kinds
def test_a_question_longer_than_the_model_is_cut(build, caplog):
    long = [question("Who " + "unbelievably quick " * 200 + "jumps?", "Naïve 中文 readers 🙂"), QUESTIONS[1]]
    task = make_task("question_answering", long)
    with caplog.at_level(logging.WARNING, logger="autodistiller"):
        encoded = encode(task.train, task, build(), 40, 30)
        teacher = encode(task.train, task, bare_bpe(), 40, windows=encoded.windows)
    assert caplog.text.count("1 question(s) were cut to 20 tokens") == 2
    assert encoded.lengths.max() == 40
    assert teacher.lengths.max() <= 40
    assert len(teacher) == len(encoded)
    covered = {c for e in np.flatnonzero(encoded.rows == 0) for s, t in spans_of(encoded, e) for c in range(s, t)}
    assert {index for index, character in enumerate(CONTEXT) if not character.isspace()} <= covered


def test_the_shortest_length_still_leaves_room_for_context():
    task = make_task("question_answering", [question("who is the quick brown fox", "fox", "the fox")])
    for build in KINDS.values():
        encoded = encode(task.train, task, build(), 8, 4)
        assert encoded.lengths.max() <= 8
        assert all(spans_of(encoded, example) for example in range(len(encoded)))
