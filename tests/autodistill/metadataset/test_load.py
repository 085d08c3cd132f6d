"""Tables of runs in every layout: what is read, what is said of their faults, what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from autodistill.knowledge import load_knowledge
from autodistill.metadataset.frame import COLUMNS, flat, is_pipeline_column
from autodistill.metadataset.load import read_runs
from autodistill.predictors.runs import configuration_columns
from autodistill.space import pipelines
from autodistill.store import Store
from engine.errors import InputError
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.autodistill.test_store import result

AUTHORS = (
    "Model,Teacher,intermediate_loss_type,alpha,intermediate_strategy,kd_loss_type,mixup,repeated_aug,aug_p,"
    "#example,score,task,ratio,baseline_score,contextual,backtranslation,random\n"
)
ROW = "TinyBERT4,BERT_BASE,mi,0.9,skip,mse,TRUE,1,0.3,2500,0.6,rte,0.8,54.1,2,0,1\n"


@pytest.mark.parametrize("kind", ["classification", "regression", "tagging", "question_answering"])
def test_no_column_of_a_pipeline_is_one_of_a_run(kind: str) -> None:
    for pipeline in pipelines(kind):  # type: ignore[arg-type]
        columns = flat(pipeline.model_dump())
        assert not set(columns) & set(COLUMNS)
        assert all(map(is_pipeline_column, columns))


def test_our_layout_comes_back_as_it_went(tmp_path: Path) -> None:
    frame = made_up(everywhere_the_same, datasets=3).runs
    frame.to_csv(tmp_path / "runs.csv", index=False)
    read = read_runs(tmp_path / "runs.csv").frame
    pd.testing.assert_frame_equal(read[frame.columns], frame, check_dtype=False)


def test_every_damaged_row_is_named_with_line_and_column(tmp_path: Path) -> None:
    frame = made_up(everywhere_the_same, datasets=2).runs.astype(object)
    frame.loc[1, "score"] = "high"
    frame.loc[3, "n_train"] = 0
    frame.loc[3, "task_kind"] = "clasification"
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(InputError) as caught:
        read_runs(tmp_path / "runs.csv")
    said = str(caught.value).splitlines()
    assert len(said) == 3
    assert said[0].startswith(f"{tmp_path}/runs.csv:3, score: ")
    assert {line.split(": ")[0].rsplit(", ")[1] for line in said[1:]} == {"n_train", "task_kind"}
    assert any("Did you mean classification?" in line for line in said)


def test_a_column_that_is_misspelt_is_refused(tmp_path: Path) -> None:
    frame = made_up(everywhere_the_same, datasets=2).runs.rename(columns={"seconds": "secnds"})
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(InputError, match="Did you mean seconds"):
        read_runs(tmp_path / "runs.csv")


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "text,label\nhello,1\n"])
def test_a_table_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.csv").write_text(content, "utf-8")
    with pytest.raises(InputError, match="no table of runs"):
        read_runs(tmp_path / "other.csv")
    with pytest.raises(InputError, match="neither a table of runs nor runs"):
        read_runs(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_runs(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no runs to learn from"):
        load_knowledge(["store"], Store(str(tmp_path / "empty.db")))


def test_finished_runs_in_a_folder(tmp_path: Path) -> None:
    for name, status in (("a", "ok"), ("b", "pruned"), ("c", "failed")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "result.json").write_text(result(name, status=status).to_json(), "utf-8")
    read = read_runs(tmp_path)
    assert len(read) == 1
    assert read.frame.ratio[0] == pytest.approx(0.8 / 0.9)


def test_the_authors_layout(tmp_path: Path) -> None:
    other = ROW.replace("0.6,rte,0.8", "0.7,rte,1.1").replace("mi,0.9", "mse,0.9")
    failed = ROW.replace("0.6,rte,0.8", "0,rte,0").replace("TRUE", "FALSE")
    (tmp_path / "runs.csv").write_text("\ufeff" + AUTHORS + ROW + ROW + other + failed, "utf-8")
    read = read_runs(tmp_path)
    assert len(read) == 3
    first, second, third = read.frame.to_dict("records")
    assert first["teacher_score"] == pytest.approx(0.75)
    assert first["baseline_score"] == pytest.approx(0.541)
    assert first["student"] == "TinyBERT_4"
    assert first["student_layers"] == 4
    assert first["augmentation"] == "random+contextual+mixup"
    assert [first[f"augmentation.{name}"] for name in ("random", "contextual", "mixup")] == [1, 2, 3]
    assert first["intermediate.alpha"] == 0.9
    assert pd.isna(second["intermediate.alpha"])  # a filler where the objective has none
    assert third["ratio"] == 0
    notes = " ".join(read.notes)
    for said in ("1 rows repeat", "1 ratios are above 1", "1 scores are 0 or below", "byte order mark"):
        assert said in notes


def test_the_published_table() -> None:
    read = read_runs("published")
    assert len(read) == 504
    assert len(read.datasets) == 9
    mnli = read.frame[read.frame.dataset == "mnli"]
    assert {"validation of MNLI-m", "validation of MNLI-mm"} <= set(mnli.held_out)
    only = read.frame["intermediate.alpha"].notna()
    assert (read.frame.intermediate[only] == "mi_alpha").all()
    assert read.frame.student_parameters.notna().all()


@pytest.mark.shared
def test_the_authors_runs(shared: Path) -> None:
    read = read_runs(shared / "published" / "authors_runs")
    assert len(read) == 1236
    assert len(read.datasets) == 8
    notes = " ".join(read.notes)
    for said in ("3 rows repeat", "236 ratios are above 1", "15 scores are 0 or below"):
        assert said in notes
    assert "augmentation" not in configuration_columns(read.frame)
