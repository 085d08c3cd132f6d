"""What all figures share."""

from __future__ import annotations

import io

from matplotlib import rcParams
from matplotlib.figure import Figure

from autodistill.evaluation.style import INK, NARROW, as_text, plain


def svg() -> str:
    with as_text():
        figure = Figure(figsize=(NARROW, 2))
        plain(figure.subplots(), "$x_1$ & <b>")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def test_texts_stand_as_they_are_and_equal_figures_are_equal_files() -> None:
    assert ">$x_1$ &amp; &lt;b&gt;<" in svg()
    assert svg() == svg()
    assert rcParams["text.parse_math"], "others draw as before"


def test_axes_are_quiet() -> None:
    axes = Figure().subplots()
    plain(axes, "title")
    assert axes.get_title(loc="left") == "title"
    assert axes.title.get_text() == ""
    assert [axes.spines[side].get_visible() for side in ("left", "bottom", "top", "right")] == [
        True,
        True,
        False,
        False,
    ]
    assert axes.yaxis.get_tick_params()["labelcolor"] == INK
