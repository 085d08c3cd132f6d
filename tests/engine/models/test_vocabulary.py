"""The tokenizer of models from scratch: it knows the task's words, and is the same in every process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.data.task import texts_of
from engine.models.vocabulary import SPECIAL, train_tokenizer
from engine.tokens.alignment import same_tokenizer
from tests.tasks import make_task
from tests.toys import ROWS, toy_task

HASH = """
import hashlib
from engine.models.vocabulary import train_tokenizer
from tests.tasks import make_task
from tests.tokenizers import CORPUS
task = make_task("classification", [{"text": text, "label": 0} for text in CORPUS], labels=("a",))
print(hashlib.sha256(train_tokenizer(task).backend_tokenizer.to_str().encode()).hexdigest())
"""


@pytest.mark.parametrize("name", ROWS)
def test_words_of_the_training_rows_are_whole(name: str) -> None:
    task = toy_task(name)
    tokenizer = train_tokenizer(task)
    texts = [*texts_of(task)]
    columns = {"tagging": ("tokens",), "question_answering": ("question", "context"), "pair": ("text", "text_pair")}
    assert len(texts) == len(task.train) * (2 if name in ("question_answering", "pair") else 1)
    for column in columns.get(name, ("text",)):
        first = task.train[0][column]
        assert (first if isinstance(first, str) else " ".join(first)) in texts
    words = texts[0].split()
    assert tokenizer.tokenize(texts[0].upper()) == [word.lower() for word in words]
    assert tokenizer.all_special_tokens != []
    assert set(SPECIAL) == set(tokenizer.all_special_tokens)
    assert tokenizer.decode(tokenizer("river", "window")["input_ids"]) == "[CLS] river [SEP] window [SEP]"


def test_unknown_words_are_spelt() -> None:
    tokenizer = train_tokenizer(toy_task("single"))
    assert tokenizer.unk_token not in tokenizer.tokenize("overpopulated")
    assert tokenizer.tokenize("漢") == ["[UNK]"]


def test_every_process_trains_the_same_vocabulary() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, check=True, timeout=60)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout != ""
    tokenizers = [train_tokenizer(toy_task(name)) for name in ("tagging", "tagging", "single")]
    assert same_tokenizer(*tokenizers[:2])
    assert not same_tokenizer(*tokenizers[1:])


def test_at_most_as_large_as_asked() -> None:
    rows = [{"text": f"word{number} 漢字{chr(0x4E00 + number)}", "label": 0} for number in range(1500)]
    tokenizer = train_tokenizer(make_task("classification", rows, labels=("a",)), size=1200)
    assert len(tokenizer) <= 1200
    assert tokenizer.tokenize("word") == ["word"]
