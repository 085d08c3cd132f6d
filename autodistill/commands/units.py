"""Figures as people read them: three digits, a unit, and a dash where there is none."""

from collections.abc import Sequence

from engine.base.errors import digits

MISSING = "–"
BARS = "▁▂▃▄▅▆▇█"


def large(value: float | None) -> str:
    """A count in three digits.

    Example:
        >>> large(22_713_216), large(999_700), large(812.4), large(None)
        ('22.7 M', '1 M', '812', '–')
    """
    if value is None:
        return MISSING
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * factor:
            return f"{digits(value / factor)}{unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Example:
        >>> duration(42.4), duration(1250), duration(9000)
        ('42 s', '21 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def rate(per_second: float, unit: str) -> str:
    """How fast something goes, in the time that suits it.

    Example:
        >>> rate(2.46, "steps"), rate(0.045, "runs"), rate(0.002, "runs"), rate(0.0, "runs")
        ('2.5 steps/s', '2.7 runs/min', '7.2 runs/h', '0.0 runs/s')
    """
    for seconds, time in ((1, "s"), (60, "min")):
        if per_second * seconds >= 0.5 or not per_second:
            return f"{per_second * seconds:.1f} {unit}/{time}"
    return f"{per_second * 3600:.1f} {unit}/h"


def figure(value: float | None, form: str) -> str:
    """A figure in a format.

    Example:
        >>> figure(0.98765, ".3f"), figure(None, ".3f")
        ('0.988', '–')
    """
    return MISSING if value is None else f"{value:{form}}"


def megabytes(value: float | None) -> str:
    """A size.

    Example:
        >>> megabytes(90.87), megabytes(1341.2)
        ('90.9 MB', '1,341 MB')
    """
    return MISSING if value is None else f"{digits(value)} MB"


def milliseconds(value: float | None) -> str:
    """A short time.

    Example:
        >>> milliseconds(4.1137), milliseconds(None)
        ('4.11 ms', '–')
    """
    return MISSING if value is None else f"{digits(value)} ms"


def curve(values: Sequence[float]) -> str:
    """Scores one after the other, as bars between the lowest and the highest.

    Example:
        >>> curve([0.5, 0.75, 1.0]), curve([0.8]), curve([])
        ('▁▅█', '█', '–')
    """
    if not values:
        return MISSING
    low, high = min(values), max(values)
    return "".join(BARS[round((each - low) / (high - low) * 7) if high > low else 7] for each in values)
