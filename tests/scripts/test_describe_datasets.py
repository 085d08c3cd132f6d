"""Sizes of the shipped datasets: those of the datasets, not of the samples that were measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from autodistill.history.read import read_runs
from meta_data import DATASETS
from scripts.describe_datasets import facts, put_in_sizes


def folder_of(path: Path, **about: object) -> Path:
    (path / "rte").mkdir(parents=True)
    (path / "rte" / "dataset.json").write_text(json.dumps({"n_train": 3000, **about}), "utf-8")
    return path


def test_a_sample_has_the_size_of_its_dataset(tmp_path: Path) -> None:
    found = facts(folder_of(tmp_path / "one", n_train_full=4160, published_sizes={"train": 104_743}), "rte")
    assert found == {"hub": "nyu-mll/glue/rte", "n_train": 104_743}
    assert facts(folder_of(tmp_path / "two", n_train_full=4160), "rte")["n_train"] == 4160
    assert "n_train" not in facts(folder_of(tmp_path / "three"), "rte")


def test_the_shipped_sizes_are_those_that_runs_were_made_with() -> None:
    """Within the rounding of the paper's tables; for MRPC, STS-B and SQuAD these do not agree with each other."""
    sizes = pd.read_csv(DATASETS).set_index("dataset").n_train
    assert (sizes != 3000).all()
    printed = read_runs("published").frame.groupby("dataset").n_train.agg(["min", "max"]).loc[sizes.index]
    assert (sizes >= 0.8 * printed["min"]).all()
    assert (sizes <= 1.05 * printed["max"]).all()


@pytest.mark.shared
def test_putting_sizes_in_again_changes_nothing(shared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "datasets.csv"
    shutil.copy(DATASETS, copy)
    put_in_sizes(shared / "datasets", copy)
    assert copy.read_bytes() == DATASETS.read_bytes()
