"""The layout of the authors' table: how its rows become ours, and which of its faults are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autodistill.history.authors import AuthorsRow, sizes, task_kind
from autodistill.history.read import read_runs
from autodistill.history.table import Runs
from autodistill.ranking.past import configuration_columns, configurations
from engine.base.errors import InputError
from engine.pipeline import component_kinds

BOM = "\ufeff"


def without_fillers(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not pd.isna(value) and value != ""}


AUTHORS = {field.alias or name: name for name, field in AuthorsRow.model_fields.items()}
"""Column in the file → field."""


def authors_row(**more: object) -> dict[str, object]:
    known = {
        "Model": "TinyBERT4",
        "Teacher": "BERT_BASE",
        "intermediate_loss_type": "mi",
        "alpha": 0.9,
        "intermediate_strategy": "skip",
        "kd_loss_type": "mse",
        "mixup": "FALSE",
        "repeated_aug": 1,
        "aug_p": 0.3,
        "examples": 2500,
        "score": 0.6,
        "task": "rte",
        "ratio": 0.8,
        "baseline_score": 54.1,
        "contextual": 0,
        "backtranslation": 0,
        "random": 0,
    }
    assert set(known) == set(AUTHORS.values())
    return known | more


def authors_table(folder: Path, *rows: dict[str, object], mark: str = "") -> Path:
    lines = [",".join(AUTHORS), *(",".join(str(row[name]) for name in AUTHORS.values()) for row in rows)]
    path = folder / "their_runs.csv"
    path.write_text(mark + "\n".join(lines) + "\n", "utf-8")
    return path


def authors_runs(folder: Path, *rows: dict[str, object]) -> Runs:
    return read_runs(authors_table(folder, *rows))


def test_an_authors_row_in_our_layout(tmp_path: Path) -> None:
    (found,) = authors_runs(tmp_path, authors_row()).frame.to_dict("records")
    assert without_fillers(found) == {
        "dataset": "rte",
        "task_kind": "classification",
        "metric": "not stated",
        "held_out": "validation",
        "n_train": 2500,
        "teacher": "BERT_BASE",
        "teacher_layers": 12,
        "teacher_hidden_size": 768,
        "teacher_parameters": 110_000_000,
        "student": "TinyBERT_4",
        "student_layers": 4,
        "student_hidden_size": 312,
        "student_parameters": 14_000_000,
        "intermediate": "mi_alpha",
        "intermediate.alpha": 0.9,
        "mapping": "skip",
        "prediction": "mse",
        "team": "single",
        "augmentation": "none",
        "score": 0.6,
        "teacher_score": pytest.approx(0.75),  # what the ratio implies
        "ratio": 0.8,
        "bilstm_score": pytest.approx(0.541),
        "source": "the authors' runs",
    }


@pytest.mark.parametrize("loss", ["mse", "cos", "pkd", "ce"])
def test_alpha_is_a_filler_where_the_objective_has_none(tmp_path: Path, loss: str) -> None:
    read = authors_runs(tmp_path, authors_row(), authors_row(intermediate_loss_type=loss, alpha=0.5))
    assert read.frame.intermediate.tolist() == ["mi_alpha", loss]
    assert read.frame["intermediate.alpha"].notna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("used", "stack"),
    [
        ({}, "none"),
        ({"mixup": "TRUE"}, "mixup"),
        ({"random": 1}, "random"),
        ({"random": 1, "contextual": 2}, "random+contextual"),
        ({"random": 2, "contextual": 1, "mixup": "TRUE"}, "contextual+random+mixup"),
        ({"random": 3, "contextual": 2, "backtranslation": 1}, "back_translation+contextual+random"),
    ],
)
def test_operators_stand_in_their_order(tmp_path: Path, used: dict[str, object], stack: str) -> None:
    (found,) = authors_runs(tmp_path, authors_row(**used, aug_p=0.2, repeated_aug=2)).frame.to_dict("records")
    assert found["augmentation"] == stack
    operators = [name for name in stack.split("+") if name != "none"]
    assert [found[f"augmentation.{name}"] for name in operators] == list(range(1, len(operators) + 1))
    drawn = set(operators) - {"mixup"}  # the other two columns are fillers without one of these
    assert [found.get(f"augmentation.{knob}") for knob in ("strength", "copies")] == (
        [0.2, 2] if drawn else [None, None]
    )


def test_the_order_of_a_stack_counts_once(tmp_path: Path) -> None:
    """The places of its operators say it; a column of the whole stack would say it again."""
    frame = authors_runs(tmp_path, authors_row(random=1, contextual=2), authors_row(random=2, contextual=1)).frame
    assert "augmentation" not in configuration_columns(frame)
    assert configurations(frame).nunique() == 2


def test_a_ratio_of_zero_implies_no_teacher_score(tmp_path: Path) -> None:
    read = authors_runs(tmp_path, authors_row(score=0, ratio=0))
    assert read.frame.ratio.tolist() == [0.0]
    assert read.frame.teacher_score.isna().all()


def test_ratios_above_1_are_taken_as_given(tmp_path: Path) -> None:
    assert authors_runs(tmp_path, authors_row(score=0.6, ratio=1.2)).frame.ratio.tolist() == [1.2]


def test_a_table_without_faults_but_the_scales(tmp_path: Path) -> None:
    (note,) = authors_runs(tmp_path, authors_row()).notes
    assert note.startswith("their_runs.csv: two scales")


def test_its_faults_are_counted(tmp_path: Path) -> None:
    path = authors_table(
        tmp_path,
        authors_row(),
        authors_row(),  # a row again, twice
        authors_row(),
        authors_row(score=0.65, ratio=0.65 / 0.75),  # the configuration again
        authors_row(alpha=0.5, score=0.9, ratio=1.2),
        authors_row(alpha=0.1, score=0, ratio=0),
        authors_row(alpha=0.0, score=-0.1, ratio=-0.1 / 0.75),
        authors_row(alpha=1.0, score=0.6, ratio=0.6 / 0.756),  # another teacher score, by more than rounding
        mark=BOM,
    )
    (tmp_path / "teacher_baseline.csv").write_text(f"{BOM}task,model,score\nrte,BERT_BASE,75\n", "utf-8")
    read = read_runs(path)
    assert len(read) == 6
    assert [note.removeprefix("their_runs.csv: ") for note in read.notes] == [
        "2 rows left out that repeat another one exactly",
        "1 ratios are above 1",
        "2 scores are 0 or below",
        "1 rows imply a teacher score half a point or more off teacher_baseline.csv",
        "1 configurations are repeated, without a seed",
        "two scales: scores are 0 to 1, the Bi-LSTM's 0 to 100",
        "a byte order mark begins teacher_baseline.csv, their_runs.csv",
    ]


def test_damaged_cells_are_named_in_the_words_of_the_table(tmp_path: Path) -> None:
    path = authors_table(tmp_path, authors_row(), authors_row(alpha=1.5, mixup="perhaps"), authors_row(examples=0))
    with pytest.raises(InputError) as caught:
        read_runs(path)
    places = {problem.place.removeprefix(f"{path}:") for problem in caught.value.problems}
    assert places == {"3, alpha", "3, mixup", "4, #example"}


def test_models_and_datasets_that_nobody_describes(tmp_path: Path) -> None:
    (found,) = authors_runs(tmp_path, authors_row(task="mine", Model="mine")).frame.to_dict("records")
    assert found["task_kind"] == task_kind("mine") == "classification"
    assert sizes(student="mine") == {}
    assert pd.isna(found["student_parameters"])
    assert found["teacher_parameters"] == 110_000_000


@pytest.mark.shared
def test_the_authors_own_table(shared: Path) -> None:
    folder = shared / "published" / "authors_runs"
    assert len(pd.read_csv(folder / "auto_distiller_tabular_data.csv")) == 1239
    read = read_runs(folder)
    assert len(read) == 1236
    assert sorted(set(read.frame.dataset)) == ["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb"]
    notes = [note.removeprefix("auto_distiller_tabular_data.csv: ") for note in read.notes]
    assert notes[:3] == [
        "3 rows left out that repeat another one exactly",
        "236 ratios are above 1",
        "15 scores are 0 or below",
    ]
    assert notes[-1] == "a byte order mark begins teacher_baseline.csv"
    known = component_kinds()
    for component in ("intermediate", "mapping", "prediction"):
        assert set(read.frame[component]) <= set(known[component])
    assert (read.frame["intermediate.alpha"].notna() == (read.frame.intermediate == "mi_alpha")).all()
    assert read.frame[["student_parameters", "ratio"]].notna().all(axis=None)
    assert set(read.frame.teacher[read.frame.teacher_parameters.isna()]) == {"ELECTRA_BASE"}  # of no table
    assert set(read.frame.task_kind[read.frame.dataset == "stsb"]) == {"regression"}
