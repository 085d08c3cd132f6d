"""Tries a finished model out on rows without labels: `text` (and `text_pair`), `tokens`, or `question` and
`context`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from scipy.special import expit, softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from engine.base.errors import InputError, Problem
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.data.task import KINDS, Task, TaskKind
from engine.evaluation.inference import logits_of
from engine.evaluation.scores import logits_of_rows, predictions
from engine.evaluation.spans import spans_of
from engine.models.load import has_head, load_config, load_pretrained, load_tokenizer, names_of_outputs, position_limit
from engine.pipeline.training import PAIR_MAX_LENGTH, WINDOW_OVERLAP, Training
from engine.run.result import RunResult
from engine.tokens.examples import Encoded, encode

ONE_TEXT = "there is a second text, and the model was trained on single ones"


@dataclass
class Predictor:
    """A model that answers rows of text.

    `predictor(["a gripping film"])` gives
    `[{'label': 'positive', 'score': 0.98, 'scores': {'negative': 0.02, 'positive': 0.98}}]`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    kind: TaskKind
    labels: tuple[str, ...]
    columns: Mapping[str, str]  # field → column of the data that it was trained on; empty where no record says it
    max_length: int
    window_overlap: int | None
    machine: Machine
    null_threshold: float | None = None  # of questions that may have no answer, as `RunResult.null_thresholds`

    def indices(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Answers as metrics and leaderboard files take them: class or tag indices, values, texts."""
        return self.answered(rows)[0] if rows else []

    def __call__(self, rows: str | Sequence[str | tuple[str, str] | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One answer a row, with names in place of indices.

        Args:
            rows: Texts; pairs of texts, or of a question and its context; or rows with the fields of the task.

        Returns:
            classification: `label`, `score` (its probability) and `scores` of all labels; multi-label: `labels`, those
            whose probability is above 0.5, and `scores` of all;
            regression: `score`; tagging: `tokens` and `tags`; question answering: `answer`, and for a model of
            questions that may have none `no_answer`, the probability of that; with it above 0.5 `answer` is empty.

        Raises:
            InputError: A row lacks a field, its field is not text, or it has a second text for a model that reads one.
        """
        known = [self._row(each) for each in ([rows] if isinstance(rows, str) else rows)]
        if not known:
            return []
        encoded, logits = self._asked(known)
        answers = self._answers(encoded, logits)
        if self.null_threshold is not None:
            chances = spans_of(encoded, logits).chances_of_none(self.null_threshold)
            return [{"answer": text, "no_answer": each} for text, each in zip(answers, chances, strict=True)]
        if self.kind in ("classification", "multi_label"):
            named = self._named if self.kind == "classification" else self._several
            of_rows = logits_of_rows(encoded, logits)
            return [named(values, answer) for values, answer in zip(of_rows, answers, strict=True)]
        if self.kind == "tagging":
            names = [[self.labels[tag] for tag in tags] for tags in answers]
            return [{"tokens": list(row["tokens"]), "tags": tags} for row, tags in zip(known, names, strict=True)]
        key = "score" if self.kind == "regression" else "answer"
        return [{key: answer} for answer in answers]

    def _row(self, given: str | tuple[str, str] | Mapping[str, Any]) -> Mapping[str, Any]:
        """A text, or a pair of texts, as a row."""
        if isinstance(given, Mapping):
            return given
        text, *pair = given if given and isinstance(given, tuple | list) else (given,)
        return rows_of_texts(self.kind, [text], pair or None, self.columns)[0]

    def answered(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Any], Sequence[np.ndarray]]:
        """Answers as `indices` gives them, and the logits of each example, at least one of each row."""
        encoded, logits = self._asked(rows)
        return self._answers(encoded, logits), logits

    def _answers(self, encoded: Encoded, logits: Sequence[np.ndarray]) -> list[Any]:
        return predictions(self._task(encoded.source), encoded, logits, self.null_threshold)

    def _task(self, rows: Dataset) -> Task:
        return Task("input", self.kind, "text_pair" in rows.column_names, self.labels, "", (), rows, {})

    def check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raises an `InputError` where a row lacks a field, or has one that is no text or does not belong there."""
        fields = self._fields(rows)
        if problems := [p for number, row in enumerate(rows) for p in _problems(row, fields, number)]:
            raise InputError(problems[:5])

    def _fields(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """What is read of a row."""
        pair = "text_pair" in self.columns if self.columns else any("text_pair" in row for row in rows)
        return (*KINDS[self.kind].texts, *["text_pair"] * pair)

    def _asked(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Encoded, Sequence[np.ndarray]]:
        """The rows as examples, and the logits of each."""
        self.check(rows)
        fields = self._fields(rows)
        source = Dataset.from_list([{field: row[field] for field in fields} for row in rows])
        encoded = encode(source, self._task(source), self.tokenizer, self.max_length, self.window_overlap)
        return encoded, logits_of(self.model, encoded, self.kind, self.machine.accelerator)

    def _named(self, logits: np.ndarray, answer: int) -> dict[str, Any]:
        shares = softmax(logits.astype(float)).tolist()
        scores = dict(zip(self.labels, shares, strict=True))
        return {"label": self.labels[answer], "score": shares[answer], "scores": scores}

    def _several(self, logits: np.ndarray, answer: list[int]) -> dict[str, Any]:
        shares = dict(zip(self.labels, expit(logits.astype(float)).tolist(), strict=True))
        return {"labels": [self.labels[index] for index in answer], "scores": shares}


def _problems(row: Mapping[str, Any], fields: Sequence[str], number: int) -> Iterator[Problem]:
    """What is missing in a row, is not text, or is one too many."""
    if "text_pair" in row and "text_pair" not in fields:
        yield Problem(f"row {number}", ONE_TEXT)
    for field in fields:
        value = row.get(field)
        words = value if field == "tokens" and isinstance(value, list) else [value]
        if not all(isinstance(word, str) for word in words):
            yield Problem(f"row {number}", f"{field} is {'missing' if value is None else 'not text'}")


def load_predictor(model: str | Path, options: RunOptions | None = None) -> Predictor:
    """A predictor from a folder that `distill` wrote, or any fine-tuned model; in float32 if nothing else is asked.

    Raises:
        InputError: There is no such model, or it has no head for a task that is known here.
    """
    name = str(model)
    options = options or RunOptions()
    if options.precision == "auto":
        options = options.model_copy(update={"precision": "float32"})
    config = load_config(name, "model")
    result = RunResult.read(name) if Path(name).is_dir() else None
    kind = _kind(name, config, result)
    labels = tuple(names_of_outputs(config, "model"))
    training = result.training if result else Training()
    usual = WINDOW_OVERLAP if kind == "question_answering" else None
    tokenizer = load_tokenizer(name, "model")
    return Predictor(
        model=load_pretrained(name, config, kind, 0, "model", new_head=False),
        tokenizer=tokenizer,
        kind=kind,
        columns=result.columns if result else {},
        labels=() if KINDS[kind].outputs else labels,
        max_length=training.max_length or _longest(tokenizer, config, kind),
        window_overlap=usual if training.window_overlap is None else training.window_overlap,
        machine=machine_for(options),
        null_threshold=result.null_thresholds.get("student") if result else None,
    )


def _longest(tokenizer: PreTrainedTokenizerBase, config: Any, kind: TaskKind) -> int:
    """Tokens that a model reads of a text, where no record says so: as its tokenizer says, else what is usual."""
    usual = max(KINDS[kind].max_length, PAIR_MAX_LENGTH)
    said = tokenizer.model_max_length if tokenizer.model_max_length < VERY_LARGE_INTEGER else usual
    return min(said, position_limit(config) or usual)


def _kind(name: str, config: Any, result: RunResult | None) -> TaskKind:
    """What a model answers: from its record, otherwise from its head."""
    if result is not None:
        return result.task_kind
    said = getattr(config, "problem_type", None)
    regression = said == "regression" or (config.num_labels == 1 and said is None)
    kinds = [kind for kind in KINDS if has_head(config, kind) and (kind == "regression") <= regression]
    if not kinds:
        hint = "`autodistill run` makes a student of it, whose folder can be named here."
        raise InputError.of("MODEL", "this model is not fine-tuned for a task", repr(name), (), hint)
    return "regression" if "regression" in kinds and regression else kinds[0]


def rows_of_texts(
    kind: TaskKind, texts: Sequence[str], pairs: Sequence[str] | None = None, columns: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Rows from plain texts: words separated by spaces for tagging; questions and contexts for question answering.

    Args:
        columns: Of the training data, by their fields, where they are known: whether there are second texts.

    Raises:
        InputError: A second text where none belongs, none where one is needed, or lists of different length.
    """
    first, second = (*KINDS[kind].fields, "")[:2]
    if pairs is None:
        if kind == "question_answering":
            raise InputError.of("--text-pair", "a question needs the context that holds its answer")
        if second in (columns or {}):
            raise InputError.of("--text-pair", "this model was trained on pairs; each text needs a second one")
        tagged = kind == "tagging"
        return [{first: text.split() if tagged and isinstance(text, str) else text} for text in texts]
    if not second or (columns and second not in columns):
        raise InputError.of("--text-pair", ONE_TEXT)
    if len(texts) != len(pairs):
        raise InputError.of("--text-pair", "needs as many texts as --text", str(len(pairs)), (str(len(texts)),))
    return [{first: a, second: b} for a, b in zip(texts, pairs, strict=True)]
