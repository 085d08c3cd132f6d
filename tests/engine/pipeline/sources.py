"""Sources of pipelines that are wrong, and files that hold one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.errors import InputError, Problem
from engine.pipeline.read import load_pipeline


def problems(source: object, sets: tuple[str, ...] = ()) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        load_pipeline(source, sets)  # type: ignore[arg-type]
    return caught.value.problems


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
