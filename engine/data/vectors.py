"""Word vectors from a text file: a word and its numbers in each line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from engine.base.errors import InputError


def read_vectors(path: Path, place: str) -> tuple[list[str], np.ndarray]:
    """Words and vectors of a file in GloVe's form; a first line of word2vec's form is skipped.

    Args:
        place: What names the file, for messages.

    Shapes:
        Returns: W words; float32 (W, D).

    Raises:
        InputError: There is no such file, or it holds no vectors.
    """
    if not path.is_file():
        raise InputError.of(place, "no such file", repr(str(path)))
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline().split()
        headed = len(first) == 2 and all(word.isdecimal() for word in first)
    try:
        table = pd.read_csv(
            path,
            sep=" ",
            header=None,
            index_col=0,
            skiprows=int(headed),
            quoting=csv.QUOTE_NONE,
            keep_default_na=False,
            encoding_errors="replace",
        )
        matrix = table.to_numpy(dtype=np.float32)
    except (ValueError, pd.errors.ParserError) as error:
        what = "no word vectors: a word and its numbers, separated by spaces, in each line"
        raise InputError.of(place, what, repr(str(path))) from error
    if not matrix.size:
        raise InputError.of(place, "no word vectors in it", repr(str(path)))
    if headed and len(matrix) != int(first[0]):
        what = "not as many word vectors as its first line says"
        raise InputError.of(place, what, f"{len(matrix):,} in {str(path)!r}", (f"{int(first[0]):,}",))
    if not np.isfinite(matrix).all():
        word = table.index[~np.isfinite(matrix).all(axis=1)][0]
        raise InputError.of(place, f"the vector of {word!r} has numbers that are none", repr(str(path)))
    return table.index.astype(str).tolist(), matrix
