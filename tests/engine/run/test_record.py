"""From what a run measured to its record: ratio, warnings, the date, versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from engine.base.options import RunOptions
from engine.run.record import now
from tests.engine.runs import small
from tests.toys import toy_task


def test_the_date_is_one_in_utc() -> None:
    written = datetime.fromisoformat(now())
    assert written.utcoffset() == timedelta(0)
    assert abs(datetime.now(written.tzinfo) - written) < timedelta(minutes=1)


def test_a_teacher_that_has_learned_nothing(options: RunOptions, tmp_path: Path) -> None:
    task = toy_task("pair")
    flipped = task.train.map(lambda row, index: {"label": index % 2}, with_indices=True)
    held_out = task.validation["validation"].map(lambda row, index: {"label": index % 2}, with_indices=True)
    task = replace(task, train=flipped, validation={"validation": held_out}, fingerprint="noise")
    result = small(options, tmp_path / "out", data=task)
    (warning,) = result.warnings
    assert "the distillation ratio means little here" in warning
    assert warning in (tmp_path / "out" / "README.md").read_text()
