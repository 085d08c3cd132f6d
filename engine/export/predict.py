"""Answers texts with the exported model of this folder; needs onnxruntime, tokenizers and numpy, and nothing else.

    python predict.py "a text" ["its second text, or a question's context"]
    python predict.py < rows.jsonl         rows such as {"text": "a text"}, one a line; so are the answers
    python predict.py --model model.int8.onnx "a text"

In Python: `from predict import Model`, then `Model("this/folder")([{"text": "a text"}])`. The file is yours to change.

Decided here: what AutoDistiller's `predict` does, once more without torch, since this file is copied into what is
exported. A word's tag stands at the first token that begins in it; a long context is read in windows, and so
is a long text where the model was trained so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

BATCH = 32
LONGEST_ANSWER = 30  # tokens
FIELDS = {"tagging": ("tokens",), "question_answering": ("question", "context")}
"""Kind of task → fields of a row; the others have `text`, and `text_pair` where the model reads pairs."""


class Model:
    """An exported model. `Model(folder)(rows)` gives one answer a row.

    Args:
        file: `model.onnx`, or `model.int8.onnx`.
        threads: That compute; 0: one for each core.
    """

    def __init__(self, folder: str | Path, file: str = "model.onnx", threads: int = 0):
        about = json.loads((Path(folder) / "model.json").read_text("utf-8"))
        self.kind, self.labels, self.pair = about["kind"], about["labels"], about["pair"]
        self.inputs, self.pad = about["inputs"], about["pad"]
        self.max_length, self.overlap = about["max_length"], about["window_overlap"]
        self.threshold = about.get("null_threshold")  # of questions that may have no answer
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        where = str(Path(folder) / file)
        self.session = onnxruntime.InferenceSession(where, options, providers=["CPUExecutionProvider"])

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that a row must have."""
        return FIELDS.get(self.kind, ("text", "text_pair")[: 1 + self.pair])

    def __call__(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Classification: `label`, `score` and `scores`; multi-label: `labels` and `scores`; regression: `score`;
        tagging: `tokens` and `tags`; question answering: `answer`, and where there may be none `no_answer`, the
        probability that it is empty."""
        if self.threshold is not None:
            found = self._spans(rows, *self._asked(rows))
            return [{"answer": self._said(*each), "no_answer": _logistic(each[1] - self.threshold)} for each in found]
        if self.kind in ("classification", "multi_label"):
            _, of_rows, logits = self._asked(rows)
            named = self._named if self.kind == "classification" else self._several
            return [named(values) for values in _means(of_rows, logits)]
        answers, _ = self.answered(rows)
        if self.kind == "tagging":
            names = [[self.labels[tag] for tag in tags] for tags in answers]
            return [{"tokens": row["tokens"], "tags": tags} for row, tags in zip(rows, names, strict=True)]
        return [{"score" if self.kind == "regression" else "answer": answer} for answer in answers]

    def answered(self, rows: Sequence[dict[str, Any]]) -> tuple[list[Any], list[np.ndarray]]:
        """Classes, lists of labels, values, tags or texts, one a row; and the logits of each example: a row, or a
        window of one."""
        examples, of_rows, logits = self._asked(rows)
        if self.kind == "tagging":
            return [self._tags(*each) for each in zip(rows, examples, logits, strict=True)], logits
        if self.kind == "question_answering":
            return [self._said(*each) for each in self._spans(rows, examples, of_rows, logits)], logits
        if self.kind == "classification":
            return [int(each.argmax()) for each in _means(of_rows, logits)], logits
        if self.kind == "multi_label":
            return [np.flatnonzero(each > 0).tolist() for each in _means(of_rows, logits)], logits
        return [float(each[0]) for each in logits], logits

    def _asked(self, rows: Sequence[dict[str, Any]]) -> tuple[list[Encoding], list[int], list[np.ndarray]]:
        """Examples, the row of each, and the logits of each."""
        examples, of_rows = self.encoded(rows)
        return examples, of_rows, self.logits(examples)

    def encoded(self, rows: Sequence[dict[str, Any]]) -> tuple[list[Encoding], list[int]]:
        """The tokens of each example, and the row that it came from."""
        if self.kind == "question_answering":
            windows = [self._windows(row["question"], row["context"]) for row in rows]
            return [each for some in windows for each in some], [i for i, some in enumerate(windows) for _ in some]
        if self.kind == "classification" and self.overlap is not None:
            room = self.max_length - self.tokenizer.num_special_tokens_to_add(False)
            self.tokenizer.enable_truncation(self.max_length, stride=min(self.overlap, room // 2))
            windows = [[each, *each.overflowing] for each in self.tokenizer.encode_batch([row["text"] for row in rows])]
            return [each for some in windows for each in some], [i for i, some in enumerate(windows) for _ in some]
        self.tokenizer.enable_truncation(self.max_length, strategy="longest_first")
        texts = [[row[field] for field in self.fields] for row in rows]
        if self.kind == "tagging":
            texts = [[" ".join(words)] for (words,) in texts]
        return self.tokenizer.encode_batch([tuple(t) if self.pair else t[0] for t in texts]), [*range(len(rows))]

    def logits(self, examples: Sequence[Encoding]) -> list[np.ndarray]:
        """(C,) of each example, or (N, C) where every token has an answer; those of like length go together."""
        order = sorted(range(len(examples)), key=lambda index: len(examples[index]))
        found: dict[int, np.ndarray] = {}
        for begin in range(0, len(order), BATCH):
            batch = order[begin : begin + BATCH]
            (values,) = self.session.run(None, self.fed([examples[index] for index in batch]))
            for index, row in zip(batch, values, strict=True):
                found[index] = row[: len(examples[index])] if row.ndim == 2 else row
        return [found[index] for index in range(len(examples))]

    def fed(self, examples: Sequence[Encoding]) -> dict[str, np.ndarray]:
        """A padded batch: names of the graph's inputs → (B, N) int64."""
        width = max(1, *(len(each) for each in examples))
        values = {
            "input_ids": (lambda each: each.ids, self.pad),
            "attention_mask": (lambda each: [1] * len(each), 0),
            "token_type_ids": (lambda each: each.type_ids, 0),
        }
        fed = {}
        for name in self.inputs:
            of, fill = values[name]
            fed[name] = np.array([[*of(each), *[fill] * (width - len(each))] for each in examples], dtype=np.int64)
        return fed

    def _named(self, logits: np.ndarray) -> dict[str, Any]:
        powers, label = np.exp(logits.astype(float) - logits.max()), self.labels[int(logits.argmax())]
        scores = dict(zip(self.labels, (powers / powers.sum()).tolist(), strict=True))
        return {"label": label, "score": scores[label], "scores": scores}

    def _several(self, logits: np.ndarray) -> dict[str, Any]:
        scores = dict(zip(self.labels, map(_logistic, logits.tolist()), strict=True))
        return {"labels": [self.labels[index] for index in np.flatnonzero(logits > 0)], "scores": scores}

    def _tags(self, row: dict[str, Any], example: Encoding, logits: np.ndarray) -> list[int]:
        """Of words that were cut off `O`, or the first tag."""
        text, best, at, tags = " ".join(row["tokens"]), logits.argmax(axis=1), 0, []
        spans = zip(example.offsets, example.sequence_ids, strict=True)
        starts = [(_trimmed(text, *span)[0] if sequence == 0 else -1) for span, sequence in spans]
        lost = self.labels.index("O") if "O" in self.labels else 0
        for word in row["tokens"]:
            low, high = at + len(word) - len(word.lstrip() or word), at + len(word)
            tags.append(next((int(best[i]) for i, start in enumerate(starts) if low <= start < high), lost))
            at = high + 1
        return tags

    def _windows(self, question: str, context: str) -> list[Encoding]:
        """A question, of half of the maximum length at most, with each piece of its context."""
        self.tokenizer.no_truncation()
        special = self.tokenizer.num_special_tokens_to_add(True)
        question, length = self._cut(question, max(1, min(self.max_length // 2, self.max_length - special - 1)))
        shared = min(self.overlap, (self.max_length - special - length) // 2)
        self.tokenizer.enable_truncation(self.max_length, stride=shared, strategy="only_second")
        first = self.tokenizer.encode(question, context)
        return [first, *first.overflowing]

    def _cut(self, text: str, limit: int) -> tuple[str, int]:
        """The longest beginning of a text with at most so many tokens, and how many it has."""
        example, keep = self.tokenizer.encode(text, add_special_tokens=False), limit
        while len(example) > limit:  # a beginning may have more tokens than it had within its text
            text = text[: example.offsets[keep - 1][1]] if keep else ""
            example = self.tokenizer.encode(text, add_special_tokens=False)
            keep = min(keep, len(example)) - 1
        return text, len(example)

    def _said(self, text: str, margin: float) -> str:
        """The text, or none where that is likelier by more than the threshold."""
        return "" if self.threshold is not None and margin > self.threshold else text

    def _spans(
        self, rows: Sequence[dict[str, Any]], examples: list[Encoding], of_rows: list[int], logits: list[np.ndarray]
    ) -> list[tuple[str, float]]:
        """The piece of each context whose ends have the largest sum of logits, over all windows; and by how much the
        first token's, which says that there is none, is above it, in the window where it is least."""
        best, none = [(-np.inf, 0, 0)] * len(rows), [np.inf] * len(rows)
        for row, example, values in zip(of_rows, examples, logits, strict=True):
            none[row] = min(none[row], float(values[0].sum()))
            inside = [token for token, sequence in enumerate(example.sequence_ids) if sequence == 1]
            if inside:
                score, first, last = _best_span(values[inside])
                if score > best[row][0]:
                    context, spans = rows[row]["context"], example.offsets
                    begin, _ = _trimmed(context, *spans[inside[first]])
                    best[row] = score, begin, _trimmed(context, *spans[inside[last]])[1]
        return [
            (row["context"][begin:end].strip(), least - score)
            for row, (score, begin, end), least in zip(rows, best, none, strict=True)
        ]


def _means(of_rows: list[int], logits: list[np.ndarray]) -> list[np.ndarray]:
    """The mean logits (C,) of each row, over its windows."""
    found: dict[int, list[np.ndarray]] = {}
    for row, values in zip(of_rows, logits, strict=True):
        found.setdefault(row, []).append(values)
    return [np.mean(each, axis=0) for each in found.values()]


def _logistic(margin: float) -> float:
    """From any number to a probability; of 0 it is 0.5."""
    return float(0.5 + 0.5 * np.tanh(margin / 2))


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    """A span without whitespace at its ends, unless it is nothing else."""
    piece = text[begin:end]
    if not piece.strip():
        return begin, end
    return begin + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def _best_span(logits: np.ndarray) -> tuple[float, int, int]:
    """Score, first and last token of the best span; logits (N, 2) of beginning and end."""
    sums = logits[:, :1] + logits[None, :, 1]
    length = np.arange(len(logits)) - np.arange(len(logits))[:, None]
    sums = np.where((length >= 0) & (length < LONGEST_ANSWER), sums, -np.inf)
    first, last = divmod(int(sums.argmax()), len(logits))
    return float(sums[first, last]), first, last


def main() -> None:
    """Answers what was typed, or the rows on standard input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", nargs="*", help="one text, or two; without any, rows as JSON on standard input")
    parser.add_argument("--model", default="model.onnx")
    typed = parser.parse_args()
    model = Model(Path(__file__).resolve().parent, typed.model)
    words = [typed.texts[0].split(), *typed.texts[1:]] if model.kind == "tagging" and typed.texts else typed.texts
    if words and len(words) != len(model.fields):
        parser.error(f"this model reads {' and '.join(model.fields)}: {len(model.fields)} and not {len(words)}")
    given = [dict(zip(model.fields, words, strict=True))] if words else None
    rows = given or [json.loads(line) for line in sys.stdin if line.strip()]
    for answer in model(rows):
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
