"""From rows to tensors: against the tokenizers' own output, and back to the words and answers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base import mapped
from engine.tokens import examples as encoding
from engine.tokens import tokenise as tokenising
from engine.tokens.examples import cut_in_words, encode
from engine.tokens.ragged import NO_LABEL
from engine.tokens.tokenise import SECOND
from tests.engine.tokens.rows import CONTEXT, QUESTIONS, SENTENCE, kinds, question, words
from tests.tasks import make_task, shared_task
from tests.tokenizers import CORPUS, bare_bpe, byte_bpe, unigram, wordpiece

# --- texts -----------------------------------------------------------------------------------------


@kinds
def test_inputs_are_what_the_tokenizer_itself_gives(build):
    texts = [{"text": text, "text_pair": other} for text, other in zip(CORPUS, ("I", *CORPUS[:-1]), strict=True)]
    task, tokenizer = make_task("classification", texts), build()
    got = encode(task.train, task, tokenizer, max_length=24).inputs(range(len(texts)))
    want = tokenizer(
        [row["text"] for row in texts],
        [row["text_pair"] for row in texts],
        truncation="longest_first",
        max_length=24,
        padding="longest",
        return_tensors="pt",
    )
    assert set(got) == set(tokenizer.model_input_names)
    assert ("token_type_ids" in got) == (build is wordpiece)
    for name, tensor in got.items():
        assert tensor.tolist() == want[name].tolist()


@kinds
def test_batches_are_padded_to_multiples_of_8(build):
    rows = [{"text": " ".join(["fox"] * count)} for count in (1, 3, 9, 60)]
    task = make_task("classification", rows)
    encoded = encode(task.train, task, build(), max_length=30)
    assert encoded.lengths.max() == 30
    for ids in ([0], [1, 2], [0, 3], np.array([2])):
        inputs = encoded.inputs(ids)
        longest = max(encoded.lengths[list(ids)])
        n = inputs["input_ids"].shape[1]
        assert n % 8 == 0
        assert longest <= n < longest + 8
        assert inputs["attention_mask"].sum(1).tolist() == encoded.lengths[list(ids)].tolist()
        padding = inputs["input_ids"][inputs["attention_mask"] == 0]
        assert (padding == build().pad_token_id).all()
    assert encoded.inputs([0], length=16)["input_ids"].shape == (1, 16)


def test_padding_falls_back_to_the_end_token():
    task = make_task("classification", [{"text": "fox"}, {"text": "the quick brown fox"}])
    tokenizer = bare_bpe()
    assert tokenizer.pad_token_id is None
    inputs = encode(task.train, task, tokenizer, max_length=16).inputs([0, 1])
    assert (inputs["input_ids"][inputs["attention_mask"] == 0] == tokenizer.eos_token_id).all()


def test_labels_have_the_type_of_the_task():
    rows = [{"text": "a", "label": 2}, {"text": "b", "label": 0}]
    task = make_task("classification", rows, labels=("x", "y", "z"))
    labels = encode(task.train, task, wordpiece(), 16).labels([1, 0, 1])
    assert (str(labels.dtype), labels.tolist()) == ("torch.int64", [0, 2, 0])
    task = make_task("regression", [{"text": "a", "label": 2.5}, {"text": "b", "label": 0.0}])
    encoded = encode(task.train, task, wordpiece(), 16)
    assert encoded.unit == (1.25, 1.25)
    assert (str(encoded.labels([0]).dtype), encoded.labels([0]).tolist()) == ("torch.float32", [1.0])
    assert encoded.label_count([0, 1]) == 2


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("classification", {"text": "the fox"}),
        ("regression", {"text": "the fox", "text_pair": "a fox"}),
        ("tagging", {"tokens": ["the", "fox"]}),
        ("question_answering", {"question": "who", "context": "the fox"}),
    ],
)
def test_rows_without_labels_can_be_predicted_but_not_trained_on(kind, row):
    task = make_task(kind, [row, row])
    encoded = encode(task.train, task, wordpiece(), 16)
    assert len(encoded) == 2
    assert encoded.targets is None
    assert encoded.tags is None
    assert encoded.inputs([0, 1])["input_ids"].shape[0] == 2
    with pytest.raises(ValueError, match="no labels"):
        encoded.labels([0])


@pytest.mark.parametrize("kind", ["classification", "tagging", "question_answering"])
def test_no_rows_give_no_examples(kind):
    empty = Dataset.from_dict({name: [] for name in ("text", "label", "tokens", "tags")})
    empty = empty.add_column("question", []).add_column("context", []).add_column("answers", [])
    task = make_task(kind, [{"text": "a"}])
    encoded = encode(empty, task, wordpiece(), 16)
    assert len(encoded) == len(encoded.lengths) == 0


# --- tagging ---------------------------------------------------------------------------------------


@kinds
def test_each_word_has_its_label_at_its_first_token(build):
    task = make_task("tagging", [words("Hi"), words(*SENTENCE), words()], labels=("A", "B", "C"))
    encoded = encode(task.train, task, build(), 128)
    text, first = " ".join(SENTENCE), encoded.words[1]
    assert (np.diff(first) > 0).all()
    begins = np.cumsum([0, *(len(word) + 1 for word in SENTENCE)])[:-1]
    for word, begin, token in zip(SENTENCE, begins, first, strict=True):
        start = encoded.starts[1][token]
        assert text[start] == word.strip()[0]
        assert begin <= start < begin + len(word)
        assert encoded.ends[1][token - 1] <= start  # the token before belongs to something else
    labels = encoded.labels([1, 0, 2])
    assert labels.shape == encoded.inputs([1, 0, 2])["input_ids"].shape
    assert labels[0][labels[0] != NO_LABEL].tolist() == [index % 3 for index in range(len(SENTENCE))]
    assert labels[0][first].tolist() == [index % 3 for index in range(len(SENTENCE))]
    assert (labels != NO_LABEL).sum(1).tolist() == [len(SENTENCE), 1, 0]
    assert encoded.label_count([1, 0, 2]) == len(SENTENCE) + 1


@kinds
def test_words_beyond_truncation_have_no_label(build):
    task = make_task("tagging", [words(*SENTENCE * 3), words(*SENTENCE)], labels=("A", "B", "C"))
    encoded = encode(task.train, task, build(), 20)
    assert encoded.lengths[0] == 20
    kept = encoded.words[0] >= 0
    assert 0 < kept.sum() < len(SENTENCE) * 3
    assert (np.diff(kept.astype(int)) <= 0).all()  # only words at the end are lost
    assert (encoded.labels([0]) != NO_LABEL).sum() == encoded.label_count([0]) == kept.sum()


@kinds
@settings(max_examples=25, deadline=None)
@given(tokens=st.lists(st.text("abcé中🙂\u0301\u200b.' \u00a0", max_size=5), max_size=12))
def test_any_words_get_at_most_one_token_each(build, tokens):
    task = make_task("tagging", [words("fox"), words(*tokens), words("dog")], labels=("A", "B", "C"))
    encoded = encode(task.train, task, build(), 128)
    first = encoded.words[1]
    assert len(first) == len(tokens)
    own = first[first >= 0]
    assert (np.diff(own) > 0).all()
    plain = [any(character in "abc.'中🙂" for character in word) for word in tokens]
    assert (first[np.array(plain, dtype=bool)] >= 0).all()
    assert (encoded.words[0] >= 0).all()
    assert (encoded.words[2] >= 0).all()


# --- question answering ----------------------------------------------------------------------------


@kinds
def test_answers_are_recovered_from_their_tokens(build):
    task = make_task("question_answering", QUESTIONS)
    encoded = encode(task.train, task, build(), 64, 24)
    labels = encoded.labels(range(len(encoded))).numpy()
    assert labels.shape == (len(encoded), 2)
    for row, source in enumerate(QUESTIONS):
        answer, start = source["answers"]["text"][0], source["answers"]["answer_start"][0]
        held = [example for example in np.flatnonzero(encoded.rows == row) if labels[example].any()]
        assert held
        for example in np.flatnonzero(encoded.rows == row):
            whole = encoded.windows.starts[example] <= start and encoded.windows.ends[example] >= start + len(answer)
            assert (example in held) == whole
        for example in held:
            first, last = labels[example]
            assert encoded.segments[example][first] == encoded.segments[example][last] == SECOND
            text = source["context"][encoded.starts[example][first] : encoded.ends[example][last]]
            assert text == answer or (build is byte_bpe and answer in text)


@kinds
def test_an_answer_at_the_edge_of_a_window_is_whole_or_not_there(build):
    positions = [index for index, character in enumerate(CONTEXT) if character == " "][5:60]
    answers = [CONTEXT[a + 1 : b] for a, b in zip(positions, positions[3:], strict=False)]
    rows = [question("Who?", answers[0]) for _ in answers]
    for row, answer, start in zip(rows, answers, positions, strict=False):
        row["answers"] = {"text": [answer], "answer_start": [start + 1]}
    task = make_task("question_answering", rows)
    encoded = encode(task.train, task, build(), 48, 0)
    found = 0
    for example, (first, last) in enumerate(encoded.labels(range(len(encoded))).tolist()):
        begin, text = positions[encoded.rows[example]] + 1, answers[encoded.rows[example]]
        whole = encoded.windows.starts[example] <= begin
        whole &= encoded.windows.ends[example] >= begin + len(text)
        assert ((first, last) != (0, 0)) == whole
        if whole:
            found += 1
            assert encoded.starts[example][first] <= begin < encoded.ends[example][first]
            assert encoded.starts[example][last] < begin + len(text) <= encoded.ends[example][last]
    assert 0 < found < len(rows)


@pytest.mark.parametrize("answers", [{"text": [], "answer_start": []}, {"text": ["  "], "answer_start": [3]}])
def test_a_row_without_an_answer_points_to_the_first_token(answers):
    row = question("Who?", "fox", "the fox  ran") | {"answers": answers}
    task = make_task("question_answering", [question("Who?", "fox", "the fox  ran"), row])
    labels = encode(task.train, task, wordpiece(), 32).labels([0, 1])
    assert labels[0].tolist() != [0, 0]
    assert labels[1].tolist() == [0, 0]


# --- many rows ---


@pytest.mark.parametrize("rows", [QUESTIONS, [words("a"), words(), words(*SENTENCE), words("b", "c")]])
def test_rows_are_the_same_in_small_chunks(rows, monkeypatch):
    task = make_task("tagging" if "tags" in rows[0] else "question_answering", rows, labels=("A", "B", "C"))

    def through_both():
        first = encode(task.train, task, wordpiece(), 40, 8)
        return first, encode(task.train, task, unigram(), 80, windows=first.windows)

    whole = through_both()
    monkeypatch.setattr(tokenising, "CHUNK", 2)
    monkeypatch.setattr(encoding, "CHUNK", 3)
    for one, other in zip(whole, through_both(), strict=True):
        ids = range(len(one))
        assert one.rows.tolist() == other.rows.tolist()
        assert all((a == b).all() for a, b in zip(one.spans(ids), other.spans(ids), strict=True))
        assert one.labels(ids).tolist() == other.labels(ids).tolist()
        assert one.inputs(ids)["input_ids"].tolist() == other.inputs(ids)["input_ids"].tolist()


def test_tokens_of_many_rows_take_next_to_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times the rows, and a few bytes for each further one; the tokens alone are over a hundred, as arrays of 64
    bits five hundred."""
    monkeypatch.setattr(mapped, "SMALL", 1 << 12)
    monkeypatch.setattr(tokenising, "CHUNK", 256)

    def peak(rows: int) -> int:
        task = make_task("classification", [{"text": "a b c " * 4, "label": row % 2} for row in range(rows)])
        tokenizer = wordpiece()
        tracemalloc.start()
        try:
            assert encode(task.train, task, tokenizer, 64).inputs([rows - 1])["input_ids"].shape == (1, 16)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = 1_000, 5_000
    assert peak(many) - peak(few) < 40 * (many - few)


