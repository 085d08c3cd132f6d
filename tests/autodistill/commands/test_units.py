"""Figures as people read them."""

from __future__ import annotations

import pytest

from autodistill.commands.units import duration, large, megabytes, milliseconds


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_large_figures_have_no_exponent() -> None:
    """A model of 1.34 GB had 1.34e+03 MB."""
    assert [megabytes(1341.2), megabytes(438.03), milliseconds(2510.0)] == ["1,341 MB", "438 MB", "2,510 ms"]
    assert [large(999_600), large(999_400), large(1_340_000_000_000)] == ["1 M", "999 k", "1,340 G"]
