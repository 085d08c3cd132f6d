"""Records of runs that earlier versions wrote, in the layout of today.

Decided here: the number that a record carries, and what makes one layout the next.
"""

from __future__ import annotations

from typing import Any

LAYOUT = 3
"""Of the record. The first said `baseline` for the student alone, `[teacher] policy` for `[team] kind`; before the
third, the first validation set both selected and reported, and nothing had an interval."""


class NewerRecordError(ValueError):
    """A record was written by a newer version, whose layout this one does not know."""


def upgraded(record: Any) -> Any:
    """A record in today's layout, whichever it was written in.

    Raises:
        NewerRecordError: It was written by a newer version.

    Example:
        >>> upgraded({"baseline_score": 0.7, "pipeline": {"teacher": {"policy": "single"}}})
        {'pipeline': {'team': {'kind': 'single'}}, 'student_alone_score': 0.7, 'layout': 3}
    """
    layout = record.get("layout", 1) if isinstance(record, dict) else LAYOUT
    if not isinstance(layout, int):
        raise ValueError(f"its layout is {layout!r}, which is no number")
    if layout > LAYOUT:
        raise NewerRecordError(f"it was written by a newer version (layout {layout}, and {LAYOUT} is known)")
    for before in range(layout, LAYOUT):
        record = UPGRADES[before](record)
    return record if layout == LAYOUT else record | {"layout": LAYOUT}


def _from_first(record: dict[str, Any]) -> dict[str, Any]:
    """With the names of the second layout."""
    record = {**record, "pipeline": upgraded_pipeline(record.get("pipeline", {}))}
    if "baseline_score" in record:
        record["student_alone_score"] = record.pop("baseline_score")
    for name in {"scores", "stage_seconds"} & record.keys():
        record[name] = _renamed(record[name], "baseline", "student_alone")
    if "team" in record:
        record["team"] = _renamed(record["team"], "members", "teachers")
    return record


def _from_second(record: dict[str, Any]) -> dict[str, Any]:
    """With the set that selected and reported: the first one that was scored."""
    scores = record.get("scores")
    sets = next(iter(scores.values()), None) if isinstance(scores, dict) else None
    split = next(iter(sets), None) if isinstance(sets, dict) else None
    return record if split is None else {**record, "split": split, "selected_on": split}


UPGRADES = {1: _from_first, 2: _from_second}
"""Layout → what makes it the next one."""


def upgraded_pipeline(pipeline: Any) -> Any:
    """A pipeline of the first layout with its team under today's keys."""
    pipeline = _renamed(pipeline, "teacher", "team")
    if isinstance(pipeline, dict) and "team" in pipeline:
        pipeline["team"] = _renamed(pipeline["team"], "policy", "kind")
    return pipeline


def _renamed(table: Any, old: str, new: str) -> Any:
    """A table with a key renamed; what is no table is left to those who check it."""
    return {new if key == old else key: value for key, value in table.items()} if isinstance(table, dict) else table
