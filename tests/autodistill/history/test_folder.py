"""What lies beside a study's table of runs, and nothing beside any other one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.descriptors import Descriptors
from autodistill.datasets.words import count_words
from autodistill.history.folder import CURVES, DATASETS, STUDY, WORDS, curves_beside, datasets_beside, place_of
from engine.base.errors import InputError
from meta_data import PUBLISHED
from tests.records import made_row

KNOWN = Descriptors(
    dataset="films", fingerprint="0e12", source="90d3", task_kind="classification", metric="accuracy", pair=False,
    n_train=30, labels=2, label_entropy=1.0, words_mean=9.5, words_deviation=2.0, type_token_ratio=0.4,
)  # fmt: skip
COUNTS = count_words(["a good film", "a bad film"])


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    pd.DataFrame([made_row()]).to_csv(tmp_path / STUDY, index=False)
    pd.DataFrame([{"identity": "7", "epoch": 1, "score": 0.5}]).to_parquet(tmp_path / CURVES)
    pd.DataFrame([KNOWN.model_dump()]).to_csv(tmp_path / DATASETS, index=False)
    with (tmp_path / WORDS).open("wb") as file:
        np.savez_compressed(file, **COUNTS.parts("90d3."))  # type: ignore[arg-type]
    return tmp_path


def test_a_study_is_found_by_its_folder_and_by_its_table(folder: Path) -> None:
    for source in (folder, str(folder), folder / STUDY):
        curves = curves_beside(source)
        assert curves is not None
        assert curves.to_dict("records") == [{"identity": "7", "epoch": 1, "score": 0.5}]
        (dataset,) = datasets_beside(source)
        assert dataset.descriptors == KNOWN  # its fingerprint, which looks like a number, too
        assert (dataset.words.counts.tolist(), dataset.words.total) == (COUNTS.counts.tolist(), 6)
        assert dataset.words.hashes.tolist() == COUNTS.hashes.tolist()


def test_any_other_table_stands_alone(folder: Path) -> None:
    shutil.copy(folder / STUDY, folder / "runs.csv")
    for source in (folder / "runs.csv", "published", folder / "nowhere"):
        assert curves_beside(source) is None
        assert datasets_beside(source) == []


def test_tables_that_come_with_the_project_have_names(tmp_path: Path) -> None:
    assert place_of("published") == PUBLISHED
    assert place_of("study") == PUBLISHED.parent / STUDY
    assert place_of(tmp_path) == tmp_path
    assert place_of(Path("study")) == Path("study"), "a path is never a name"


def test_a_dataset_may_be_called_by_a_number(folder: Path) -> None:
    year = KNOWN.model_copy(update={"dataset": "2024"})
    pd.DataFrame([year.model_dump()]).to_csv(folder / DATASETS, index=False)
    (dataset,) = datasets_beside(folder)
    assert dataset.descriptors == year


def test_damaged_words_are_said_wherever_the_damage_is(folder: Path) -> None:
    """What is packed is unpacked by another library, which has an error of its own."""
    whole = (folder / WORDS).read_bytes()
    said = []
    for place in range(0, len(whole), 3):
        (folder / WORDS).write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            datasets_beside(folder)
        except InputError as error:
            said.append(str(error))
    assert len(said) > len(whole) / 10
    assert all(WORDS in each for each in said)


@pytest.mark.parametrize("name", [DATASETS, WORDS])
def test_datasets_without_their_words_are_none(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert datasets_beside(folder) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [(DATASETS, "dataset\nfilms\n"), (DATASETS, ""), (WORDS, "no archive"), (WORDS, ""), (WORDS, "PK\x03\x04")],
)
def test_what_cannot_be_read_is_said(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    what = "these are no datasets of a study" if name == DATASETS else "these are no words of a study's datasets"
    with pytest.raises(InputError, match=f"{name}: {what}"):
        datasets_beside(folder)
    (folder / CURVES).write_text("epoch,score\n1,0.5\n")
    with pytest.raises(InputError, match="no table of learning curves"):
        curves_beside(folder)
