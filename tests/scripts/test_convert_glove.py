"""The shipped word vectors are those of the file that they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from meta_data import GLOVE
from scripts.convert_glove import convert


@pytest.mark.shared
def test_the_shipped_vectors_are_what_the_text_becomes(shared: Path, tmp_path: Path) -> None:
    convert(shared / "glove" / "glove.6B.50d.5k.txt", tmp_path / "glove.bin")
    assert (tmp_path / "glove.bin").read_bytes() == GLOVE.read_bytes()
