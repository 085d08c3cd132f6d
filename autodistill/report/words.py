"""Figures as a report writes them: few digits, real minus signs, intervals in brackets, a dash where there is none."""

from __future__ import annotations

import re

import numpy as np

from autodistill.report.findings import Mean
from engine.base.errors import digits

MISSING = "–"


def number(value: float | None, form: str = ".3f") -> str:
    """A figure, or a dash where there is none; a minus is one.

    Example:
        >>> number(-0.5, "+.1f"), number(1234, ",.0f"), number(-0.04, "+.1f"), number(None)
        ('−0.5', '1,234', '0.0', '–')
    """
    if value is None or not np.isfinite(value):
        return MISSING
    text = f"{value:{form}}".replace("-", "−")
    return text if re.search("[1-9]", text) else text.lstrip("+−")


def with_interval(mean: Mean, form: str = ".3f") -> str:
    """A mean with its interval, where it has one.

    Example:
        >>> with_interval(Mean(0.5, 0.25, 0.75, 9), ".2f")
        '0.50 (0.25 to 0.75)'
    """
    if mean.low is None:
        return number(mean.value, form)
    return f"{number(mean.value, form)} ({number(mean.low, form)} to {number(mean.high, form)})"


def large(count: float) -> str:
    """A count of parameters or rows.

    Example:
        >>> large(14e6), large(2_500), large(float("nan"))
        ('14\xa0M', '2.5\xa0k', '–')
    """
    if not np.isfinite(count):
        return MISSING
    factor, unit = next(
        (pair for pair in ((1e9, "\xa0G"), (1e6, "\xa0M"), (1e3, "\xa0k")) if count >= pair[0]), (1, "")
    )
    return f"{digits(count / factor)}{unit}"


def file_name(*words: str) -> str:
    """A name for a figure's file.

    Example:
        >>> file_name("costs", "Rotten tomatoes, 300 rows")
        'costs-rotten-tomatoes-300-rows'
    """
    return "-".join(re.sub(r"\W+", "-", word.lower()).strip("-") or "x" for word in words)[:80]
