"""The tables hold what their datasheet says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from autodistill.features.descriptors import Descriptors
from autodistill.features.known import shipped_datasets
from autodistill.metadataset.load import read_runs
from engine.spec import components
from meta_data import ARCHITECTURES, DATASETS, DATASHEET, PUBLISHED

READ = {"integer": "i", "number": "f", "text": "O", "true or false": "b"}


def described(table: Path) -> dict[str, str]:
    """Column → type, as the datasheet's section on `table` lists them."""
    section = DATASHEET.read_text("utf-8").split(f"## {table.name}")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", section, flags=re.MULTILINE))


@pytest.mark.parametrize("path", [PUBLISHED, ARCHITECTURES, DATASETS], ids=lambda path: path.name)
def test_columns_and_types_are_those_of_the_datasheet(path: Path) -> None:
    table, columns = pd.read_csv(path), described(path)
    assert list(table.columns) == list(columns)
    assert {name: kind.kind for name, kind in table.dtypes.items()} == {
        name: READ[kind] for name, kind in columns.items()
    }


def test_published_figures() -> None:
    table = pd.read_csv(PUBLISHED)
    assert len(table) == 506
    assert table[["score", "teacher_score"]].stack().between(0, 100).all()
    assert (table.alpha.notna() <= (table.intermediate_objective == "mi_alpha")).all()
    assert (table.critic.notna() <= (table.intermediate_objective == "mi_alpha")).all()


def test_published_kinds_are_kinds_of_the_engine() -> None:
    table, known = pd.read_csv(PUBLISHED), components()
    columns = {
        "intermediate_objective": "intermediate",
        "layer_mapping": "mapping",
        "prediction_loss": "prediction",
        "critic": "critic",
    }
    for column, component in columns.items():
        assert set(table[column].dropna()) <= set(known[component])


def test_every_model_has_its_architecture() -> None:
    models = set(pd.read_csv(ARCHITECTURES).model)
    table = pd.read_csv(PUBLISHED)
    assert set(table.student) <= models
    assert set(table.teacher) <= models | {"none"}


def test_every_dataset_with_figures_is_described() -> None:
    known = shipped_datasets()
    assert set(known) == set(read_runs("published").datasets)
    for dataset in known.values():
        assert len(dataset.words) > 1000
        assert dataset.words.counts.min() >= 1
        assert dataset.words.counts.sum() <= dataset.words.total
        assert dataset.descriptors.baseline_score is not None


def test_the_columns_of_datasets_are_the_descriptors() -> None:
    assert list(pd.read_csv(DATASETS).columns) == list(Descriptors.model_fields)
