"""What the forms of a student are worth: PyTorch, ONNX and int8 on the same rows, and how long each takes.

Decided here: an exported graph is asked by the program that is exported with it, so what is compared is all that a user
runs. Times are medians, on the CPU, tokenising not counted, of batches from all over the rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from engine.base.errors import InputError
from engine.base.machine import Machine, cores
from engine.data.task import KINDS, Task
from engine.evaluation.inference import evaluating
from engine.evaluation.scores import scores
from engine.export.predict import Model
from engine.models.forward import forward
from engine.models.load import label_order
from engine.run.predictor import Predictor
from engine.run.timing import timed

Rows = list[dict[str, Any]]
Fed = dict[str, np.ndarray]
"""A batch: names of a graph's inputs → (B, N)."""
Ask = Callable[[Fed], object]
BATCHES = {1: 20, 8: 10, 32: 5}
"""Size of a batch → how many are timed."""
MADE_UP = 64
WORDS = 40  # of the longest made-up text


def rows_of(task: Task) -> Rows:
    """The fields that are answered of the rows that are scored."""
    fields = (*KINDS[task.kind].texts, *["text_pair"] * task.pair)
    return task.held_out[task.split].select_columns([*fields]).to_list()


def made_up_rows(predictor: Predictor, pair: bool) -> Rows:
    """Rows of words drawn from the vocabulary; the same for the same model."""
    dice, vocabulary = random.Random(0), sorted(predictor.tokenizer.get_vocab().values())
    fields = (*KINDS[predictor.kind].texts, *["text_pair"] * pair)

    def text() -> str:
        return predictor.tokenizer.decode(dice.choices(vocabulary, k=dice.randint(1, WORDS)), skip_special_tokens=True)

    drawn = [{field: text() for field in fields} for _ in range(MADE_UP)]
    return [{"tokens": row["tokens"].split()} for row in drawn] if predictor.kind == "tagging" else drawn


def check_data(task: Task, predictor: Predictor) -> None:
    """Raises an `InputError` where a model was not trained for such data."""
    if task.kind != predictor.kind:
        what = f"the model is for {predictor.kind.replace('_', ' ')}, these data for another kind of task"
        raise InputError.of("--data", what, task.kind.replace("_", " "))
    if label_order(predictor.labels, task.labels) is None:
        raise InputError.of("--data", "its labels are not the model's", ", ".join(task.labels), predictor.labels)


def scores_of_answers(task: Task, answers: Sequence[Any], labels: Sequence[str]) -> dict[str, float]:
    """Metric → score of answers on the rows of `rows_of`.

    Args:
        labels: As the model numbers them; the data may have another order.
    """
    if task.labels:
        order = label_order(labels, task.labels) or []
        place = {theirs: ours for ours, theirs in enumerate(order)}
        answers = [[place[tag] for tag in each] if isinstance(each, list) else place[each] for each in answers]
    return scores(task, task.held_out[task.split], answers)


def largest_difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference between logits, example by example; relative where they are above 1.

    Raises:
        ValueError: They have other shapes: the texts were read otherwise.

    Example:
        >>> largest_difference([np.array([1000.1])], [np.array([1000.0])])
        0.0001
    """
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in zip(found, expected, strict=True)]
    if any(a.shape != b.shape for a, b in pairs):
        raise ValueError("the logits have other shapes")
    worst = [np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)), initial=0.0) for a, b in pairs]
    return round(float(np.max(worst, initial=0.0)), 12)  # not Python's `max`, which may pass over NaN


def latencies(
    predictor: Predictor, graphs: Mapping[str, Callable[[int], Model]], rows: Rows
) -> dict[str, dict[str, dict[str, float]]]:
    """Form → threads → size of a batch → median milliseconds of a batch.

    Args:
        graphs: Form → what loads its graph, to be computed with so many threads.
    """
    found: dict[str, dict[str, dict[str, float]]] = {form: {} for form in ("pytorch", *graphs)}
    for threads in sorted({1, cores()}):
        models = {form: load(threads) for form, load in graphs.items()}
        any_graph = next(iter(models.values()))
        examples, _ = any_graph.encoded(rows)
        with _threads(threads), evaluating(predictor.model):
            asked = {"pytorch": partial(_forward, predictor)} | {form: _runner(each) for form, each in models.items()}
            for size in BATCHES:
                batches = [any_graph.fed(each) for each in _batches(examples, size)]
                for form, milliseconds in _medians(asked, batches, predictor.machine).items():
                    found[form].setdefault(str(threads), {})[str(size)] = milliseconds
    return found


def _runner(model: Model) -> Ask:
    return lambda fed: model.session.run(None, fed)


def _forward(predictor: Predictor, fed: Fed) -> object:
    inputs = {name: torch.from_numpy(values) for name, values in fed.items()}
    return forward(predictor.model, inputs, predictor.kind)


def _batches(examples: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """As many batches as are timed, the examples taken in turn."""
    for number in range(BATCHES[size]):
        yield [examples[(number * size + each) % len(examples)] for each in range(size)]


def _medians(asked: Mapping[str, Ask], batches: Sequence[Fed], machine: Machine) -> dict[str, float]:
    """Median milliseconds of each form; the forms take turns, so that other work on the machine slows all of them."""
    seconds = [{form: timed(machine, [partial(ask, each)] * 2)[0] for form, ask in asked.items()} for each in batches]
    return {form: 1000 * median(of_batch[form] for of_batch in seconds) for form in asked}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
