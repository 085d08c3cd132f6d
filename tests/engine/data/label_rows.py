"""Rows of texts with several labels, and what reading them says."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from engine.base.errors import InputError
from engine.data.load import load_task
from engine.data.task import Task

SETS = [["joy"], ["joy", "love"], [], ["anger"], ["love"], ["anger", "joy"]]


def frame(sets: Any = SETS, times: int = 10, **more: Any) -> pd.DataFrame:
    labels = [*sets] * times
    texts = [f"text number {row}" for row in range(len(labels))]
    return pd.DataFrame({"text": texts, "labels": labels, **more})


def names_of(task: Task) -> dict[str, list[str]]:
    """Text → labels, of all rows, whichever set they went to."""
    sets = [task.train, *task.validation.values(), *task.test.values()]
    return {row["text"]: [task.labels[label] for label in row["label"]] for rows in sets for row in rows}


def problem(data: Any, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_task(data, **how)
    return "\n".join(map(str, caught.value.problems))
