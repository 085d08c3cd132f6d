"""Every source is read into the same rows, and what is damaged is named with its place."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import InputError
from engine.data.files import read_file
from engine.data.load import load_task
from engine.data.rows import Findings
from engine.data.sources import files_of, read_source, split_name

ROWS = [
    {"text": 'a "quoted" film, and\na second line', "label": "bad"},
    {"text": "naïve – 好", "label": "good"},
    {"text": "plain\u2028words", "label": "bad"},
    {"text": "tab\there; semicolon", "label": "good"},
]
COLUMNS = {"text": [row["text"] for row in ROWS], "label": [row["label"] for row in ROWS]}


def jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def delimited(rows: list[dict[str, str]], delimiter: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([list(rows[0]), *(row.values() for row in rows)])
    return out.getvalue()


WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.csv": lambda path: path.write_text(delimited(ROWS, ","), encoding="utf-8", newline=""),
    "bom.csv": lambda path: path.write_text(delimited(ROWS, ","), encoding="utf-8-sig", newline=""),
    "semicolon.csv": lambda path: path.write_text(delimited(ROWS, ";"), encoding="utf-8", newline=""),
    "pandas.csv": lambda path: pd.DataFrame(ROWS).to_csv(path),
    "rows.tsv": lambda path: path.write_text(delimited(ROWS, "\t"), encoding="utf-8", newline=""),
    "rows.jsonl": lambda path: path.write_text(jsonl(ROWS), encoding="utf-8"),
    "rows.ndjson": lambda path: path.write_text(jsonl(ROWS) + "\n\n", encoding="utf-8-sig"),
    "list.json": lambda path: path.write_text(json.dumps(ROWS), encoding="utf-8"),
    "data.json": lambda path: path.write_text(json.dumps({"data": ROWS}, indent=2), encoding="utf-8"),
    "lines.json": lambda path: path.write_text(jsonl(ROWS), encoding="utf-8"),
    "rows.parquet": lambda path: parquet.write_table(pa.Table.from_pylist(ROWS), path),
    "categorical.parquet": lambda path: pd.DataFrame(ROWS).astype({"label": "category"}).to_parquet(path, index=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    split = read_source(path).splits["train"]
    assert split.columns == COLUMNS
    assert len(split) == 4


def test_plain_tsv_keeps_stray_quotes(tmp_path: Path) -> None:
    path = tmp_path / "glue.tsv"
    path.write_text('sentence\tlabel\n"so he says\t1\nit is 5" long\t0\n"whole ""word"""\t1\n')
    texts = read_source(path).splits["train"].columns["sentence"]
    assert texts == ['"so he says', 'it is 5" long', 'whole "word"']


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["a", "b"])), min_size=1),
    st.sampled_from([",", ";", "\t"]),
)
def test_csv_round_trip(rows: list[tuple[str, str]], delimiter: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([("my text", "its label"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(out.getvalue().encode())
        findings = Findings()
        split = read_file(path, findings)
    assert not findings.problems
    assert list(zip(split.columns["my text"], split.columns["its label"], strict=True)) == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=2))
def test_json_lines_round_trip(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(jsonl([{"text": text} for text in texts]).encode())
        split = read_file(path, Findings())
    assert split.columns["text"] == texts


def test_squad_files(tmp_path: Path) -> None:
    question = {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]}
    paragraph = {"context": "Ada wrote it.", "qas": [question, {**question, "id": "q2"}]}
    article = {"title": "x", "paragraphs": [paragraph]}
    for name in ("train-v1.1.json", "dev-v1.1.json"):
        (tmp_path / name).write_text(json.dumps({"version": "1.1", "data": [article]}))
    task = load_task(tmp_path)
    assert task.kind == "question_answering"
    assert list(task.validation) == ["validation"]
    assert task.train[1] == {
        "id": "q2",
        "question": "Who?",
        "context": "Ada wrote it.",
        "answers": {"text": ["Ada"], "answer_start": [0]},
    }


def test_files_of_squad_2(tmp_path: Path) -> None:
    """What marks a question as impossible makes its answers plausible ones, which do not count."""
    asked = {"question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}], "is_impossible": False}
    none = {"question": "When?", "answers": [], "is_impossible": True}
    marked = {"question": "Why?", "answers": [{"text": "it", "answer_start": 10}], "is_impossible": True}
    questions = [{"id": f"q{number}", **each} for number, each in enumerate((asked, none, marked))]
    article = {"title": "x", "paragraphs": [{"context": "Ada wrote it.", "qas": questions}]}
    for name in ("train-v2.0.json", "dev-v2.0.json"):
        (tmp_path / name).write_text(json.dumps({"version": "v2.0", "data": [article]}))
    task = load_task(tmp_path)
    assert task.train["answers"][:] == [{"text": ["Ada"], "answer_start": [0]}, *[{"text": [], "answer_start": []}] * 2]
    assert task.may_lack_answers
    assert task.metrics[2:] == ("has_answer_f1", "has_answer_exact_match", "no_answer_accuracy")
    assert f"{tmp_path / 'train-v2.0.json'}: 2 of 3 questions have no answer" in task.notes


# --- folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["validation.csv", "dev.tsv", "valid.json", "val.jsonl"])
def test_folder_with_mixed_formats(second: str, tmp_path: Path) -> None:
    delimiter = "\t" if second.endswith("tsv") else ","
    (tmp_path / "train.jsonl").write_text(jsonl(ROWS))
    (tmp_path / second).write_text(jsonl(ROWS) if "json" in second else delimited(ROWS, delimiter), newline="")
    source = read_source(tmp_path)
    assert set(source.splits) == {"train", "validation"}
    assert all(split.columns == COLUMNS for split in source.splits.values())


def test_shards_are_joined_in_order(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for shard, row in enumerate(ROWS):
        table = pa.Table.from_pylist([row])
        parquet.write_table(table, tmp_path / "data" / f"train-{shard:05}-of-00004.parquet")
    split = read_source(tmp_path).splits["train"]
    assert split.columns == COLUMNS
    assert split.place(2).endswith("train-00002-of-00004.parquet row 0")


def test_folder_with_one_file(tmp_path: Path) -> None:
    (tmp_path / "reviews.jsonl").write_text(jsonl(ROWS))
    assert read_source(tmp_path).splits["train"].columns == COLUMNS


def test_names_of_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("train.jsonl", "reviews.jsonl"):
        (folder / name).write_text(jsonl(ROWS))
    names = [read_source(path).name for path in (folder, folder / "train.jsonl", folder / "reviews.jsonl")]
    assert names == ["films", "films", "reviews"]


def test_several_validation_sets_keep_their_names(tmp_path: Path) -> None:
    for name in ("train", "validation_matched", "dev-mismatched"):
        (tmp_path / f"{name}.jsonl").write_text(jsonl(ROWS * 3))
    task = load_task(tmp_path)
    assert set(task.validation) == {"validation_matched", "validation_mismatched"}


def test_saved_datasets(tmp_path: Path) -> None:
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, 1]}, features=features)
    rows.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=rows, dev=rows).save_to_disk(tmp_path / "both")
    rows.to_parquet(tmp_path / "file.parquet")
    assert load_task(tmp_path / "one").labels == ("no", "yes")
    assert load_task(tmp_path / "file.parquet").labels == ("no", "yes")
    both = load_task(tmp_path / "both")
    assert both.name == "both"
    assert both.validation["validation"]["label"][:] == [1, 0, 1]


