"""Runs from files and folders: what is read, and how damage is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autodistill.history.read import joined, read_runs
from autodistill.history.table import Runs, runs_frame
from engine.base.errors import InputError
from tests.autodistill.history.test_authors import authors_row, authors_table
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.records import made_record, made_row


def written(path: Path, *rows: dict[str, Any]) -> Path:
    """A CSV file of rows, as pandas writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def finished(folder: Path, identity: str, **more: Any) -> None:
    """The folder of a run that left a record."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(made_record(identity, **more).to_json(), "utf-8")


def refusal(source: Path) -> list[str]:
    """The lines that say why runs cannot be read, without the folder they lie in."""
    with pytest.raises(InputError) as caught:
        read_runs(source)
    folder = source if source.is_dir() else source.parent
    return str(caught.value).replace(f"{folder}/", "").splitlines()


# --- tables ------------------------------------------------------------------------------------


def test_our_layout_comes_back_as_it_went(tmp_path: Path) -> None:
    frame = made_up(everywhere_the_same, datasets=3).runs
    frame.to_csv(tmp_path / "runs.csv", index=False)
    read = read_runs(tmp_path / "runs.csv").frame
    pd.testing.assert_frame_equal(read[frame.columns], frame, check_dtype=False)


def test_converted_runs_come_back_in_our_layout(tmp_path: Path) -> None:
    frame = read_runs("published").frame
    frame.to_csv(tmp_path / "runs.csv", index=False)
    back = read_runs(tmp_path / "runs.csv")
    assert not back.notes
    pd.testing.assert_frame_equal(*(table.where(table.notna(), "") for table in (back.frame, frame)))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_format_gives_the_same_runs(tmp_path: Path, suffix: str) -> None:
    rows = [made_row(seed=1, **{"intermediate.alpha": 0.5}), made_row(dataset="NA", teacher_score=None)]
    table, path = pd.DataFrame(rows), tmp_path / f"runs.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix.startswith("json"):
        table.to_json(path, orient="records", lines=suffix == "jsonl")
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    expected = runs_frame(rows, ["", ""])
    pd.testing.assert_frame_equal(read_runs(path).frame[expected.columns], expected, check_dtype=False)


def test_the_index_that_pandas_writes_is_no_column(tmp_path: Path) -> None:
    pd.DataFrame([made_row()]).to_csv(tmp_path / "runs.csv")
    assert len(read_runs(tmp_path / "runs.csv")) == 1


def test_a_file_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "runs.csv", made_row())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read_runs("~/runs.csv")) == 1


def test_every_damaged_row_is_named_with_line_and_column(tmp_path: Path) -> None:
    rows = [
        made_row(),
        made_row(score="high"),
        made_row(source="a note\nof two lines"),
        made_row(n_train=0, task_kind="clasification"),
        made_row(teacher=None),
    ]
    said = refusal(written(tmp_path / "runs.csv", *rows))
    places = {line.split(": ")[0]: line for line in said}
    assert set(places) == {"runs.csv:3, score", "runs.csv:6, n_train", "runs.csv:6, task_kind", "runs.csv:7, teacher"}
    assert "'high'" in places["runs.csv:3, score"]
    assert "Did you mean classification?" in places["runs.csv:6, task_kind"]
    assert "is missing" in places["runs.csv:7, teacher"]


def test_rows_of_the_wrong_length_are_all_named(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", made_row())
    path.write_text(path.read_text("utf-8") + "toy,classification\ntoy\n", "utf-8")
    said = refusal(path)
    assert [line.split(": ")[0] for line in said] == ["runs.csv:3", "runs.csv:4"]
    assert all("wrong number of columns" in line for line in said)


def test_columns_that_are_misspelt_are_all_named(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", made_row(secnds=3.0, techer_score=0.9, my_note="mine"))
    said = refusal(path)
    assert len(said) == 3
    assert all(line.startswith("runs.csv: unknown column; got ") for line in said)
    assert said[0].endswith("Did you mean seconds?")
    assert said[1].endswith("Did you mean teacher_score?")
    assert "'my_note'" in said[2]


@pytest.mark.parametrize("column", ["dataset", "score", "teacher"])
def test_a_column_that_is_missing_is_named(tmp_path: Path, column: str) -> None:
    row = made_row()
    del row[column]
    (said,) = refusal(written(tmp_path / "runs.csv", row))
    assert said.startswith(f"runs.csv: no table of runs; got no column {column};")


@pytest.mark.parametrize("content", ["", "\n", "text,label\nhello,1\n"])
def test_a_table_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.csv").write_text(content, "utf-8")
    (said,) = refusal(tmp_path / "other.csv")
    assert said.startswith("other.csv: no table of runs")


def test_a_file_of_another_kind_or_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.xlsx").write_bytes(b"PK")
    (tmp_path / "runs.csv").write_bytes("dataset,score\ncaf\u00e9,0.5\n".encode("latin1"))
    assert "unknown kind of file" in refusal(tmp_path / "runs.xlsx")[0]
    assert refusal(tmp_path / "runs.csv")[0].startswith("runs.csv:2: not UTF-8")


def test_nothing_there_says_what_else_can_be_named(tmp_path: Path) -> None:
    (said,) = refusal(tmp_path / "none.csv")
    assert said.startswith("--meta-data: no such file or folder")
    assert "published, study, store" in said


# --- folders -----------------------------------------------------------------------------------


def test_a_folder_holds_tables_of_every_layout_and_runs(tmp_path: Path) -> None:
    written(tmp_path / "ours.csv", made_row(), made_row(seed=1))
    authors_table(tmp_path, authors_row(score=0.6, ratio=6 / 7))
    written(tmp_path / "notes.csv", {"text": "no runs", "label": 1})
    (tmp_path / "README.md").write_text("no table", "utf-8")
    finished(tmp_path / "made" / "today" / "one", "one", task="made")
    read = read_runs(tmp_path)
    assert read.frame.dataset.tolist() == ["toy", "toy", "rte", "made@f"]
    assert read.frame.index.tolist() == [0, 1, 2, 3]
    assert read.frame.ratio.tolist() == pytest.approx([0.8 / 0.9, 0.8 / 0.9, 6 / 7, 0.8 / 0.9])


def test_only_finished_runs_count(tmp_path: Path) -> None:
    for status in ("ok", "pruned", "failed"):
        finished(tmp_path / status, status, status=status)
    assert read_runs(tmp_path).frame.source.tolist() == ["run ok"]


def test_the_folder_of_one_run(tmp_path: Path) -> None:
    finished(tmp_path / "run", "one")
    assert read_runs(tmp_path / "run").frame.source.tolist() == ["run one"]


def test_other_files_beside_runs_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "recommendation.json").write_text('{"picks": []}', "utf-8")
    finished(tmp_path / "run", "one")
    assert len(read_runs(tmp_path)) == 1


def test_a_record_that_is_damaged_is_named(tmp_path: Path) -> None:
    finished(tmp_path / "good", "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "result.json").write_text('{"status": "ok"', "utf-8")
    (said,) = refusal(tmp_path)
    assert said.startswith("bad/result.json: not the record of a run")


@pytest.mark.parametrize("broken", ["[]", "[" * 100_000, '{"seed": 1' + "0" * 5000 + "}"])
def test_a_file_that_is_no_record_is_named(broken: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(broken, "utf-8")
    (said,) = refusal(tmp_path)
    assert said.startswith("result.json: not the record of a run")


def test_a_record_of_a_newer_version_is_left_out_and_said(tmp_path: Path) -> None:
    finished(tmp_path / "good", "good")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "result.json").write_text('{"layout": 99, "status": "ok"}', "utf-8")
    found = read_runs(tmp_path)
    assert found.frame.source.tolist() == ["run good"]
    (said,) = found.notes
    assert said.startswith(
        f"left out: {tmp_path / 'new' / 'result.json'}: not the record of a run; got it was written by a newer"
    )
    with pytest.raises(InputError, match=r"neither a table of runs nor runs.*left out: .*result\.json"):
        read_runs(tmp_path / "new")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "notes.csv", {"text": "no runs", "label": 1})
    (said,) = refusal(tmp_path)
    assert said.startswith("--meta-data: this folder holds neither a table of runs nor runs")


# --- several sets of runs ----------------------------------------------------------------------


def test_a_run_that_stands_in_two_tables_counts_once() -> None:
    """One is told by its identity; runs without any are all different."""
    rows = [made_row(identity="a"), made_row(identity="b"), made_row(), made_row()]
    both = joined([Runs(runs_frame(rows, [*"0123"])), Runs(runs_frame([made_row(identity="a", score=0.1)], ["0"]))])
    assert len(both.frame) == 4
    assert both.frame.score.tolist() == [0.8] * 4


def test_sets_of_runs_are_joined_with_all_their_columns_and_notes() -> None:
    first = Runs(runs_frame([made_row(weights="a")], ["a"]), ("one",))
    second = Runs(runs_frame([made_row(dataset="other", team="single")], ["b"]), ("two", "three"))
    both = joined([first, second])
    assert both.frame.dataset.tolist() == ["toy", "other"]
    assert both.notes == ("one", "two", "three")
    assert both.frame.weights.notna().tolist() == [True, False]
    assert both.frame.team.notna().tolist() == [False, True]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_runs_at_all_are_a_table_without_rows(count: int) -> None:
    empty = joined([Runs(runs_frame([], []), ("noticed",))] * count)
    assert len(empty) == 0
    assert empty.notes == ("noticed",) * count
