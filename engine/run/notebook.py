"""The record of a run as a notebook shows it: as a table, and as a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pandas import DataFrame

from engine.base.html import table
from engine.data.metrics import ROLES, Scores, with_interval

Interval = Callable[..., list[float] | None]
"""Role, metric and, where it is not the one that is reported, held-out set → the 95 % interval, low and high."""


def frame_of(scores: Mapping[str, Scores], interval: Interval) -> DataFrame:
    """A row for each model, held-out set and metric: its score, and the interval."""
    rows = [
        [ROLES.get(role, role), held_out, metric, score, *(interval(role, metric, held_out) or (None, None))]
        for role, sets in scores.items()
        for held_out, own in sets.items()
        for metric, score in own.items()
    ]
    return DataFrame(rows, columns=["model", "held_out", "metric", "score", "low", "high"])


def html_of(
    title: str,
    reached: Callable[[str], Mapping[str, float]],
    interval: Interval,
    named: Callable[[str], str],
    verdict: Sequence[str],
) -> str:
    """Each model's scores on the set that is reported, and what they mean.

    Args:
        reached: Role → metric → score.
        named: Metric → what it is called.
    """
    metrics = [*(reached("student") or reached("teacher"))]
    rows = []
    for role, own in ((role, reached(role)) for role in ROLES if reached(role)):
        words = [with_interval(own[each], interval(role, each)) if each in own else "–" for each in metrics]
        rows.append([ROLES[role], *words])
    return table(["model", *map(named, metrics)], rows, title, verdict)
