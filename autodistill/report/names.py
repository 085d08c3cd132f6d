"""Runs under names that a person can read.

Decided here: what runs are comparable with each other, and what they are called.
"""

from __future__ import annotations

import re

import pandas as pd

from autodistill.history.table import GROUP
from autodistill.ranking.past import configurations

FINGERPRINT = r" of ([0-9a-f]{4})[0-9a-f]{12}$"
"""How a held-out set ends that no person has named; its beginning tells it from others."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What can stand neither in HTML nor in SVG."""


def readable(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with names that can be printed, without fingerprints where it is clear without, and two more columns.

    Returns:
        With `among`, the comparable runs that it belongs to (the dataset, and what tells them from others of it), and
        `configuration`, equal for repeats.
    """
    words = {name: runs[name].map(printable) for name in [*GROUP, "teacher", "student"]}
    runs = runs.assign(configuration=configurations(runs), **words)
    short = runs.dataset.str.replace(r"@[0-9a-f]+$", "", regex=True)
    runs = runs.assign(dataset=_where_clear(runs[["dataset"]], short))
    plain = runs.held_out.str.replace(FINGERPRINT, "", regex=True)
    rows = runs.n_train.map("{:,.0f} rows".format)
    sized = plain.where(plain == runs.held_out, plain + ", " + rows)
    marks = runs.held_out.str.extract(FINGERPRINT, expand=False)
    marked = sized + (" (" + marks + ")").fillna("")
    runs = runs.assign(held_out=_where_clear(runs[GROUP], sized, marked))
    several = runs.groupby("dataset")[["metric", "held_out"]].transform("nunique") > 1
    parts = [", " + runs[name].where(several[name], "") for name in several]
    among = sum((part.where(part != ", ", "") for part in parts), runs.dataset)
    return runs.assign(among=among)


def printable(text: str) -> str:
    """A name without what no page can hold."""
    return UNPRINTABLE.sub("�", str(text))


def _where_clear(before: pd.DataFrame, *shorter: pd.Series) -> pd.Series:
    """The last column in short, the first of the ways in which no two different rows of one dataset would be alike."""
    *others, last = before.columns
    chosen = before[last]
    for short in reversed(shorter):
        alike = before.assign(short=short).groupby([*others, "short"])[last].transform("nunique") > 1
        chosen = chosen.where(alike, short)
    return chosen