# --- real data -------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("name", ["squad", "ud_ewt_pos", "wnut17_ner"])
def test_labels_of_real_data_are_found(shared, name):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "all-MiniLM-L6-v2")
    task = shared_task(shared / "datasets" / name, limit=500)
    if task.kind == "question_answering":
        encoded = encode(task.train, task, tokenizer, 320, 128)
        found = np.unique(encoded.rows[encoded.targets.any(axis=1)])
        assert len(found) == len(task.train)
    else:
        encoded = encode(task.train, task, tokenizer, 128)
        share = encoded.label_count(range(len(encoded))) / sum(map(len, task.train["tokens"]))
        assert share > 0.995


# --- what is cut -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts, most, sentence",
    [
        (
            ["a a a a a a a a a", "a"],
            512,
            "1 of 2 training texts (50.0%) is longer than 8 tokens, and what follows is "
            "not read; --set training.max_length=512 reads more.",
        ),
        (
            ["a a a a a a a a a"] * 2,
            None,
            "2 of 2 training texts (100.0%) are longer than 8 tokens, and what follows is "
            "not read; --set training.max_length=16 reads more.",
        ),
        (
            ["a a a a a a a a a"],
            8,
            "1 of 1 training text (100.0%) is longer than 8 tokens, which is all that the models "
            "read at once; --windows 32 reads longer ones piece by piece.",
        ),
    ],
)
def test_what_is_cut_is_said_with_the_way_to_read_more(texts: list[str], most: int | None, sentence: str) -> None:
    task = make_task("classification", [{"text": text} for text in texts])
    assert cut_in_words(encode(task.train, task, wordpiece(), max_length=8), task, 8, most) == [sentence]
    assert cut_in_words(encode(task.train, task, wordpiece(), max_length=64), task, 64, most) == []


def test_no_windows_are_offered_where_a_task_has_none() -> None:
    task = make_task("classification", [{"text": "a a a a a", "text_pair": "a a a a a"}])
    encoded = encode(task.train, task, wordpiece(), max_length=8)
    said = ["1 of 1 training text (100.0%) is longer than 8 tokens, which is all that the models read."]
    assert cut_in_words(encoded, task, 8, 8) == said
    assert cut_in_words(encoded, replace(task, pair=False, soft_labels=True), 8, 8) == said
    assert cut_in_words(encoded, replace(task, pair=False), 8, 8, asked=True) == said
    assert cut_in_words(encoded, replace(task, pair=False), 8, 8) != said
