"""What a reader is told of components: the words and cells of importance, objectives, augmentation, configurations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autodistill.evaluation.importance import Importance, MeanShare, OfRuns, Share
from autodistill.report import choices, findings
from autodistill.report.material import Material
from autodistill.report.page import Section
from tests.autodistill.report.study import frame_of, rows

RUNS = frame_of(rows())
SHARE = Share(share=0.25, low=0.2, high=0.3)
FOUND = Importance(
    meta_data="",
    runs=80,
    single={
        "student": MeanShare(share=0.5, low=0.25, high=0.75, datasets=3),
        "mapping": MeanShare(share=0.25, low=None, high=None, datasets=1),
    },
    pairs={"student × mapping": MeanShare(share=0.125, low=None, high=None, datasets=1)},
    datasets={
        "a": OfRuns(dataset="a", runs=40, explained=0.5, single={"student": SHARE}, pairs={}),
        "b": OfRuns(dataset="b", runs=40, explained=0.75, single={"student": SHARE, "mapping": SHARE}, pairs={}),
    },
    left_out={"c, f1": "7 runs, and 30 are needed"},
    notes=[],
)


def material(runs: pd.DataFrame = RUNS, importance: Importance | str = FOUND) -> Material:
    return Material("made up", runs, pd.DataFrame(), importance, "not asked", ())


def shown(found: Section | str) -> Section:
    assert isinstance(found, Section)
    return found


def test_shares_stand_beside_each_dataset() -> None:
    section = shown(choices.importance(material()))
    assert "student decides most over all datasets: 0.50 (0.25 to 0.75)" in section.text[0]
    alone, pairs, left_out = section.tables
    assert alone.rows == [
        ["student", "0.50 (0.25 to 0.75)", "0.25", "0.25"],
        ["mapping", "0.25", "–", "0.25"],
        ["R² of unseen runs", "–", "0.50", "0.75"],
    ]
    assert [[*row] for row in alone.shades] == [[0, 0.25, 0.25], [0, 0, 0.25]]
    assert pairs.rows == [["student × mapping", "0.12", "–", "–"]]
    assert left_out.rows == [["c, f1", "7 runs, and 30 are needed"]]
    assert [picture.name for picture in section.pictures] == ["importance", "interactions"]


def test_without_pairs_there_is_no_figure_of_them() -> None:
    alone = FOUND.model_copy(update={"pairs": {}, "left_out": {}})
    section = shown(choices.importance(material(importance=alone)))
    assert (len(section.pictures), len(section.tables)) == (1, 1)
    assert choices.importance(material(importance="too few")) == "too few"


def test_counts_of_objectives_stand_beside_chance() -> None:
    section = shown(choices.objectives(material()))
    found = findings.objectives_in_top(RUNS)
    assert not isinstance(found, str)
    (table,) = section.tables
    assert table.head[1:] == [*found.counts]
    cells = [[float(cell.split()[0]) for cell in row[1:]] for row in table.rows[:-2]]
    assert np.allclose(cells, found.counts)
    assert table.rows[0][1:] == [f"{found.counts.iloc[0][name]:.2g} ({2.5 if name == 'mi_alpha' else 1.25:.1f})"
                                 for name in found.counts]  # fmt: skip
    best = found.counts.columns[0]
    assert section.text[0].startswith(f"{best} stands in {found.means[best].value:.2f} (")


def test_gains_are_said_by_size() -> None:
    better = [{**row, "score": float(str(row["score"])) + 0.02 * (row["augmentation"] == "mixup")} for row in rows()]
    runs = frame_of(better)
    section = shown(choices.augmentation(material(runs)))
    gains = findings.augmentation_gains(runs)
    assert not isinstance(gains, str)
    small = gains[gains.n_train == 100].groupby("dataset").gain.mean().mean()
    large = gains[gains.n_train == 300].gain.mean()
    assert section.text[1].startswith(f"With up to 200 training rows it is {small:+.2f} (")
    assert section.text[1].endswith(f", with more {large:+.2f}.")
    assert section.text[2].startswith("For students of up to 2.25\xa0M parameters it is ")
    (table,) = section.tables
    assert table.head == ["comparable runs", "tiny (500\xa0k)", "small (4\xa0M)", "mean over students"]
    own = gains.set_index(["among", "student"]).gain
    first = [f"{own['set1', name]:+.1f} (6)" for name in ("tiny", "small")]
    assert ["set1, 100 rows", *first, f"{own['set1'].mean():+.1f}"] in [[*row] for row in table.rows]


def test_one_size_is_not_divided() -> None:
    runs = RUNS[(RUNS.n_train == 100) & (RUNS.student == "tiny")]
    assert len(shown(choices.augmentation(material(runs))).text) == 2


def test_the_best_configurations_of_each_dataset() -> None:
    section = shown(choices.top_configurations(material()))
    assert section.tables[0].title == "set0, test, 100 rows: the best of 32 configurations"
    best = RUNS[RUNS["among"] == "set1"].groupby("configuration").score.mean().sort_values(ascending=False)
    table = next(table for table in section.tables if table.title.startswith("set1"))
    assert [row[2] for row in table.rows] == [f"{score:.3f}" for score in best[:5]]
    assert [row[0][:2] for row in table.rows] == ["1.", "2.", "3.", "4.", "5."]
    first = RUNS[RUNS.configuration == best.index[0]].iloc[0]
    assert table.rows[0][0].startswith(f"1. {first.intermediate}")
    assert table.rows[0][1] == f"{first.student} ← {first.teacher}"
    assert table.rows[0][4] == "2"


@pytest.mark.parametrize("score", [0.5, float("nan")])
def test_equals_have_the_same_rank(score: float) -> None:
    runs = RUNS.assign(score=0.5, ratio=score)
    (table, *_) = shown(choices.top_configurations(material(runs))).tables
    assert {row[0][:2] for row in table.rows} == {"1."}
    assert {row[3] for row in table.rows} == {"0.500" if score == score else "–"}
