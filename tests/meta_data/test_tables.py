"""The tables hold what their datasheet says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.descriptors import Descriptors, describe
from autodistill.datasets.words import count_words
from autodistill.history.read import read_runs
from engine.data.load import load_task
from engine.data.task import texts_of
from engine.pipeline import components
from meta_data import ARCHITECTURES, DATASETS, DATASHEET, PUBLISHED, WORDS

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
    table = pd.read_csv(DATASETS)
    assert sorted(table.dataset) == read_runs("published").datasets
    assert not table.isna().any(axis=None)


def test_datasets_are_described_as_the_meta_layer_does() -> None:
    table = pd.read_csv(DATASETS).astype(object)
    assert list(table.columns) == list(Descriptors.model_fields)
    assert [Descriptors.model_validate(row).dataset for row in table.to_dict("records")] == list(
        table.dataset
    )


def test_words_are_numbers_of_three_parts_for_each_dataset() -> None:
    parts = re.findall(r"`<dataset>\.(\w+)`", DATASHEET.read_text("utf-8"))
    names = pd.read_csv(DATASETS).dataset
    with np.load(WORDS, allow_pickle=False) as arrays:
        assert set(arrays.files) == {f"{name}.{part}" for name in names for part in parts}
        assert {arrays[name].dtype.kind for name in arrays.files} <= {"i", "u"}
        for name in names:
            hashes, counts, total = (arrays[f"{name}.{part}"] for part in ("hashes", "counts", "total"))
            assert hashes.dtype == np.uint32
            assert (hashes[1:] > hashes[:-1]).all()
            assert 1000 < len(hashes) == len(counts) <= 5000
            assert counts.min() >= 1
            assert counts.sum(dtype=np.int64) <= total


@pytest.mark.shared
@pytest.mark.parametrize("name", pd.read_csv(DATASETS).dataset)
def test_datasets_are_what_their_samples_give(shared: Path, name: str) -> None:
    """All but the baseline score, which has to be trained for."""
    shipped = pd.read_csv(DATASETS).set_index("dataset").loc[name].drop("baseline_score")
    task = load_task(str(shared / "datasets" / name))
    found = describe(task, shipped.description)
    assert shipped.to_dict() == pytest.approx(found.model_dump(include=set(shipped.index)), abs=1e-6)
    counted = count_words(texts_of(task), most=5000)
    with np.load(WORDS, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays[f"{name}.hashes"], counted.hashes)
        np.testing.assert_array_equal(arrays[f"{name}.counts"], counted.counts)
        assert arrays[f"{name}.total"] == counted.total