def saved(folder: Path) -> Path:
    datasets.Dataset.from_list(ROWS * 5).save_to_disk(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", b"[]"),
        ("state.json", b"[" * 100_000),
        ("state.json", b'{"_data_files": [{"filename": 1}]}'),
        ("dataset_info.json", b"[]"),
        ("dataset_info.json", b'{"features": 5}'),
        ("dataset_info.json", b'{"features": {"text": {"_type": "Nothing"}}}'),
        ("data-00000-of-00001.arrow", b""),
        ("data-00000-of-00001.arrow", bytes(700)),
    ],
)
def test_damaged_saved_datasets(name: str, content: bytes, tmp_path: Path) -> None:
    (saved(tmp_path / "rows") / name).write_bytes(content)
    with pytest.raises(InputError, match="rows: a folder of save_to_disk, but damaged"):
        read_source(tmp_path / "rows")


def test_any_byte_of_a_saved_dataset_may_be_damaged(tmp_path: Path) -> None:
    """Offsets that lead out of a mapped file ended the process (SIGBUS), other bytes were a traceback."""
    file = saved(tmp_path / "rows") / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(InputError):
            load_task(tmp_path / "rows")


def test_a_pipe_in_a_saved_dataset_is_not_waited_for(tmp_path: Path) -> None:
    file = saved(tmp_path / "rows") / "data-00000-of-00001.arrow"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InputError, match="a file is needed; got a pipe"):
        read_source(tmp_path / "rows")


