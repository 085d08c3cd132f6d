"""What the figures of a report draw: each number where it belongs, and no text that is cut or read as a formula."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from autodistill.evaluation.style import as_text
from autodistill.report import figures, findings
from autodistill.report.material import with_runs
from tests.autodistill.report.study import epochs, frame_of, rows

RUNS = frame_of(rows())
LOOK = figures.styles_of(RUNS.intermediate) | figures.styles_of(RUNS.student) | figures.styles_of(RUNS.teacher)


def drawn(figure: Figure) -> Figure:
    """Laid out, with all texts within the figure's edges."""
    with as_text():
        figure.savefig(io.BytesIO(), format="png")
    width = figure.bbox.width
    (axes,) = figure.axes
    beside = [text for legend in figure.legends for text in legend.get_texts()]
    texts = [*figure.texts, *beside, axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels()]
    for text in (text for text in texts if text.get_text()):
        box = text.get_window_extent()
        assert -1 <= box.x0 <= box.x1 <= width + 1, text.get_text()
    assert figure.get_size_inches()[0] == 4
    return figure


def test_styles_differ_and_do_not_depend_on_the_order() -> None:
    names = [f"name {place}" for place in range(16)]
    chosen = figures.styles(names)
    assert len({(style.colour, style.mark) for style in chosen.values()}) == 16
    assert figures.styles_of(RUNS.student) == figures.styles_of(RUNS.student[::-1])


def test_bars_are_as_long_as_the_counts() -> None:
    found = findings.objectives_in_top(RUNS)
    assert not isinstance(found, str)
    (axes,) = drawn(figures.top_objectives(found, LOOK)).axes
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    assert np.allclose(np.array(widths).T, found.counts)
    (leads,) = drawn(figures.objective_leads(found)).axes
    assert [bar.get_width() for bar in leads.patches] == sorted((m.value for m in found.leads.values()), reverse=True)
    assert len(leads.lines) == 1 + sum(mean.low is not None for mean in found.leads.values())


def test_gains_stand_in_the_row_of_their_data() -> None:
    gains = findings.augmentation_gains(RUNS)
    assert not isinstance(gains, str)
    labels = {name: name for name in gains["among"]}
    (axes,) = drawn(figures.augmentation(gains, labels, LOOK)).axes
    places = {text.get_text().replace("\n", ", "): row for row, text in enumerate(axes.get_yticklabels())}
    for points in axes.collections:
        own = gains[gains.student == points.get_label()]
        assert np.allclose(points.get_offsets(), np.stack([own.gain, own["among"].map(places)], axis=1))
    assert axes.yaxis_inverted(), "the smallest data are the uppermost"


def test_each_pair_of_models_has_its_mean() -> None:
    found = findings.models(RUNS)
    assert not isinstance(found, str)
    of = found.ratios.groupby(["student", "teacher"])
    means = {pair: findings.mean_over_datasets(own.ratio, own.dataset) for pair, own in of}
    (axes,) = drawn(figures.teachers_and_students(found, means, LOOK)).axes
    own, marks = axes.collections[::2], axes.collections[1::2]
    assert [points.get_offsets()[0][0] for points in marks] == [mean.value for mean in means.values()]
    assert [len(points.get_offsets()) for points in own] == [5] * 4


def test_costs_and_their_front() -> None:
    found = findings.costs(RUNS)
    assert not isinstance(found, str)
    (axes,) = drawn(figures.cost_against_ratio(found, "set1", LOOK)).axes
    rows_of = found.rows[found.rows["among"] == "set1"]
    assert sum(len(points.get_offsets()) for points in axes.collections) == len(rows_of)
    assert np.allclose(axes.lines[0].get_ydata(), sorted(rows_of[rows_of.front].ratio))
    assert axes.get_xscale() == "log"


def test_lines_are_medians() -> None:
    curves = findings.learning_curves(with_runs(epochs(rows()), RUNS))
    assert not isinstance(curves, str)
    (axes,) = drawn(figures.learning(curves, "tiny", LOOK)).axes
    for line in axes.lines:
        own = curves[(curves.student == "tiny") & (curves.objective == line.get_label())]
        assert np.allclose(line.get_ydata(), own["median"])
    assert len(axes.lines) == len(axes.collections) == 3


@pytest.mark.parametrize("name", ["$x_1$", "</svg><script>", "a" * 90, "scratch:layers=2,hidden=32", "ünï漢"])
@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_any_name_is_drawn_as_it_stands(name: str) -> None:
    runs = frame_of([{**row, "student": name if row["student"] == "tiny" else "small"} for row in rows()])
    found = findings.costs(runs)
    assert not isinstance(found, str)
    with as_text():
        figure = figures.cost_against_ratio(found, "set1", figures.styles_of(runs.student))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    assert "<script" not in buffer.getvalue()
    if name == "$x_1$":
        assert ">$x_1$<" in buffer.getvalue()


def test_a_label_leaves_room_beside_it() -> None:
    assert figures.label("reviews, test, 100 rows") == "reviews\ntest\n100 rows"
    assert max(map(len, figures.label("scratch:layers=12,hidden=768,vocabulary=30000").split("\n"))) <= figures.LABEL
