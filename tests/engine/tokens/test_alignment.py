"""Two tokenizers meet by characters: against a naive double loop, and against what a person would say."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.tokens.alignment import align, align_labels, alignments, same_tokenizer
from engine.tokens.examples import encode
from engine.tokens.ragged import NO_LABEL, Ragged
from tests.reference import alignment as reference
from tests.tasks import make_task
from tests.tokenizers import CORPUS, KINDS, bare_bpe, byte_bpe, unigram, wordpiece

BUILDERS = {**KINDS, "bare_bpe": bare_bpe}
pairs = pytest.mark.parametrize(
    ("student", "teacher"),
    [pytest.param(BUILDERS[a], BUILDERS[b], id=f"{a}-{b}") for a, b in itertools.product(BUILDERS, BUILDERS)],
)
TEXTS = [
    "The quick brown fox.",
    "  Naïve   café-goers don't\tserve\nunbelievably 🙂👍🏽 people ",
    "中文 and ﬁne 12.5 Ωmega, e\u0301clair \u200b!",
    "[SEP] is </s> not special here",
    CORPUS[0] + " " + CORPUS[3],
]


def weights_of(student, teacher, rows, max_length=64, combine=align):
    """The matrices of all rows, and the two encodings."""
    kind = "tagging" if "tokens" in rows[0] else "classification"
    task = make_task(kind, rows, labels=("A", "B"))
    encoded = [encode(task.train, task, tokenizer, max_length) for tokenizer in (student, teacher)]
    ids = list(range(len(rows)))
    return combine(*encoded, ids), *encoded


def pieces(tokenizer, encoded, row):
    return tokenizer.convert_ids_to_tokens(encoded.tokens[row].tolist())


def named(weights, student, teacher, encoded, row=0):
    """student token → {teacher token: weight}"""
    mine, its = (pieces(tok, enc, row) for tok, enc in zip((student, teacher), encoded, strict=True))
    return [
        (token, {its[j]: round(float(w), 3) for j, w in enumerate(weights[row, i]) if w > 0})
        for i, token in enumerate(mine)
    ]


@pairs
@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("max_length", [64, 17])
def test_agrees_with_the_naive_reference(student, teacher, pair, max_length):
    rows = [{"text": text, "text_pair": other} for text, other in zip(TEXTS, TEXTS[::-1], strict=True)]
    rows = rows if pair else [{"text": row["text"]} for row in rows]
    weights, mine, its = weights_of(student(), teacher(), rows, max_length)
    for index, row in enumerate(rows):
        want = reference.align(student(), teacher(), tuple(row.values()), max_length)
        block = weights[index, : mine.lengths[index], : its.lengths[index]]
        torch.testing.assert_close(block, torch.tensor(want))
        assert weights[index].sum() == pytest.approx(block.sum().item())


@pairs
@settings(max_examples=15, deadline=None)
@given(text=st.text("abz é中🙂ﬁ\u0301\u200b\t\n.'" + "👩\u200d🔬", max_size=40), other=st.text("a b中.", max_size=9))
def test_every_token_that_can_has_a_partner(student, teacher, text, other):
    rows = [{"text": f"fox {text}", "text_pair": f"{other} dog"}]
    weights, mine, its = weights_of(student(), teacher(), rows)
    sums = weights.sum(-1)
    assert (((sums - 1).abs() < 1e-6) | (sums == 0)).all()
    want = reference.align(student(), teacher(), tuple(rows[0].values()), 64)
    np.testing.assert_allclose(weights[0, : mine.lengths[0], : its.lengths[0]], want, rtol=1e-6)
    assert (weights[0, mine.lengths[0] :] == 0).all()
    assert (weights[0, :, its.lengths[0] :] == 0).all()


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_the_same_tokenizer_gives_the_identity(build):
    weights, mine, _ = weights_of(build(), build(), [{"text": CORPUS[0]}])
    n = int(mine.lengths[0])
    begin = 3 if build is unigram else 0  # its first ▁ stands for the same character as the token behind it
    assert torch.equal(weights[0, begin:n, begin:n], torch.eye(n - begin))


def test_a_sentence_checked_by_hand():
    student, teacher = wordpiece(), byte_bpe()
    weights, *encoded = weights_of(student, teacher, [{"text": "The quick Vienna wizard"}])
    assert pieces(student, encoded[0], 0)[:3] == ["[CLS]", "the", "quick"]
    by_token = named(weights, student, teacher, encoded)
    assert by_token[0] == ("[CLS]", {"<s>": 1})
    assert by_token[-1] == ("[SEP]", {"</s>": 1})
    text, starts, ends = "The quick Vienna wizard", encoded[0].starts[0], encoded[0].ends[0]
    for index, (_, partners) in enumerate(by_token[1:-1], start=1):
        word = text[starts[index] : ends[index]]
        joined = "".join(partners).replace("Ġ", "")
        assert word in joined or joined in word
        assert sum(partners.values()) == pytest.approx(1, abs=0.01)


def test_a_token_takes_the_mean_of_its_partners():
    student, teacher = wordpiece((*CORPUS, "elephant " * 50)), byte_bpe()
    weights, *encoded = weights_of(student, teacher, [{"text": "an elephant"}])
    mine = pieces(student, encoded[0], 0)
    partners = named(weights, student, teacher, encoded)[mine.index("elephant")][1]
    assert "".join(partners).lstrip("Ġ") == "elephant"
    assert len(partners) > 1
    assert set(partners.values()) == {round(1 / len(partners), 3)}
    back, *_ = weights_of(teacher, student, [{"text": "an elephant"}])
    spread = back[0, :, mine.index("elephant")]
    assert (spread == 1).sum() == len(partners)


def test_special_tokens_meet_in_the_same_place():
    student, teacher = wordpiece(), byte_bpe()
    weights, *encoded = weights_of(student, teacher, [{"text": "the fox", "text_pair": "the dog"}])
    mine, its = pieces(student, encoded[0], 0), pieces(teacher, encoded[1], 0)
    first, second = (i for i, token in enumerate(mine) if token == "[SEP]")
    ends = [j for j, token in enumerate(its) if token == "</s>"]
    assert weights[0, 0].nonzero().flatten().tolist() == [0]
    assert weights[0, first].nonzero().flatten().tolist() == ends[:2]
    assert weights[0, second].nonzero().flatten().tolist() == ends[2:]
    nothing, *_ = weights_of(student, bare_bpe(), [{"text": "the fox", "text_pair": "the dog"}])
    assert (nothing[0, [0, first, second]] == 0).all()  # a tokenizer without special tokens


def test_empty_texts_leave_only_special_tokens():
    weights, *_ = weights_of(wordpiece(), unigram(), [{"text": ""}, {"text": "a"}])
    assert weights[0, :2, :2].tolist() == [[1, 0], [0, 1]]
    assert weights[0].sum() == 2


def test_tokens_that_the_teacher_truncated_have_no_partner():
    task = make_task("classification", [{"text": CORPUS[0]}])
    student = encode(task.train, task, wordpiece(), 64)
    teacher = encode(task.train, task, unigram(), 12)
    weights = align(student, teacher, [0])
    seen = teacher.ends[0].max()
    beyond = np.flatnonzero(student.starts[0] >= seen)
    assert len(beyond) > 3
    assert (weights[0, beyond] == 0).all()
    within = np.flatnonzero((student.ends[0] > 0) & (student.ends[0] <= seen))
    assert torch.allclose(weights[0, within].sum(-1), torch.ones(len(within)))


def test_a_token_without_characters_has_no_partner():
    task = make_task("classification", [{"text": "the fox"}])
    encoded = encode(task.train, task, wordpiece(), 16)
    middle = encoded.starts.values + (encoded.ends.values > encoded.starts.values)
    middle = Ragged(middle, encoded.starts.offsets)
    hollow = replace(encoded, starts=middle, ends=middle)
    for one, other in ((hollow, encoded), (encoded, hollow)):
        assert align(one, other, [0]).nonzero()[:, 1].tolist() == [0, int(encoded.lengths[0]) - 1]


def test_windows_of_a_context_align_within_the_context():
    row = {"id": "1", "question": "Who?", "context": " ".join(CORPUS), "answers": {"text": [], "answer_start": []}}
    task = make_task("question_answering", [row])
    student = encode(task.train, task, unigram(), 48, 16)
    teacher = encode(task.train, task, wordpiece(), 128, windows=student.windows)
    ids = np.arange(len(student))
    weights = align(student, teacher, ids).numpy()
    assert torch.equal(align_labels(student, teacher, ids), torch.from_numpy(weights))
    for example, i, j in zip(*np.nonzero(weights), strict=True):
        if student.segments[example][i] == 3:
            span = slice(student.starts[example][i], student.ends[example][i])
            other = slice(teacher.starts[example][j], teacher.ends[example][j])
            assert max(span.start, other.start) < min(span.stop, other.stop)
    solid = student.spans(ids)
    letters = np.vectorize(lambda c: row["context"][c].isalnum())(solid.starts) & (solid.segments == 3)
    assert np.allclose(weights.sum(-1)[:, : letters.shape[1]][letters], 1)


# --- logits of tagged words ------------------------------------------------------------------------

WORDS = ["I", "don't", "like", "naïve", "café", "unbelievably", "中文", "🙂👍🏽", "3.5", "wizards"]


@pairs
def test_first_tokens_of_words_meet(student, teacher):
    rows = [{"tokens": WORDS, "tags": [0] * len(WORDS)}, {"tokens": ["fox"], "tags": [1]}]
    weights, mine, its = weights_of(student(), teacher(), rows, 128, combine=align_labels)
    labelled = mine.labels([0, 1]) != NO_LABEL
    assert torch.equal(weights.sum(-1), labelled.float())
    teacher_labelled = its.labels([0, 1]) != NO_LABEL
    assert torch.equal(weights.sum(1), teacher_labelled.float())
    for word, token in enumerate(mine.words[0]):
        assert weights[0, token].argmax() == its.words[0][word]


def test_words_that_only_one_of_the_two_sees_are_left_out():
    rows = [{"tokens": WORDS, "tags": [0] * len(WORDS)}]
    task = make_task("tagging", rows, labels=("A",))
    student, teacher = encode(task.train, task, wordpiece(), 64), encode(task.train, task, unigram(), 16)
    weights = align_labels(student, teacher, [0])
    assert 0 < weights.sum() == teacher.label_count([0]) < student.label_count([0])


def test_where_one_of_the_two_knows_no_words_all_tokens_meet():
    student, teacher = (with_words(tokenizer, ["fox", "unbelievably"]) for tokenizer in (wordpiece(), unigram()))
    everything = align(student, teacher, [0])
    assert not torch.equal(align_labels(student, teacher, [0]), everything)
    for own, other in ((replace(student, words=None), teacher), (student, replace(teacher, words=None))):
        assert torch.equal(align_labels(own, other, [0]), everything)


def with_words(tokenizer, words):
    task = make_task("tagging", [{"tokens": words, "tags": [0] * len(words)}], labels=("A",))
    return encode(task.train, task, tokenizer, 64)


def test_alignments_of_all_tokens_and_in_tagging_of_the_labels():
    student, teacher = (with_words(tokenizer, ["fox", "unbelievably"]) for tokenizer in (wordpiece(), unigram()))
    of_all, of_labels = alignments(student, teacher, [0])
    assert torch.equal(of_all, align(student, teacher, [0]))
    assert torch.equal(of_labels, align_labels(student, teacher, [0]))
    assert alignments(student, None, [0]) == (None, None)
    task = make_task("classification", [{"text": TEXTS[0], "label": 0}], labels=("A", "B"))
    student, teacher = (encode(task.train, task, tokenizer, 64) for tokenizer in (wordpiece(), unigram()))
    of_all, of_labels = alignments(student, teacher, [0])
    assert torch.equal(of_all, align(student, teacher, [0]))
    assert of_labels is None


# --- are they the same? ----------------------------------------------------------------------------


def test_tokenizers_are_compared_by_what_they_do(tmp_path):
    for (a, one), (b, other) in itertools.product(BUILDERS.items(), BUILDERS.items()):
        assert same_tokenizer(one(), other()) == (a == b)
    wordpiece().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert same_tokenizer(loaded, wordpiece())
    loaded.backend_tokenizer.enable_truncation(9)
    loaded.backend_tokenizer.enable_padding(length=9)
    assert same_tokenizer(wordpiece(), loaded)
    loaded.add_tokens(["zeitgeist"])
    assert not same_tokenizer(wordpiece(), loaded)
    assert not same_tokenizer(wordpiece(), wordpiece(CORPUS, 200))


def test_another_template_is_another_tokenizer():
    copy = Tokenizer.from_str(wordpiece().backend_tokenizer.to_str())
    names = wordpiece().model_input_names
    other = PreTrainedTokenizerFast(tokenizer_object=copy, model_input_names=names)
    assert same_tokenizer(wordpiece(), other)
    without_types = PreTrainedTokenizerFast(tokenizer_object=copy, model_input_names=["input_ids", "attention_mask"])
    assert "token_type_ids" in names
    assert not same_tokenizer(wordpiece(), without_types)
    other.backend_tokenizer.post_processor = byte_bpe().backend_tokenizer.post_processor
    assert not same_tokenizer(wordpiece(), other)


def test_a_batch_takes_a_moment():
    rows = [{"text": " ".join(CORPUS)}] * 16
    task = make_task("classification", rows)
    student, teacher = encode(task.train, task, wordpiece(), 64), encode(task.train, task, byte_bpe(), 64)
    ids = np.arange(16)
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        align(student, teacher, ids)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.01
