"""Datasets as the tests of data write them: from columns, into files, as good lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets

from engine.data.load import load_task
from engine.data.task import Task


def load(columns: dict[str, list[Any]], **options: Any) -> Task:
    rows = datasets.Dataset.from_dict(columns)
    return load_task({"train": rows, "validation": rows}, **options)


ROWS = "".join(f'{{"text": "t{row}", "label": {row % 2}}}\n' for row in range(9))


def written(folder: Path, suffix: str, content: str) -> Path:
    path = folder / f"rows{suffix}"
    path.write_text(content, encoding="utf-8", newline="")
    return path


GOOD = '{"text": "fine", "label": 1}\n{"text": "poor", "label": 0}\n{"text": "good", "label": 1}\n' * 3
