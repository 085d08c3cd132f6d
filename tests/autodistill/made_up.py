"""Made-up past runs whose truth is known: datasets differ in size, and components in what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd

from autodistill.datasets.descriptors import Descriptors
from autodistill.datasets.embedding import WordVectors
from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words, word_hashes
from autodistill.history.table import runs_frame
from autodistill.ranking.past import RunTable

Worth = Callable[[float, str, str, str], float]
"""Size of a dataset (−1 to 1), intermediate, mapping, prediction → what a pipeline is worth."""

HASHES = np.unique(word_hashes(["say", "which", *(f"word{place}" for place in range(200))]))
VECTORS = WordVectors("made up", HASHES, np.random.default_rng(0).normal(size=(len(HASHES), 50)))
"""Random ones: two datasets are near each other where they share words."""

INTERMEDIATES, MAPPINGS, PREDICTIONS = ("mse", "mi_alpha", "cos"), ("skip", "emd"), ("ce", "mse")


def by_size(size: float, intermediate: str, mapping: str, prediction: str) -> float:
    """mse is best on large datasets and mi_alpha on small ones."""
    return size * {"mse": 1.0, "mi_alpha": -1.0, "cos": 0.0}[intermediate]


def everywhere_the_same(size: float, intermediate: str, mapping: str, prediction: str) -> float:
    """mse is best on every dataset, and ce a little better than mse as prediction loss."""
    return {"mse": 0.6, "mi_alpha": -0.6, "cos": 0.0}[intermediate] + 0.3 * (prediction == "ce")


def made_up(
    worth: Worth, datasets: int = 10, repeats: int = 1, noise: float = 0.3, seed: int = 0, distracting: bool = False
) -> RunTable:
    """Runs of every pipeline on every dataset; the datasets' words say nothing.

    Args:
        distracting: Datasets differ in descriptors that decide nothing, too.
    """
    dice = np.random.default_rng(seed)
    known, rows = {}, []
    for place, size in enumerate(np.linspace(-1, 1, datasets)):
        name = f"set{place}"
        known[name] = _dataset(name, int(10 ** (3.5 + 1.5 * size)), dice)
        if distracting:
            known[name] = _with_other_descriptors(known[name], np.random.default_rng([seed, place]))
        for parts in product(INTERMEDIATES, MAPPINGS, PREDICTIONS):
            for seed_of_run in range(repeats):
                value = worth(size, *parts) + noise * dice.standard_normal()
                rows.append(_row(name, known[name].descriptors.n_train, parts, seed_of_run, value))
    return RunTable(runs_frame(rows, [f"row {place}" for place in range(len(rows))]), known, VECTORS)


def _row(name: str, n_train: int, parts: tuple[str, str, str], seed: int, value: float) -> dict[str, object]:
    return {
        "dataset": name,
        "task_kind": "classification",
        "metric": "accuracy",
        "n_train": n_train,
        "teacher": "large",
        "student": "small",
        "student_layers": 4,
        "student_hidden_size": 128,
        "student_parameters": 5_000_000,
        "teacher_layers": 12,
        "teacher_hidden_size": 768,
        "teacher_parameters": 110_000_000,
        "seed": seed,
        "score": 0.85 + 0.02 * value,
        "teacher_score": 0.9,
        **dict(zip(("intermediate", "mapping", "prediction"), parts, strict=True)),
    }


def _dataset(name: str, n_train: int, dice: np.random.Generator) -> Dataset:
    words = count_words([" ".join(dice.choice([f"word{place}" for place in range(200)], 300))])
    descriptors = Descriptors(
        dataset=name,
        description="Say which.",
        task_kind="classification",
        metric="accuracy",
        pair=False,
        n_train=n_train,
        labels=2,
        label_entropy=1.0,
        words_mean=10.0,
        words_deviation=3.0,
        type_token_ratio=0.3,
        bilstm_score=0.7,
    )
    return Dataset(descriptors, words)


def _with_other_descriptors(dataset: Dataset, dice: np.random.Generator) -> Dataset:
    drawn = {
        "labels": int(dice.integers(2, 9)),
        "label_entropy": dice.uniform(0.5, 1.0),
        "words_mean": dice.uniform(5, 80),
        "words_deviation": dice.uniform(1, 20),
        "type_token_ratio": dice.uniform(0.1, 0.6),
        "pair": bool(dice.integers(2)),
        "bilstm_score": dice.uniform(0.6, 0.8),
    }
    return Dataset(dataset.descriptors.model_copy(update=drawn), dataset.words)


FRAME = pd.DataFrame(
    [
        {"teacher": "t", "student": "s", "intermediate": kind, "mapping": mapping, "prediction": prediction}
        for kind in ("mse", "mi_alpha")
        for mapping in ("skip", "emd")
        for prediction in ("ce", "mse")
    ]
)
STANDINGS = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
"""Eight candidates, every combination of two kinds of three components, and a predicted order of them."""
