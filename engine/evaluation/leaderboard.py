"""Predictions on GLUE's test sets → the files that gluebenchmark.com takes.

Decided here: one file per test set, `index<TAB>prediction`, in the order of the test rows; class names for the
inference tasks, class indices elsewhere, and for STS-B a number from 0 to 5.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.base.errors import InputError, counted, unknown_name
from engine.base.files import write_text
from engine.data.benchmarks import BENCHMARKS, Benchmark
from engine.data.task import Task


def glue_files(task: Task) -> dict[str, str]:
    """Test split → name of its leaderboard file; empty where the task is not GLUE's, even if it bears such a name."""
    benchmark = BENCHMARKS.get(task.name)
    if benchmark is None or (benchmark.labels and benchmark.labels != task.labels):
        return {}
    return {split: file for split, file in benchmark.files.items() if split in task.unlabelled}


def write_glue_files(task: Task, predictions_by_split: Mapping[str, Sequence[float]], folder: str | Path) -> list[Path]:
    """Writes the leaderboard file of each split that has predictions, in the order of the splits.

    Args:
        predictions_by_split: Test split → class index of each row, or its number (STS-B).
        folder: Made if it does not exist.

    Raises:
        InputError: The task is not GLUE's, has no such test set, or the predictions do not fit its rows.
    """
    files = glue_files(task)
    if not files:
        raise InputError.of(task.name, "no task of the GLUE leaderboard with a test set", allowed=BENCHMARKS)
    benchmark = BENCHMARKS[task.name]
    texts = {}
    for split, predictions in predictions_by_split.items():
        if split not in files:
            raise InputError(unknown_name(task.name, "no test set of this name", split, files))
        if (got := len(predictions)) != (rows := len(task.unlabelled[split])):
            counts = f"{counted(got, 'prediction')} for {counted(rows, 'row')}"
            raise InputError.of(f"{task.name} {split}", "one prediction per row is needed", counts)
        lines = (f"{row}\t{_written(benchmark, answer)}\n" for row, answer in enumerate(predictions))
        texts[Path(folder) / files[split]] = "index\tprediction\n" + "".join(lines)
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _written(benchmark: Benchmark, prediction: float) -> str:
    if benchmark.kind == "regression":
        return f"{min(max(float(prediction), 0.0), 5.0):.3f}"
    index = int(prediction)
    return benchmark.labels[index] if benchmark.words else str(index)
