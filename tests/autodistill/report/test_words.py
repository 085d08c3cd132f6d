"""Figures as a report writes them."""

from __future__ import annotations

import numpy as np
import pytest

from autodistill.report.findings import Mean
from autodistill.report.page import FIGURE
from autodistill.report.words import file_name, large, number, with_interval


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(float("nan")), "–"),
        (number(0.0, "+.2f"), "0.00"),
        (number(-1234.5, ",.0f"), "−1,234"),
        (with_interval(Mean(-0.25, -0.5, 0.25, 3), "+.2f"), "−0.25 (−0.50 to +0.25)"),
        (with_interval(Mean(0.25, None, None, 2), ".2f"), "0.25"),
        (with_interval(Mean(np.nan, None, None, 0)), "–"),
        (large(999), "999"),
        (large(110_000_000), "110\xa0M"),
        (f"{number(0.5, '+.1f')} (12)", "+0.5 (12)"),
    ],
)
def test_a_figure_is_one_and_stands_to_the_right(text: str, expected: str) -> None:
    assert text == expected
    assert FIGURE.fullmatch(text)


@pytest.mark.parametrize("text", ["accuracy", "mse, skip", "1. mse", "", "scratch:layers=1"])
def test_words_are_none(text: str) -> None:
    assert not FIGURE.fullmatch(text)


def test_a_name_of_a_file_is_safe() -> None:
    assert file_name("costs", "../../</script>\x00") == "costs-script"
    assert file_name("costs", "…") == "costs-x"
    assert len(file_name("a" * 200)) == 80
