"""The tokenizer of models that start from scratch: WordPiece trained on the task's own text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from transformers import BertTokenizer, PreTrainedTokenizerBase

from engine.data.task import Task

VOCABULARY_SIZE = 8000


def texts_of(task: Task) -> Iterator[str]:
    """Every training text of a task."""
    for row in task.train:
        if task.kind == "tagging":
            yield " ".join(row["tokens"])
        elif task.kind == "question_answering":
            yield from (row["question"], row["context"])
        else:
            yield from (row[key] for key in ("text", "text_pair") if key in row)


def train_tokenizer(task: Task, size: int = VOCABULARY_SIZE) -> PreTrainedTokenizerBase:
    """An uncased WordPiece tokenizer in BERT's format, with at most `size` entries."""
    blank = BertTokenizer(do_lower_case=True)
    batches = chain.from_iterable([text] for text in texts_of(task))
    tokenizer = blank.train_new_from_iterator(batches, vocab_size=size, show_progress=False)
    tokenizer.model_max_length = 512
    return tokenizer
