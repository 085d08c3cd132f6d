"""Where the project's own tables lie. Their datasheet is the README.md beside them.

Decided here: names only. The tables are read with pandas by whoever needs them, with
`keep_default_na` as it is, so that an empty cell means "the paper does not say".
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent

PUBLISHED = FOLDER / "published.csv"
"""506 published figures of Distiller, one per row."""

ARCHITECTURES = FOLDER / "architectures.csv"
"""The sizes of Distiller's teachers and students."""

DATASETS = FOLDER / "datasets.csv"
"""The datasets of the tables, in numbers."""

WORDS = FOLDER / "words.npz"
"""How often each word occurs in these datasets; words are hashes."""

DATASHEET = FOLDER / "README.md"
"""What the tables hold, column by column, and where it comes from."""
