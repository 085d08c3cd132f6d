"""Where the project's own tables lie. Their datasheet is the README.md beside them.

Decided here: names only. An empty cell means "the paper does not say".
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent

PUBLISHED = FOLDER / "published.csv"
"""504 published figures of Distiller, one run a row."""

ARCHITECTURES = FOLDER / "architectures.csv"
"""The sizes of Distiller's teachers and students."""

DATASETS = FOLDER / "datasets.csv"
"""The datasets of the tables, in numbers."""

WORDS = FOLDER / "words.npz"
"""How often each word occurs in these datasets; words are hashes."""

GLOVE = FOLDER / "glove.bin"
"""Vectors of GloVe's most frequent words, in word2vec's binary form."""


PRIOR = FOLDER / "prior.json"
"""What the learning curves of the study teach a search."""

DATASHEET = FOLDER / "README.md"
"""What the tables hold, column by column, and where it comes from."""
