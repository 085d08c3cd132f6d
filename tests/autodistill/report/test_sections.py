"""The whole report of a study that has everything, of the published runs, and of runs that have little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.recommend.request import Request
from autodistill.report.material import Material, gather, with_runs
from autodistill.report.page import Page, Section
from autodistill.report.sections import SECTIONS, page
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from tests.autodistill.report.browser import BROWSER, seen
from tests.autodistill.report.study import epochs, frame_of, rows, written
from tests.autodistill.report.test_page import EVIL, Tags


def material_of(folder: Path, rows: list[dict[str, object]]) -> Material:
    options = RunOptions(cache_dir=str(folder / "cache"))
    source = str(written(folder / "study", rows))
    return gather(Request(meta_data=(source,), predictor="mean_rank", options=options), SilentReporter())


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material_of(tmp_path_factory.mktemp("whole"), rows())


def left_out(page: Page) -> dict[str, str]:
    return {key: shown for key, (_, shown) in page.sections.items() if isinstance(shown, str)}


def test_a_whole_study_fills_every_section(whole: Material) -> None:
    made = page(whole)
    assert left_out(made) == {}
    assert [*made.sections] == [*SECTIONS]
    for _, shown in made.sections.values():
        assert isinstance(shown, Section)
        assert shown.text
        for table in shown.tables:
            assert {len(row) for row in table.rows} == {len(table.head)}, table.title
            assert len(table.shades) in (0, len(table.rows), len(table.rows) - 1, len(table.rows) - 2)
    names = [each.name for _, shown in made.sections.values() for each in getattr(shown, "pictures", ())]
    assert len(names) == len(set(names)) > 10


def test_the_head_says_which_runs_and_when(whole: Material) -> None:
    first, *_ = page(whole).lead
    assert "320 runs on 4 datasets from " in first
    assert "2 teachers, 2 students, 32 configurations" in first
    assert " UTC with autodistiller-nlp" in first


def test_a_document_of_it_is_well_formed(whole: Material) -> None:
    text = page(whole).html()
    document = Tags(text)
    assert len(document.named("section")) == len(SECTIONS)
    assert not document.named("script")
    assert "http:" not in text
    assert "https:" not in text
    assert {str(each["src"])[:26] for each in document.named("img")} == {"data:image/svg+xml;base64,"}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"augmentation": "none", "augmentation.mixup": None}, {"augmentation"}),
        ({"intermediate": "mse", "intermediate.alpha": None}, {"objectives"}),
        ({"teacher": "good", "student": "tiny"}, {"models", "objectives"}),
        ({"teacher_score": None}, {"models", "costs", "learning"}),
        ({"seconds": None, "student_parameters": None}, {"costs"}),
        ({"score": 0.5}, {"importance"}),
    ],
)
def test_what_the_runs_do_not_have_is_left_out_with_a_reason(
    whole: Material, changes: dict[str, object], missing: set[str]
) -> None:
    runs = frame_of([{**row, **changes} for row in rows()])
    curves = with_runs(epochs(rows()), runs)
    importance = "all scores are equal" if "score" in changes else whole.importance
    made = page(replace(whole, runs=runs, curves=curves, importance=importance))
    assert left_out(made).keys() == missing
    assert all(reason for reason in left_out(made).values())
    assert made.html().count("(left out)") == len(missing)


def test_one_run_makes_a_page(tmp_path: Path) -> None:
    made = page(material_of(tmp_path, rows()[:1]))
    assert left_out(made).keys() == {"importance", "objectives", "augmentation", "models", "left-out", "costs"}
    Tags(made.html())


def test_unknown_figures_are_dashes(whole: Material) -> None:
    runs = whole.runs.assign(teacher_score=float("nan"), bilstm_score=float("nan"), ratio=float("nan"))
    _, shown = page(replace(whole, runs=runs)).sections["runs"]
    assert isinstance(shown, Section)
    cells = dict(zip(shown.tables[0].head, shown.tables[0].rows[0], strict=True))
    assert cells["teacher"] == cells["Bi-LSTM"] == cells["median ratio"] == "–"
    assert "nan" not in page(replace(whole, runs=runs)).html().split("base64,")[0]


def test_the_published_runs_fill_what_they_can(tmp_path: Path) -> None:
    """Table 3 of Distiller says what augmentation brings TinyBERT_4 on CoLA: 7.9 points with its objective."""
    options = RunOptions(cache_dir=str(tmp_path))
    found = gather(Request(meta_data=("published",), predictor="mean_rank", options=options), SilentReporter())
    made = page(replace(found, runs=found.runs[found.runs.source == "published, table 3"], evaluation="not asked"))
    assert left_out(made).keys() >= {"learning"}
    _, shown = made.sections["augmentation"]
    assert isinstance(shown, Section)
    (table,) = shown.tables
    rows_of = {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}
    own = next(row for name, row in rows_of.items() if name.startswith("cola"))
    assert own["TinyBERT_4 (14\xa0M)"] == "+7.9 (1)"
    assert own["BERT_MINI (11\xa0M)"] == "+23.2 (1)"


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_a_whole_report(whole: Material, tmp_path: Path, width: int) -> None:
    """With a student whose name would be a script."""
    made = page(replace(whole, runs=whole.runs.assign(student=whole.runs.student.replace("tiny", EVIL))))
    found = seen(made.html(), width, tmp_path)
    assert found.console == []
    assert found.hosts == set()
    assert found.measured["width"] == found.measured["scroll"] == width
    assert found.measured["beyond"] == []
    assert found.measured["drawn"] == found.measured["images"]
    assert float(str(found.measured["sizes"])) >= 13, "pixels of the smallest text"
    assert EVIL in str(found.measured["text"])
