"""Rows of several labels: how cells hold them, and what is refused, with its row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.label_sets import holds_lists, label_set, rarest, separator_of, why_nothing, written_list
from engine.data.load import load_task
from engine.data.task import SOFT
from tests.engine.data.label_rows import SETS, frame, names_of, problem

# --- how a cell holds them ---------------------------------------------------------------------------


@given(st.lists(st.text(max_size=5), max_size=4))
def test_a_list_that_is_written_is_read_as_json_and_as_python_write_it(labels: list[str]) -> None:
    assert written_list(json.dumps(labels)) == labels
    assert written_list(repr(labels)) == labels


@pytest.mark.parametrize("cell", ["joy", "{}", "[", "['a' 'b']", "[" * 9_999, "[x]", "", None, 5, "[" + "1," * 9_000])
def test_what_is_no_list_is_none(cell: Any) -> None:
    assert written_list(cell) is None


def test_the_sign_between_labels_is_one_that_others_share() -> None:
    assert separator_of(["joy", "joy;love", "love"]) == ";"
    assert separator_of(["joy, love", "love, anger", "joy"]) == ","
    assert separator_of(["salt, pepper", "bread"]) == ""
    assert separator_of([1, None, "joy"]) == ""


def test_an_empty_cell_says_that_no_label_applies_only_where_labels_are_joined() -> None:
    assert label_set("", "|") == label_set(None, "|") == []
    assert label_set("") is label_set(None) is None
    assert label_set("joy||love|", "|") == ["joy", "love"]


def test_most_cells_decide_whether_a_column_holds_lists() -> None:
    assert holds_lists(pa.chunked_array([["['a']", '["b", "c"]', "oops"]]))
    assert not holds_lists(pa.chunked_array([["['a']", "b", "c"]]))


WRITTEN = {
    "lists": frame(),
    "JSON": frame(map(json.dumps, SETS)),
    "Python": frame(map(repr, SETS)),
    "joined": frame(map("|".join, SETS)),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_every_way_of_writing_gives_the_same_task(way: str) -> None:
    task = load_task(WRITTEN[way])
    assert (task.kind, task.labels, task.metric) == ("multi_label", ("anger", "joy", "love"), "f1_micro")
    assert list(names_of(task).values()) != SETS * 10  # rows were held out
    assert names_of(task) == {f"text number {row}": sorted(SETS[row % 6]) for row in range(60)}
    assert "3 labels: anger (" in "\n".join(task.notes)


@pytest.mark.parametrize("sign", [";", ","])
def test_other_signs_are_read_where_the_kind_of_task_is_named(sign: str) -> None:
    data = frame(map(sign.join, SETS))
    assert load_task(data, kind="multi_label").labels == ("anger", "joy", "love")
    plain = frame([cell or "none" for cell in map(sign.join, SETS)])
    assert load_task(plain).kind == "classification"


def test_a_file_of_json_lines(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "labels": SETS[row % 6]} for row in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    task = load_task(tmp_path / "rows.jsonl")
    assert task.kind == "multi_label"
    assert names_of(task)["text 1"] == ["joy", "love"]


def test_one_label_each_may_still_be_said_to_be_several() -> None:
    task = load_task(frame(["joy", "love", "anger"]), kind="multi_label")
    assert {tuple(row) for row in task.train["label"]} == {(0,), (1,), (2,)}


def test_a_label_stands_once_however_often_it_is_written_and_numbers_are_names() -> None:
    task = load_task(frame([[3, 1, 3], [1], [2]]))
    assert task.labels == ("1", "2", "3")
    assert names_of(task)["text number 0"] == ["1", "3"]


# --- what is refused, and what is remarked -----------------------------------------------------------


def test_a_cell_without_a_list_is_named_with_its_row() -> None:
    found = problem(frame([*SETS, None]))
    assert "train row 6: no labels in column 'labels'; got nothing. An empty list means that no label applies." in found


@pytest.mark.parametrize("cell", [[["joy"]], [None], [{}]])
def test_a_list_of_something_else_is_named_with_its_row(cell: Any) -> None:
    assert "train row 6: column 'labels' must hold lists of labels" in problem(frame([*map(repr, SETS), repr(cell)]))


def test_a_label_of_validation_that_training_does_not_have() -> None:
    found = problem({"train": frame(), "validation": frame([["joy"], ["joy", "fear"]], 1)})
    assert "validation row 1: label in column 'labels' does not occur in training; got 'fear'" in found
    assert "allowed: anger, joy, love" in found


def test_a_stray_word_among_lists_is_one_label() -> None:
    task = load_task(frame([*map(json.dumps, SETS), "joy"]))
    assert names_of(task)["text number 6"] == ["joy"]


@pytest.mark.parametrize(
    ("sets", "what"), [([[]], "no row has a label"), ([["joy", "love"]], "all rows have the same labels")]
)
def test_labels_that_teach_nothing(sets: Any, what: str) -> None:
    assert f"{what}: nothing to learn" in problem(frame(sets), kind="multi_label")
    assert what in why_nothing(pa.chunked_array([[[]] * 3 if sets == [[]] else [[0, 1]] * 3]))
    assert not why_nothing(pa.chunked_array([[[0]] * 3, [[0], []]]))


def test_one_label_that_applies_or_not_is_enough() -> None:
    task = load_task(frame([["spam"], []]))
    assert task.labels == ("spam",)
    assert task.outputs == 1


def test_labels_that_are_all_different_are_too_many() -> None:
    found = problem(frame([[f"a{row}", f"b{row}"] for row in range(60)], times=1))
    assert "train: column 'labels': too many different labels; got 120 different ones in 60 rows" in found


def test_declared_labels_may_be_missing_and_are_remarked_on(tmp_path: Path) -> None:
    about = {"task": "multi_label", "label_names": ["joy", "love", "anger", "fear"]}
    (tmp_path / "dataset.json").write_text(json.dumps(about), "utf-8")
    frame([["joy", 1], [], [2], [0, 2]]).to_json(tmp_path / "train.jsonl", orient="records", lines=True)
    task = load_task(tmp_path)
    assert task.labels == ("joy", "love", "anger", "fear")
    assert names_of(task)["text number 0"] == ["joy", "love"]
    assert "labels without a training row: fear" in task.notes
    assert any("training rows have none" in note for note in task.notes)


# --- samples and splits ------------------------------------------------------------------------------


def test_a_row_belongs_to_its_rarest_label() -> None:
    assert rarest(pa.chunked_array([[[0, 1, 2], [0, 1]], [[0], []]]), labels=4).tolist() == [2, 1, 0, 4]


def test_rare_labels_keep_their_share_in_what_is_held_out() -> None:
    data = frame([["often"]] * 17 + [["often", "rare"]] * 2 + [[]], times=50)
    task = load_task(data, max_train=200)
    for rows in (task.train, *task.validation.values(), *task.test.values()):
        share = np.mean([task.labels.index("rare") in labels for labels in rows["label"]])
        assert share == pytest.approx(0.1, abs=0.02)
    assert any("stratified by each row's rarest label" in note for note in task.notes)


# --- soft labels -------------------------------------------------------------------------------------


def soft(**more: Any) -> pd.DataFrame:
    return frame([["a"], ["b"], ["a", "b"], []], **more)


def test_probabilities_of_labels_need_no_sum_and_become_their_odds() -> None:
    data = soft(p_a=[0.5, 0.9, 1.0, 0.0] * 10, p_b=[0.9, 0.9, 0.5, 0.5] * 10)
    logits = np.array(load_task(data, teacher_probabilities="p_").train[SOFT][:])
    assert np.isfinite(logits).all()
    shares = 1 / (1 + np.exp(-logits))
    assert {tuple(row.round(5)) for row in shares} == {(0.5, 0.9), (0.9, 0.9), (1.0, 0.5), (0.0, 0.5)}


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan")])
def test_a_probability_outside_of_0_and_1_is_named(wrong: float) -> None:
    data = soft(p_a=[0.5, wrong, 0.1, 0.2] * 10, p_b=0.5)
    assert problem(data, teacher_probabilities="p_").startswith("train row 1: ")


def test_logits_may_be_anything_finite() -> None:
    data = soft(t_a=[5.0, -5.0, 0.0, 1.0] * 10, t_b=0.25)
    assert {row[1] for row in load_task(data, teacher_logits="t_").train[SOFT]} == {0.25}
