"""A table of runs as text, as a figure and as a page."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest

from autodistill.report import overview
from autodistill.report.listing import runs
from autodistill.report.overview import HEAD, figure_of, page_of, rows_of, write_figure
from engine.base.errors import InputError
from tests.autodistill.report.browser import BROWSER, seen
from tests.autodistill.report.test_listing import put
from tests.autodistill.report.test_page import Tags


@pytest.fixture(name="found")
def _found(tmp_path: Path) -> pd.DataFrame:
    for number, (task, score, latency) in enumerate(
        [("a", 0.8, 2.0), ("a", 0.9, 4.0), ("a", 0.7, 5.0), ("b", 0.5, 1.0)]
    ):
        intervals = {"student": {"test": {"accuracy": [score - 0.1, score + 0.1]}}}
        about = {"identity": str(number), "task": task, "dataset_fingerprint": task, "student": f"s{number}"}
        put(tmp_path / str(number), **about, student_score=score, latency_ms=latency, split="test", intervals=intervals)
    put(tmp_path / "failed", identity="f", status="failed", reason="no", student_score=None)
    return runs(tmp_path)


def test_a_row_a_run_with_its_interval_and_a_mark_on_the_front(found: pd.DataFrame) -> None:
    rows = rows_of(found)
    assert {len(row) for row in rows} == {len(HEAD)}
    shown = {row[1]: dict(zip(HEAD, row, strict=True)) for row in rows}
    assert shown["s1"]["score"] == "0.9000 (0.8000 to 1.0000)"
    assert (shown["s1"]["latency"], shown["s2"]["latency"]) == ("4 ms *", "5 ms")
    assert shown["small"]["runs"].endswith(", failed")
    assert shown["small"]["score"] == "–"


def test_a_panel_for_each_set_of_comparable_runs_with_the_front_in_it(found: pd.DataFrame) -> None:
    figure = figure_of(found)
    assert [axes.get_title(loc="left").partition(":")[0] for axes in figure.axes] == ["a", "b"]
    (line,) = figure.axes[0].get_lines()
    assert line.get_xydata().tolist() == [[2.0, 0.8], [4.0, 0.9]]
    points = [tuple(point) for each in figure.axes[0].collections[1:] for point in each.get_offsets().tolist()]
    assert sorted(points) == [(2.0, 0.8), (4.0, 0.9), (5.0, 0.7)]


def test_of_very_many_sets_there_is_room_for_some(found: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MOST_PANELS", 1)
    assert len(figure_of(found).axes) == 1


@pytest.mark.parametrize("form", ["png", "svg", "html"])
def test_every_form_is_written(found: pd.DataFrame, tmp_path: Path, form: str) -> None:
    path = tmp_path / "new" / f"front.{form}"
    write_figure(found, "here", path)
    if form == "png":
        assert matplotlib.image.imread(path).shape[1] > 1000
    else:
        assert path.read_text("utf-8").count("<svg" if form == "svg" else "<img") == (1 if form == "svg" else 2)


def test_runs_without_a_latency_have_no_figure(found: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no run has both"):
        figure_of(found.assign(latency_ms=float("nan")))


def test_the_page_has_those_that_nothing_faster_reaches_and_all(found: pd.DataFrame) -> None:
    page = Tags(page_of(found, "here").html())
    assert {"s0", "s1", "s2", "s3"} <= set(page.texts)
    assert page.texts.count("s2") == 1, "among all runs alone"
    assert page.texts.count("s1") == 2


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_it(found: pd.DataFrame, tmp_path: Path, width: int) -> None:
    shown = seen(page_of(found, "here").html(), width, tmp_path)
    assert (shown.console, shown.hosts) == ([], set())
    assert shown.measured["width"] == shown.measured["scroll"] == width
    assert shown.measured["beyond"] == []
    assert shown.measured["drawn"] == shown.measured["images"] == 2
