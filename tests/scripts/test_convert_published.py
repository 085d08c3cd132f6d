"""Printed figures become runs in the project's layout, and the shipped table is what that gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autodistill.history.read import read_runs
from autodistill.history.table import Runs
from meta_data import PUBLISHED
from scripts.convert_published import convert

PRINTED = {
    "table": 9,
    "dataset": "STS-B",
    "split": "validation",
    "metric": "pearson",
    "teacher": "BERT_BASE",
    "student": "TinyBERT_4",
    "intermediate_objective": "mi_alpha",
    "alpha": 0.5,
    "layer_mapping": "emd",
    "prediction_loss": "mse",
    "augmentation": "random+mixup",
    "critic": "mlp",
    "score": 80.1,
    "teacher_score": 88.0,
    "n_train": 5749,
}


def converted(folder: Path, *rows: dict[str, Any]) -> Runs:
    """The runs that printed figures become."""
    pd.DataFrame(rows).to_csv(folder / "printed.csv", index=False)
    convert(folder / "printed.csv", folder / "runs.csv")
    return read_runs(folder / "runs.csv")


def known(row: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in row.items() if not pd.isna(value)}


def test_a_printed_figure_in_our_layout(tmp_path: Path) -> None:
    (found,) = converted(tmp_path, PRINTED).frame.to_dict("records")
    assert known(found) == {
        "dataset": "stsb",
        "task_kind": "regression",
        "metric": "pearson",
        "held_out": "validation",
        "n_train": 5749,
        "teacher": "BERT_BASE",
        "teacher_layers": 12,
        "teacher_hidden_size": 768,
        "teacher_parameters": 110_000_000,
        "student": "TinyBERT_4",
        "student_layers": 4,
        "student_hidden_size": 312,
        "student_parameters": 14_000_000,
        "intermediate": "mi_alpha",
        "intermediate.alpha": 0.5,
        "intermediate.critic": "mlp",
        "mapping": "emd",
        "prediction": "mse",
        "augmentation": "random+mixup",
        "augmentation.random": 1,
        "augmentation.mixup": 2,
        "team": "single",
        "score": pytest.approx(0.801),
        "teacher_score": 0.88,
        "ratio": pytest.approx(80.1 / 88),
        "source": "published, table 9",
    }


def test_what_is_not_printed_stays_open_and_none_is_a_kind(tmp_path: Path) -> None:
    silent = {"intermediate_objective": "none", "alpha": None, "critic": None, "prediction_loss": None}
    runs = converted(tmp_path, PRINTED, PRINTED | silent | {"augmentation": "none"})
    _, found = runs.frame.to_dict("records")
    assert (found["intermediate"], found["augmentation"]) == ("none", "none")
    assert not {"intermediate.alpha", "intermediate.critic", "prediction"} & set(known(found))


@pytest.mark.parametrize(
    ("printed", "dataset", "held_out"),
    [
        ("MNLI-m", "mnli", "test of MNLI-m"),
        ("MNLI-mm", "mnli", "test of MNLI-mm"),
        ("SQuAD v1.1", "squad", "test of SQuAD v1.1"),
        ("SST-2", "sst2", "test"),
    ],
)
def test_held_out_sets_of_one_dataset(tmp_path: Path, printed: str, dataset: str, held_out: str) -> None:
    (found,) = converted(tmp_path, PRINTED | {"dataset": printed, "split": "test"}).frame.to_dict("records")
    assert (found["dataset"], found["held_out"]) == (dataset, held_out)


def test_a_student_without_a_teacher_is_left_out(tmp_path: Path) -> None:
    runs = converted(tmp_path, PRINTED, PRINTED | {"teacher": "none", "student": "BERT_MINI"})
    assert runs.frame.student.tolist() == ["TinyBERT_4"]


@pytest.mark.shared
def test_the_shipped_table_is_what_the_paper_s_figures_become(shared: Path, tmp_path: Path) -> None:
    convert(shared / "published" / "distiller_results.csv", tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_bytes() == PUBLISHED.read_bytes()
