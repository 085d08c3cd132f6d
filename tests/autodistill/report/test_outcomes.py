"""What a reader is told of results: runs, models, one dataset left out, costs, learning curves."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from autodistill.evaluation.leave_one_out import HeldOut
from autodistill.evaluation.report import Evaluation, evaluate
from autodistill.report import findings, outcomes
from autodistill.report.material import Material, with_runs
from autodistill.report.page import Section
from engine.base.progress import SilentReporter
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.autodistill.report.study import epochs, frame_of, rows

RUNS = frame_of(rows())


def told(make: object, runs: pd.DataFrame = RUNS, evaluation: tuple[Evaluation, list[HeldOut]] | str = "") -> Section:
    assert callable(make)
    found = make(Material("made up", runs, with_runs(epochs(rows()), runs), "not asked", evaluation, ()))
    assert isinstance(found, Section)
    return found


def test_each_row_tells_of_comparable_runs() -> None:
    (table,) = told(outcomes.which_runs).tables
    own = RUNS[RUNS["among"] == "set3"]
    row = dict(zip(table.head, table.rows[-1], strict=True))
    assert row["comparable runs"] == "set3"
    assert (row["runs"], row["configurations"], row["training rows"]) == ("64", "32", "100")
    assert row["best student"] == f"{own.score.max():.3f}"
    assert row["median ratio"] == f"{np.median(own.score / own.teacher_score):.3f}"


def test_the_best_score_of_each_column_is_shaded() -> None:
    section = told(outcomes.teachers_and_students)
    under, best = section.tables
    assert under.head == ["student ← teacher", "mean ratio", *sorted(RUNS["among"].unique())]
    for table, skipped in ((under, 2), (best, 1)):
        scores = np.array([row[skipped:] for row in table.rows], float)
        shades = np.array([row[skipped - 1 :] for row in table.shades])
        assert np.array_equal(shades > 0, scores == scores.max(0))
    assert [row[0] for row in under.rows] == [
        f"{student} ← {teacher}" for student in ("small", "tiny") for teacher in ("better", "good")
    ]
    assert under.title.endswith("the best of each column is shaded")


def test_the_order_of_a_dataset_left_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache")
    found = evaluate(made_up(everywhere_the_same, datasets=4), "", SilentReporter(), "nearest", cache, ("mean_rank",))
    section = told(outcomes.left_out, evaluation=found)
    record, held_out = found
    (table,) = section.tables
    for row, each in zip(table.rows, held_out, strict=False):
        assert row[0] == each.dataset
        assert row[1] == f"{each.measures['spearman']:.3f}".replace("-", "−")
    assert table.rows[-1][1] == f"{record.mean_spearman:.3f}"
    assert f"has {record.predictors['mean_rank']['spearman']:.2f}." in section.text[0]
    assert [picture.name for picture in section.pictures] == ["top-5", *(f"predicted-set{place}" for place in range(4))]


def test_students_and_what_they_cost() -> None:
    section = told(outcomes.costs)
    students, front = section.tables
    for row in students.rows:
        own = findings.by_configuration(RUNS[RUNS.student == row[0]])
        assert row[2] == f"{np.median(own.seconds):.3g}"
        of_datasets = own.groupby("dataset").ratio.mean()
        assert row[3] == {"small": "2", "tiny": "0.5"}[row[0]]
        assert row[5].startswith(f"{of_datasets.mean():.2f} (")
    found = findings.costs(RUNS)
    assert not isinstance(found, str)
    assert len(front.rows) == found.rows.front.sum()
    assert len(section.pictures) == 5
    assert "one machine" in section.text[1]
    cheap = told(outcomes.costs, frame_of([{**row, "seconds": None} for row in rows()]))
    assert cheap.tables[1].head[1] == "parameters"
    assert {row[2] for row in cheap.tables[0].rows} == {"–"}


def test_learning_curves_in_numbers() -> None:
    section = told(outcomes.learning_curves)
    needed, curves = section.tables
    assert f"{len(RUNS)} runs tell of their epochs" in section.text[0]
    assert len(needed.rows) == len(curves.rows) == 6
    found = findings.learning_curves(with_runs(epochs(rows()), RUNS))
    assert not isinstance(found, str)
    first = found[(found.student == "small") & (found.objective == "mi_alpha")].iloc[0]
    assert curves.rows[0][:2] == ["small: mi_alpha", f"{first['median']:.2f} ({first.low:.2f} to {first.high:.2f})"]
    assert all(re.fullmatch(r"[\d.]+", cell) for row in needed.rows for cell in row[1:])
