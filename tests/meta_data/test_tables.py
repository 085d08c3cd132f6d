"""The tables hold what their datasheet says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.descriptors import Descriptors, describe
from autodistill.datasets.words import count_words
from autodistill.history.read import read_runs
from autodistill.history.table import GROUP, is_pipeline_column
from engine.data.load import load_task
from engine.data.task import texts_of
from engine.pipeline import component_kinds
from meta_data import ARCHITECTURES, DATASETS, DATASHEET, FOLDER, PUBLISHED, WORDS
from tests.conftest import ROOT

READ = {"integer": "i", "number": "f", "text": "O", "true or false": "b"}


def described(table: Path) -> dict[str, str]:
    """Column → type, as the datasheet's section on `table` lists them."""
    section = DATASHEET.read_text("utf-8").split(f"## {table.name}")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| ([\w ]+) \|", section, flags=re.MULTILINE))


@pytest.mark.parametrize("path", [PUBLISHED, ARCHITECTURES, DATASETS], ids=lambda path: path.name)
def test_columns_and_types_are_those_of_the_datasheet(path: Path) -> None:
    table, columns = pd.read_csv(path), described(path)
    assert list(table.columns) == list(columns)
    assert {name: kind.kind for name, kind in table.dtypes.items()} == {
        name: READ[kind] for name, kind in columns.items()
    }


def test_every_file_has_its_section() -> None:
    sections = re.findall(r"^## (\S+)$", DATASHEET.read_text("utf-8"), flags=re.MULTILINE)
    files = (path.name for path in FOLDER.iterdir() if path.is_file())
    assert sorted(sections) == sorted(name for name in files if not name.endswith((".md", ".py")))


def test_every_file_is_packaged() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    files = {path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"}
    assert files == {path for pattern in packaged["meta_data"] for path in FOLDER.glob(pattern)}


def test_published_figures() -> None:
    read = read_runs("published")
    assert (len(read), read.notes) == (504, ())
    assert sorted(set(read.frame.dataset)) == ["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "squad", "sst2", "stsb"]
    frame = read.frame
    assert frame[["score", "teacher_score"]].stack().between(0, 1).all()
    assert frame.ratio.tolist() == pytest.approx((frame.score / frame.teacher_score).tolist())
    kinds = frame.groupby("dataset").task_kind.unique().map(list).to_dict()
    assert kinds.pop("stsb") == ["regression"]
    assert kinds.pop("squad") == ["question_answering"]
    assert all(kind == ["classification"] for kind in kinds.values())


def test_knobs_of_mi_alpha_stand_only_there() -> None:
    frame = read_runs("published").frame
    knobs = [name for name in frame if is_pipeline_column(name) and name.startswith("intermediate.")]
    assert set(knobs) == {"intermediate.alpha", "intermediate.critic"}
    assert (frame.intermediate[frame[knobs].notna().any(axis=1)] == "mi_alpha").all()


def test_places_of_operators_are_those_of_the_stack() -> None:
    frame = read_runs("published").frame
    operators = [name for name in frame if name.startswith("augmentation.")]
    for stack, places in zip(frame.augmentation.fillna("none"), frame[operators].to_numpy(), strict=True):
        order = [operators[place].split(".")[1] for place in np.argsort(places) if places[place] > 0]
        assert "+".join(order) == stack.replace("none", "")


def test_both_halves_of_mnli_are_one_dataset_and_are_ranked_apart() -> None:
    frame = read_runs("published").frame
    mnli = frame[frame.dataset == "mnli"]
    assert {"validation of MNLI-m", "validation of MNLI-mm"} <= set(mnli.held_out)
    assert mnli.groupby(GROUP).ngroups > 1


def test_published_kinds_are_kinds_of_the_engine() -> None:
    table, known = pd.read_csv(PUBLISHED), component_kinds()
    for column in ("intermediate", "mapping", "prediction", "intermediate.critic"):
        assert set(table[column].dropna()) <= set(known[column.rpartition(".")[2]])


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_every_model_has_its_architecture(role: str) -> None:
    models, table = pd.read_csv(ARCHITECTURES).set_index("model"), pd.read_csv(PUBLISHED)
    assert set(table[role]) <= set(models.index)
    assert (table[f"{role}_layers"] == table[role].map(models.layers)).all()
    assert (table[f"{role}_hidden_size"] == table[role].map(models.hidden_size)).all()
    assert (table[f"{role}_parameters"] == table[role].map(models.parameters_millions) * 1_000_000).all()


def test_every_dataset_with_figures_is_described() -> None:
    table = pd.read_csv(DATASETS)
    assert sorted(table.dataset) == sorted(set(read_runs("published").frame.dataset))
    assert not table.isna().any(axis=None)


def test_datasets_are_described_as_the_meta_layer_does() -> None:
    table = pd.read_csv(DATASETS).astype(object)
    assert list(table.columns) == list(Descriptors.model_fields)
    assert [Descriptors.model_validate(row).dataset for row in table.to_dict("records")] == list(table.dataset)


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
    """All but the Bi-LSTM score, which has to be trained for, and what a sample does not say."""
    shipped = pd.read_csv(DATASETS).set_index("dataset").loc[name].drop(["bilstm_score", "n_train", "hub"])
    task = load_task(str(shared / "datasets" / name))
    found = describe(task, shipped.description)
    assert shipped.to_dict() == pytest.approx(found.model_dump(include=set(shipped.index)), abs=1e-6)
    counted = count_words(texts_of(task), most=5000)
    with np.load(WORDS, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays[f"{name}.hashes"], counted.hashes)
        np.testing.assert_array_equal(arrays[f"{name}.counts"], counted.counts)
        assert arrays[f"{name}.total"] == counted.total
