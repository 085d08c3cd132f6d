"""The table of runs: names of its columns, pipelines as columns, checks, and the ratio."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodistill.datasets.descriptors import dataset_name
from autodistill.history.read import read_runs
from autodistill.history.table import (
    COLUMNS,
    MODEL_COLUMNS,
    NUMBERS,
    cell,
    flat,
    is_pipeline_column,
    row_of_result,
    runs_frame,
    runs_of_results,
)
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError
from engine.data.task import TASK_KINDS, TaskKind
from engine.pipeline import EMD, MIAlpha, MLPCritic, Pipeline, PredictionCE, Training
from engine.run.result import distillation_ratio
from tests.records import made_record, made_row


def frame_of(*rows: dict[str, Any]) -> pd.DataFrame:
    return runs_frame(rows, [f"row {place}" for place in range(len(rows))])


# --- pipelines as columns ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_no_column_of_a_pipeline_is_one_of_a_run(kind: TaskKind) -> None:
    for pipeline in pipelines(kind):
        columns = flat(pipeline.model_dump())
        assert not set(columns) & set(COLUMNS)
        assert all(map(is_pipeline_column, columns))


def test_two_pipelines_differ_in_their_columns() -> None:
    space = list(pipelines("classification"))
    columns = {json.dumps(flat(pipeline.model_dump()), sort_keys=True) for pipeline in space}
    assert len(columns) == len(space)


def test_a_pipeline_has_the_columns_of_its_own_kinds() -> None:
    pipeline = Pipeline(
        intermediate=MIAlpha(alpha=0.5, critic=MLPCritic(width=64)),
        mapping=EMD(),
        prediction=PredictionCE(temperature=2.0),
        training=Training(epochs=3),
    )
    columns = flat(pipeline.model_dump())
    expected = {
        "intermediate": "mi_alpha",
        "intermediate.alpha": 0.5,
        "intermediate.critic": "mlp",
        "intermediate.critic.width": 64,
        "mapping": "emd",
        "mapping.layer_weights": "cost_attention",
        "prediction": "ce",
        "prediction.temperature": 2.0,
        "augmentation": "none",
        "team": "single",
        "weights.hard_label": 0.0,
        "training.epochs": 3,
    }
    assert {name: columns[name] for name in expected} == expected
    assert not {"intermediate.projection", "training.learning_rate"} & set(columns)  # another kind's; None


def test_a_stack_of_operators_is_its_order_and_the_place_and_knobs_of_each() -> None:
    stack = [{"kind": "random", "strength": 0.1}, {"kind": "mixup"}]
    expected = {
        "augmentation": "random+mixup",
        "augmentation.random": 1,
        "augmentation.strength": 0.1,
        "augmentation.mixup": 2,
    }
    assert flat({"augmentation": {"operators": stack}}) == expected
    assert flat({"augmentation": stack}) == expected


def test_an_empty_stack_is_none() -> None:
    assert flat({"augmentation": {"operators": []}}) == flat({"augmentation": {"kind": "none"}})


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("intermediate", True),
        ("intermediate.alpha", True),
        ("weights.hard_label", True),
        ("team", True),
        ("augmentation.strength", True),
        ("teacher", False),
        ("student_layers", False),
        ("alpha", False),
        ("intermediate_objective", False),
    ],
)
def test_columns_of_pipelines(name: str, is_one: bool) -> None:
    assert is_pipeline_column(name) is is_one


@pytest.mark.parametrize(
    ("text", "value"), [("0.9", 0.9), ("1e-3", 1e-3), ("-2", -2.0), ("emd", "emd"), ("nan", "nan"), (3, 3)]
)
def test_what_reads_as_a_number_is_one(text: object, value: object) -> None:
    assert cell(text) == value


# --- rows --------------------------------------------------------------------------------------


def test_every_column_is_there_and_what_is_not_known_is_missing() -> None:
    frame = frame_of(made_row(), made_row(**{"intermediate.alpha": 0.5}))
    assert list(frame.columns) == [*COLUMNS, "intermediate", "mapping", "intermediate.alpha"]
    assert frame[[*MODEL_COLUMNS, "seed", "bilstm_score", "seconds"]].isna().all(axis=None)
    assert {str(kind) for kind in frame.dtypes[list(NUMBERS)]} == {"float64"}
    assert frame["intermediate.alpha"].isna().tolist() == [True, False]


def test_no_rows_have_every_column_as_well() -> None:
    assert list(frame_of().columns) == list(COLUMNS)


def test_the_ratio_is_taken_as_given_or_else_made() -> None:
    frame = frame_of(made_row(), made_row(ratio=0.5), made_row(ratio=0.0), made_row(teacher_score=None))
    assert frame.ratio[:3].tolist() == [pytest.approx(0.8 / 0.9), 0.5, 0.0]
    assert pd.isna(frame.ratio[3])


scores = st.floats(-1, 1)


@given(score=scores, teacher_score=scores.filter(lambda value: value <= 0 or value > 1e-3))
def test_the_ratio_is_that_of_a_record(score: float, teacher_score: float) -> None:
    frame = frame_of(made_row(score=score, teacher_score=teacher_score))
    expected = distillation_ratio(score, teacher_score)
    assert frame.ratio.isna()[0] if expected is None else frame.ratio[0] == expected


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("score", "high", "got 'high'"),
        ("score", 81.2, "out of range; got 81.2; allowed: -1 to 1"),
        ("score", float("inf"), "a finite number is needed"),
        ("score", None, "is missing"),
        ("teacher_score", -1.5, "allowed: -1 to 1"),
        ("n_train", 0, "allowed: at least 1"),
        ("n_train", 2.5, "a whole number is needed"),
        ("teacher_layers", 0, "allowed: at least 1"),
        ("student_layers", -1, "allowed: at least 0"),
        ("seed", -1, "allowed: at least 0"),
        ("seconds", -0.1, "allowed: at least 0"),
        ("task_kind", "clasification", "Did you mean classification?"),
        ("dataset", "", "dataset: "),
        ("secnds", 3, "Did you mean seconds?"),
    ],
)
def test_a_damaged_cell_is_named(column: str, value: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        frame_of(made_row(), made_row(**{column: value}))
    (problem,) = caught.value.problems
    assert problem.place == f"row 1, {column}"
    assert said in str(problem)


def test_all_damaged_cells_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        frame_of(made_row(score=2, n_train=0), made_row(), made_row(metric=""))
    assert {problem.place for problem in caught.value.problems} == {"row 0, score", "row 0, n_train", "row 2, metric"}


def test_of_many_damaged_cells_in_one_column_the_first_are_shown_and_all_are_counted() -> None:
    with pytest.raises(InputError) as caught:
        frame_of(*[made_row(score=2) for _ in range(8)])
    *shown, last = caught.value.problems
    assert [problem.place for problem in shown] == [f"row {place}, score" for place in range(5)]
    assert (last.place, "8 rows in all" in last.what) == ("score", True)


# --- records of runs ---------------------------------------------------------------------------


def result_row(**more: Any) -> dict[str, Any]:
    """The row of a made-up record, which must be one."""
    found = row_of_result(made_record(**more))
    assert found is not None
    return found


def test_what_a_record_says_of_its_run() -> None:
    found = result_row(
        identity="abc",
        task="SST-2",
        dataset_hub="nyu-mll/glue/sst2",
        task_kind="classification",
        metric="accuracy",
        train_examples=123,
        teacher="bert",
        student="layers:3",
        teacher_layers=12,
        teacher_hidden_size=768,
        teacher_parameters=110_000_000,
        layers=3,
        hidden_size=384,
        parameters=20_000_000,
        seed=7,
        student_score=0.8,
        teacher_score=0.9,
        stage_seconds={"teacher": 50.0, "student": 12.5},
        pipeline=Pipeline(intermediate=MIAlpha(alpha=0.5), mapping=EMD()).model_dump(),
    )
    expected = {
        "dataset": "sst2",
        "task_kind": "classification",
        "metric": "accuracy",
        "n_train": 123,
        "teacher": "bert",
        "student": "layers:3",
        "teacher_layers": 12,
        "teacher_hidden_size": 768,
        "teacher_parameters": 110_000_000,
        "student_layers": 3,
        "student_hidden_size": 384,
        "student_parameters": 20_000_000,
        "seed": 7,
        "score": 0.8,
        "teacher_score": 0.9,
        "seconds": 12.5,
        "source": "run abc",
        "intermediate": "mi_alpha",
        "intermediate.alpha": 0.5,
        "mapping": "emd",
    }
    assert {name: found[name] for name in expected} == expected


def test_the_student_without_a_teacher_is_not_the_bi_lstm() -> None:
    assert result_row(student_alone_score=0.7)["bilstm_score"] is None


def test_the_bi_lstm_of_a_run_is_that_of_its_own_rows_and_metric() -> None:
    found = {"bilstm": {"test": {"accuracy": 0.66, "f1": 0.5}}}
    compared = made_record("a", scores=found, split="test")
    others = [made_record("b", dataset_fingerprint="g", split="test"), made_record("c", dataset_fingerprint="h")]
    frame = runs_of_results([compared, *others], {"f": 0.1, "g": 0.61}).frame
    assert frame.bilstm_score.tolist()[:2] == [0.66, 0.61]
    assert frame.bilstm_score.isna().tolist() == [False, False, True]


def test_what_failed_or_was_stopped_is_left_out_and_counted() -> None:
    failed = [made_record(name, status="failed", reason="no memory", student_score=None) for name in "bc"]
    found = runs_of_results([made_record("a"), *failed, made_record("d", status="pruned")])
    assert found.frame.source.tolist() == ["run a"]
    assert found.notes == ("2 runs left out that failed", "1 run left out that stopped early")
    assert runs_of_results([made_record("a")]).notes == ()


def test_runs_of_one_source_are_of_one_dataset_and_compared_where_their_task_is_the_same() -> None:
    first, second = (result_row(dataset_fingerprint=name, dataset_source="5" * 16) for name in "ab")
    assert first["dataset"] == second["dataset"] == "toy@55555555"
    assert first["held_out"] != second["held_out"]


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_run_of_the_space_fits_the_table(kind: TaskKind) -> None:
    space = list(pipelines(kind))
    rows = [result_row(task_kind=kind, pipeline=pipeline.model_dump()) for pipeline in space]
    assert all(name in COLUMNS or is_pipeline_column(name) for found in rows for name in found)
    frame = runs_frame(rows, [""] * len(rows))
    assert frame.intermediate.tolist() == [pipeline.intermediate.kind for pipeline in space]
    assert (frame.student == "small").all()


@pytest.mark.parametrize(
    "more",
    [{"status": "failed", "reason": "the loss"}, {"status": "pruned"}, {"student_score": None}],
    ids=["failed", "pruned", "no score"],
)
def test_a_run_without_a_final_score_is_no_row(more: dict[str, Any]) -> None:
    assert row_of_result(made_record(**more)) is None


def test_scores_on_another_split_of_the_same_dataset_are_apart() -> None:
    first, second = (result_row(dataset_fingerprint=name, dataset_hub="nyu-mll/glue/sst2") for name in "ab")
    assert first["dataset"] == second["dataset"]
    assert first["held_out"] != second["held_out"]


def test_a_teacher_that_is_no_better_than_nothing_leaves_the_ratio_open() -> None:
    assert runs_frame([result_row(teacher_score=0.0)], [""]).ratio.isna().all()


# --- there and back ----------------------------------------------------------------------------

names = st.text(st.characters(categories=["Lu", "Ll", "Nd"], include_characters=' ",;-_é评'), min_size=1).filter(
    lambda text: text.strip() and text not in COLUMNS
)
sizes = st.none() | st.integers(1, 10**12)
rows = st.fixed_dictionaries(
    {
        "dataset": names.map(dataset_name).map(dataset_name).filter(bool),
        "task_kind": st.sampled_from(TASK_KINDS),
        "metric": names,
        "n_train": st.integers(1, 10**9),
        "teacher": names,
        "student": names,
        "score": scores,
    },
    optional={
        "held_out": names,
        "teacher_score": st.none() | scores.filter(lambda value: value <= 0 or value > 1e-3),
        "ratio": st.none() | st.floats(-2, 2),
        "student_layers": sizes,
        "teacher_parameters": sizes,
        "seed": st.none() | st.integers(0, 2**31),
        "seconds": st.none() | st.floats(0, 1e7),
        "source": st.just("") | names,
        "intermediate": st.sampled_from(["none", "mi_alpha", "nan", "NA"]),
        "intermediate.alpha": st.floats(0, 1),
        "mapping.temperature": st.floats(1e-3, 1e3),
        "team": st.just("single"),
    },
)


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), None)


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=5))
def test_a_table_comes_back_as_it_went(given_rows: list[dict[str, Any]]) -> None:
    frame = frame_of(*given_rows)
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(Path(folder) / "runs.csv", index=False)
        back = read_runs(Path(folder) / "runs.csv").frame
    pd.testing.assert_frame_equal(comparable(back)[frame.columns], comparable(frame), rtol=0, atol=0)


def test_a_ratio_over_a_weak_teacher_comes_back(tmp_path: Path) -> None:
    """A teacher of hardly any correlation makes a large ratio, and that is no damage."""
    frame = frame_of(made_row(score=0.5, teacher_score=0.02))
    frame.to_csv(tmp_path / "runs.csv", index=False)
    assert read_runs(tmp_path / "runs.csv").frame.ratio[0] == pytest.approx(25)


def test_a_stack_as_columns() -> None:
    pipeline = Pipeline.model_validate(
        {"augmentation": {"operators": [{"kind": "random", "strength": 0.1}, "contextual", "mixup"]}}
    )
    found = {name: value for name, value in flat(pipeline.model_dump()).items() if "augmentation" in name}
    assert found == {
        "augmentation": "random+contextual+mixup",
        "augmentation.random": 1,
        "augmentation.contextual": 2,
        "augmentation.mixup": 3,
        "augmentation.strength": 0.3,
        "augmentation.copies": 1,
        "augmentation.random.synonyms": "auto",
        "augmentation.contextual.model": "in_domain",
        "augmentation.contextual.top_k": 10,
        "augmentation.mixup.a": 0.4,
    }


def test_no_stack_has_no_knobs() -> None:
    found = flat(Pipeline().model_dump())
    assert {name: value for name, value in found.items() if "augmentation" in name.split(".")[0]} == {
        "augmentation": "none"
    }