# --- objects ---------------------------------------------------------------------------------------


def test_pandas_and_datasets_objects() -> None:
    frame = pd.DataFrame({"text": list("abcdef"), "label": [0, 1] * 3})
    table = datasets.Dataset.from_pandas(frame)
    tasks = [
        load_task(data)
        for data in (
            {"train": frame, "dev": frame},
            {"train": table, "validation": frame},
            datasets.DatasetDict(train=table, validation=table.select(range(6))),
        )
    ]
    assert len({task.fingerprint for task in tasks}) == 1
    assert {task.name for task in tasks} == {"data"}


def test_a_dataset_that_was_filtered_gives_its_own_rows() -> None:
    table = datasets.Dataset.from_dict({"text": list("abcdef"), "label": [0, 1] * 3})
    assert read_source(table.select([4, 1])).splits["train"].columns == {"text": ["e", "b"], "label": [0, 1]}


def test_lists_in_pandas_cells() -> None:
    frame = pd.DataFrame({"tokens": [["a", "b"], ["c"]], "tags": [pd.array([0, 1]).to_numpy(), [1]]})
    task = load_task({"train": frame, "validation": frame})
    assert task.kind == "tagging"
    assert task.train["tags"][:] == [[0, 1], [1]]


def test_missing_values_of_pandas() -> None:
    frame = pd.DataFrame({"text": ["a", None, pd.NA], "label": [1.0, float("nan"), 2.0]})
    assert read_source(frame).splits["train"].columns == {"text": ["a", None, None], "label": [1.0, None, 2.0]}


def test_pandas_cells_of_several_types() -> None:
    frame = pd.DataFrame({"text": ["a", 5, pd.NA, [1]], "label": [pd.array([1, 2]).to_numpy(), 1, "x", None]})
    assert read_source(frame).splits["train"].columns == {"text": ["a", 5, None, [1]], "label": [[1, 2], 1, "x", None]}


def test_pandas_labels_that_are_true_and_numbers_are_classes() -> None:
    frame = pd.DataFrame({"text": list("abcd"), "label": pd.Series([0.5, True, 0.5, True], dtype=object)})
    task = load_task({"train": frame, "validation": frame})
    assert (task.kind, task.labels) == ("classification", ("0.5", "True"))


def test_half_precision_numbers() -> None:
    frame = pd.DataFrame({"text": list("abcd"), "label": np.array([0.5, 1.5, 2.25, 3.75], dtype=np.float16)})
    task = load_task({"train": frame, "validation": frame})
    assert task.kind == "regression"
    assert task.train["label"][:] == [0.5, 1.5, 2.25, 3.75]


def test_categories_of_pandas() -> None:
    labels = pd.Categorical(["x", 1, "x", None])
    frame = pd.DataFrame({"text": pd.Categorical(list("abca")), "label": labels})
    assert read_source(frame).splits["train"].columns == {"text": list("abca"), "label": ["x", 1, "x", None]}
    for several in ([2**65, 1, 1], [True, 0.5, 0.5]):
        frame = pd.DataFrame({"text": list("abc"), "label": pd.Categorical(several)})
        assert read_source(frame).splits["train"].columns["label"] == several


# --- names -----------------------------------------------------------------------------------------


def test_split_names() -> None:
    names = ("train", "DEV", "valid", "testing", "test_matched", "train.full", "training", "reviews", "developer")
    found = [split_name(name) for name in names]
    assert found == ["train", "validation", "validation", "test", "test_matched", "train_full", "train", "", ""]


def test_the_files_that_decide_what_is_read(tmp_path: Path) -> None:
    rows = "text,label\na,0\nb,1\n"
    for name in ("train.csv", "notes.txt", "dataset.json", "data/test.csv", "further/train.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(rows, encoding="utf-8")
    found = files_of(str(tmp_path))
    assert found is not None
    assert [file.relative_to(tmp_path).as_posix() for file in found] == ["train.csv", "data/test.csv", "dataset.json"]
    assert files_of(str(tmp_path / "train.csv")) == [tmp_path / "train.csv"]
    for name in ("demo", "", "glue/sst2", str(tmp_path / "gone")):
        assert files_of(name) is None
