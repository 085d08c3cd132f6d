"""Runs a model over a whole encoded split: logits, answers, scores, latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import gather_object, send_to_device
from torch import nn

from engine.base.progress import Reporter, SilentReporter
from engine.evaluation.intervals import Measures, measure
from engine.evaluation.scores import calibration_error, logits_of_rows, predictions, scores
from engine.evaluation.spans import best_threshold, spans_of
from engine.models.forward import accepted_inputs, forward
from engine.models.sharded import is_sharded
from engine.tokens.examples import Encoded, encode
from engine.tokens.order import sorted_batches

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedTokenizerBase

    from engine.data.metrics import Scores
    from engine.data.task import Task, TaskKind
    from engine.pipeline.training import Training

EVALUATION_BATCH = 64
LATENCY_RUNS = 20
LATENCY_SECONDS = 3.0
THROUGHPUT_BATCH = 32


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the earlier mode comes back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def logits_of(
    model: nn.Module, encoded: Encoded, kind: TaskKind, accelerator: Accelerator, reporter: Reporter | None = None
) -> Sequence[np.ndarray]:
    """The logits of every example, cut to its own length; all processes share the work.

    Returns:
        Per example a float32 array (C,), all of them in one; or (N, C) where the model answers per token.
    """
    accepted = accepted_inputs(model.to(accelerator.device))
    answered: list[tuple[np.ndarray, Any]] = []  # ids of a batch, and the logits of each
    batches = sorted_batches(encoded.lengths, EVALUATION_BATCH)
    reporter = reporter or SilentReporter()
    reporter.start("evaluation", len(encoded), unit="examples")
    own = [*batches[accelerator.process_index :: accelerator.num_processes]]
    if is_sharded(model):  # every process has to take part in each answer, also where none is left for it
        own += [batches[0]] * (len(batches[:: accelerator.num_processes]) - len(own))
    with evaluating(model), accelerator.autocast():
        for ids in own:
            inputs = send_to_device(encoded.inputs(ids, accepted=accepted), accelerator.device)
            rows: Any = forward(model, inputs, kind).logits.float().cpu().numpy()
            if rows.ndim == 3:  # copies, so that the padding is not kept with them
                rows = [row[:length].copy() for row, length in zip(rows, encoded.lengths[ids], strict=True)]
            answered.append((ids, rows))
            reporter.advance("evaluation", len(ids) * accelerator.num_processes)
    reporter.finish("evaluation")
    if accelerator.num_processes > 1:
        answered = gather_object(answered)
    ordered: Any = [()] * len(encoded)
    if answered and isinstance(answered[0][1], np.ndarray):
        ordered = np.empty((len(encoded), answered[0][1].shape[1]), dtype=np.float32)
    for ids, rows in answered:
        for index, row in zip(ids.tolist(), rows, strict=True):
            ordered[index] = row
    return ordered


def encode_held_out(task: Task, tokenizer: PreTrainedTokenizerBase, training: Training) -> dict[str, Encoded]:
    """Every held-out set of a task through a tokenizer, the one that selects first."""
    length, overlap = training.max_length or 0, training.window_overlap
    return {name: encode(rows, task, tokenizer, length, overlap) for name, rows in task.held_out.items()}


def scores_on(
    model: nn.Module,
    task: Task,
    held_out: Mapping[str, Encoded],
    accelerator: Accelerator,
    reporter: Reporter | None = None,
) -> Scores:
    """Held-out set → metric → score of a model, on the sets wanted, by their names in `task.held_out`."""
    answered = _answered(model, task, held_out, accelerator, reporter)
    return {name: scores(task, task.held_out[name], answers) for name, answers, *_ in answered}


def measured_on(
    model: nn.Module,
    task: Task,
    held_out: Mapping[str, Encoded],
    accelerator: Accelerator,
    reporter: Reporter | None = None,
) -> Measures:
    """The same with intervals, answers and calibration."""
    found = {}
    for name, answers, logits, threshold in _answered(model, task, held_out, accelerator, reporter):
        rows = task.held_out[name]
        more: dict[str, Any] = {"calibration_error": calibration_error(task, rows, logits), "null_threshold": threshold}
        found[name] = replace(measure(task, rows, answers), **more)
    return found


def _answered(
    model: nn.Module, task: Task, held_out: Mapping[str, Encoded], accelerator: Accelerator, reporter: Reporter | None
) -> Iterator[tuple[str, list[Any], Sequence[np.ndarray], float | None]]:
    """Held-out sets, what a model answers there, the logits of each row (per token, of each example), and the threshold
    of no answer, which the first set chooses."""
    threshold = None
    for name, encoded in held_out.items():
        logits = logits_of(model, encoded, task.kind, accelerator, reporter)
        if task.may_lack_answers and threshold is None:
            threshold = best_threshold(spans_of(encoded, logits), task.held_out[name]["answers"][:], task.metric)
        yield name, predictions(task, encoded, logits, threshold), logits_of_rows(encoded, logits), threshold


def timing(model: nn.Module, encoded: Encoded, kind: TaskKind, device: torch.device) -> tuple[float, float]:
    """How fast a model answers, in float32, tokenising not counted.

    Returns:
        Median milliseconds of one example at batch 1, and median examples per second at batch 32.
    """
    accepted = accepted_inputs(model.to(device))
    spread = np.linspace(0, len(encoded) - 1, num=min(len(encoded), LATENCY_RUNS), dtype=int)
    order = np.arange(len(encoded))[: 4 * THROUGHPUT_BATCH]
    batches = [order[start : start + THROUGHPUT_BATCH] for start in range(0, len(order), THROUGHPUT_BATCH)]

    def seconds(ids: np.ndarray) -> float:
        inputs = send_to_device(encoded.inputs(ids, accepted=accepted), device)
        started = time.perf_counter()
        forward(model, inputs, kind)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    with evaluating(model):
        single, many = _within(seconds, [spread[[i]] for i in range(len(spread))]), _within(seconds, batches)
    rates = [len(ids) / taken for ids, taken in zip(batches, many, strict=False)]
    return 1000 * float(np.median(single)), float(np.median(rates))


def _within(seconds: Callable[[np.ndarray], float], batches: list[np.ndarray]) -> list[float]:
    """Times of the batches, a first one not counted, as many as fit `LATENCY_SECONDS`."""
    seconds(batches[0])
    times: list[float] = []
    for ids in batches:
        times.append(seconds(ids))
        if sum(times) > LATENCY_SECONDS:
            break
    return times
