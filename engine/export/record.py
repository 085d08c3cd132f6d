"""What an exported folder says of itself: `model.json`, which `predict.py` reads to answer, and `export.json`, what was
measured.

Decided here: the table that a person sees of it, on screen and in the model card.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from engine.base.errors import InputError, counted, digits
from engine.base.text import read_text
from engine.data.task import TaskKind
from engine.run.result import Record, metric_in_words

ABOUT_FILE, EXPORT_FILE = "model.json", "export.json"
GRAPH, INT8_GRAPH = "model.onnx", "model.int8.onnx"
FORMS = {"teacher": "teacher", "pytorch": "student in PyTorch", "onnx": "ONNX", "int8": "ONNX, int8"}
"""What is compared → its name."""
NONE = "–"


class About(Record):
    """What answering takes beside the graph and the tokenizer."""

    layout: int = 1
    kind: TaskKind
    labels: list[str]  # of classes or tags, by their numbers
    pair: bool
    columns: dict[str, str]  # field → column of the data that it was trained on; empty where no record says it
    max_length: int
    window_overlap: int | None  # tokens; of question answering, and of texts that are classified in windows
    null_threshold: float | None = None  # of questions that may have no answer
    inputs: list[str]  # of the graphs, each (B, N) int64
    pad: int  # the token that fills input_ids


class Export(Record):
    """The record of an export."""

    layout: int = 1
    model: str  # as others may see it: of a folder its name alone
    files: list[str]  # beside this one
    program: str = ""  # hash of `predict.py` as it was written; empty in records of before
    task: str = ""  # name of the data that were scored; empty: made-up texts, and no scores
    split: str = ""
    rows: int  # that were answered, made-up ones too
    metric: str = ""
    positive: str | None = None  # the class that `f1` is of, where there are two
    scores: dict[str, dict[str, float]]  # form (`FORMS`) → metric → score on that split
    difference: float  # largest between the logits of ONNX and PyTorch, relative to those above 1
    size_mb: dict[str, float]  # form → 10^6 bytes of weights
    latency_ms: dict[str, dict[str, dict[str, float]]]  # form → threads → size of the batch → median of a batch
    device: str
    versions: dict[str, str]
    notes: list[str]  # what to know, a sentence each

    @classmethod
    def read(cls, folder: Path) -> Export | None:
        """The record in a folder; None where there is none, an `InputError` where it is no record."""
        path = folder / EXPORT_FILE
        if not os.path.lexists(path):
            return None
        try:
            return cls.model_validate_json(read_text(path))
        except ValidationError as error:
            raise InputError.of(str(path), "not the record of an export", str(error).partition("\n")[0]) from error

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows: each form with its score, its size and its times."""
        times = next(iter(self.latency_ms.values()), {})
        columns = [(threads, batch) for threads, of_batches in times.items() for batch in of_batches]
        forms = [form for form in FORMS if form in self.scores or form in self.size_mb]
        heads = ["", *[metric_in_words(self.metric, self.positive)] * bool(self.scores), "size (MB)"]
        heads += [f"ms, batch {batch}, {counted(int(threads), 'thread')}" for threads, batch in columns]
        return heads, [[FORMS[form], *self._figures(form, columns)] for form in forms]

    def _figures(self, form: str, columns: list[tuple[str, str]]) -> Iterator[str]:
        if self.scores:
            yield f"{self.scores[form][self.metric]:.4f}" if form in self.scores else NONE
        yield digits(self.size_mb[form]) if form in self.size_mb else NONE
        for threads, batch in columns:
            found = self.latency_ms.get(form, {}).get(threads, {}).get(batch)
            yield NONE if found is None else digits(found)

    @property
    def sentences(self) -> list[str]:
        """What the table does not say."""
        rows = counted(self.rows, "row")
        on = (
            f"{rows} of {self.task} ({self.split}), which the scores are of" if self.task else f"{rows} of made-up text"
        )
        return [f"The logits of ONNX and PyTorch differ by {self.difference:.1g} at most, on {on}.", *self.notes]
