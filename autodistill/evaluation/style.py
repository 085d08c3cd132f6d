"""The look that all figures share: colours, width, quiet axes, and texts as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import rc_context
from matplotlib.axes import Axes

INK, ACCENT, QUIET = "#1f2937", "#0f766e", "#9ca3af"
NARROW = 4.0
"""Inches of a figure that is as wide as a phone's screen."""


def plain(axes: Axes, title: str) -> None:
    """The look of all axes: a title, no frame, quiet lines."""
    axes.set_title(title, color=INK, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=8)


@contextmanager
def as_text() -> Iterator[None]:
    """Text is drawn as it stands, with neither formulas in it nor outlines in its place; equal figures, equal files."""
    with rc_context({"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "autodistill"}):
        yield
