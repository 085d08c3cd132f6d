"""What lies beside a table of runs that a study wrote: the learning curves of its runs, and its datasets.

Decided here: the names of these files. Any other table of runs stands alone, whatever lies beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from autodistill.datasets.descriptors import Descriptors
from autodistill.datasets.known import Dataset
from autodistill.datasets.words import WordCounts
from engine.base.errors import InputError
from engine.base.text import expanded
from meta_data import FOLDER, PUBLISHED

STUDY, CURVES, DATASETS, WORDS = "study.csv", "curves.parquet", "study_datasets.csv", "study_words.npz"
PAUSED = "paused.csv"
"""Runs that a study's searches stopped early."""
UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, BadZipFile, zlib.error)
"""What a damaged file raises; pydantic's errors are among them."""
SHIPPED = {"published": PUBLISHED, "study": FOLDER / STUDY}
"""Name → table of runs that comes with the project."""


def place_of(source: str | Path) -> Path:
    """Where the runs of a source lie: `published`, `study`, a table or a folder, which a `Path` always is."""
    return SHIPPED.get(source) or expanded(source) if isinstance(source, str) else expanded(source)


def curves_beside(source: str | Path) -> pd.DataFrame | None:
    """A row for each epoch of a study's runs; `None` where there are none.

    Returns:
        Columns `identity`, `epoch`, `score`, and where they are known `seconds` and the terms of the loss.

    Raises:
        InputError: They cannot be read.
    """
    path = _beside(source, CURVES)
    if path is None:
        return None
    needed = ["identity", "epoch", "score"]
    try:
        return read_parquet(path).astype({"identity": str, "epoch": int, "score": float})
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are among them
        what = f"no table of learning curves with the columns {', '.join(needed)}"
        raise InputError.of(str(path), what, str(error).partition("\n")[0]) from error


def read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file, which pandas' own way may abort the process for: it reads ahead through a Python file, and a
    thread that still does so while Python ends has nothing to end with (github.com/apache/arrow/issues/34314)."""
    return pq.read_table(path).to_pandas()


def datasets_beside(source: str | Path) -> list[Dataset]:
    """The datasets of a study's runs, each with its words; none where nothing tells of them.

    Raises:
        InputError: They cannot be read.
    """
    path, words = _beside(source, DATASETS), _beside(source, WORDS)
    if path is None or words is None:
        return []
    with _read(path, "these are no datasets of a study"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        rows = [{name: cell for name, cell in row.items() if cell != ""} for row in table.to_dict("records")]
        known = [Descriptors.model_validate(row) for row in rows]
    what = "these are no words of a study's datasets"
    with _read(words, what), words.open("rb") as file, np.load(file, allow_pickle=False) as parts:
        return [Dataset(each, WordCounts.of(parts, f"{each.source}.")) for each in known]


@contextmanager
def _read(path: Path, what: str) -> Iterator[None]:
    """Says of a file that cannot be read what it is not."""
    try:
        yield
    except UNREADABLE as error:
        raise InputError.of(str(path), what, " ".join(str(error).split()[:30])) from error


def _beside(source: str | Path, name: str) -> Path | None:
    """A file of the study that a source is."""
    place = place_of(source)
    folder = place.parent if place.name == STUDY else place
    found = folder / name
    return found if folder.is_dir() and found.is_file() else None
