"""`load_task` as a whole: real datasets, bad input, identity, speed of import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from engine.base.errors import InputError
from engine.data.load import identified, load_task
from tests.clock import within
from tests.conftest import ROOT, SHARED
from tests.engine.data.written import GOOD

FOLDERS = sorted(path.parent.name for path in (SHARED / "datasets").glob("*/dataset.json")) or ["sst2"]


@pytest.mark.shared
@pytest.mark.parametrize("name", FOLDERS)
def test_shared_datasets(name: str, shared: Path) -> None:
    folder = shared / "datasets" / name
    described = json.loads((folder / "dataset.json").read_text())
    with within(seconds=10):
        task = load_task(folder)
    assert (task.name, task.kind) == (name, described["task"])
    assert task.metric == described["metric"].replace(" ", "_")
    assert len(task.train) == described["n_train"]
    assert {split: len(rows) for split, rows in task.validation.items()} == {"validation": described["n_validation"]}
    assert task.labels == tuple(described["label_names"] or ())
    first = json.loads((folder / "train.jsonl").read_text().split("\n")[0])
    target = {"tagging": "tags", "question_answering": "answers"}.get(task.kind, "label")
    expected = [task.labels.index(tag) for tag in first["tags"]] if target == "tags" else first[target]
    assert task.train[0][target] == expected
    assert task.pair == ("text_pair" in first)
    assert load_task(str(folder), seed=7).fingerprint == task.fingerprint


@pytest.mark.shared
def test_shared_fingerprints_differ(shared: Path) -> None:
    assert len(FOLDERS) == 32
    prints = [load_task(shared / "datasets" / name, max_train=200).fingerprint for name in FOLDERS[:8]]
    assert len(set(prints)) == 8


@pytest.mark.shared
def test_kinds_are_inferred_without_the_description(shared: Path, tmp_path: Path) -> None:
    for name in ("sst2", "trec", "mrpc", "stsb", "sick_relatedness", "squad", "wnut17_ner", "ud_ewt_pos"):
        folder = shared / "datasets" / name
        declared = load_task(folder)
        link = tmp_path / name
        link.mkdir()
        for split in ("train", "validation"):
            (link / f"{split}.jsonl").symlink_to(folder.resolve() / f"{split}.jsonl")
        inferred = load_task(link)
        assert (inferred.kind, inferred.pair) == (declared.kind, declared.pair), name
        assert inferred.columns == declared.columns, name


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    rows = {"text": list("abcdef"), "label": ["x", "y"] * 3}
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    pd.DataFrame(rows).to_csv(tmp_path / "validation.csv", index=False)
    task = load_task(tmp_path)
    table = datasets.Dataset.from_dict(rows)
    assert load_task({"train": table, "validation": table}).fingerprint == task.fingerprint
    assert load_task({"train": table, "validation": table}, metric="f1").fingerprint != task.fingerprint
    changed = datasets.Dataset.from_dict({**rows, "text": [*"abcde", "F"]})
    assert load_task({"train": changed, "validation": table}).fingerprint != task.fingerprint
    assert len(task.fingerprint) == 16


def test_fingerprint_is_that_of_earlier_versions_however_the_rows_are_cut() -> None:
    rows = datasets.Dataset.from_dict({"text": ["é", *"bcdef"], "label": ["x", "y"] * 3})
    shards = datasets.concatenate_datasets([rows.select([0]), rows.select(range(1, 6))])
    for train in (rows, shards):
        assert load_task({"train": train, "validation": rows}).fingerprint == "e254f909772f954b"


@pytest.mark.parametrize(
    "asked",
    [
        {"max_train": 60},
        {"max_train": 60, "max_validation": 5, "max_test": 5},
        {"metric": "f1"},
        {"positive": "y"},
        {"seed": 1},
        {"test": "mine.csv"},
        {"name": "films"},
    ],
)
def test_whatever_is_made_of_a_file_its_rows_are_one_source(asked: dict[str, Any], tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"text {row}" for row in range(150)], "label": ["x", "y", "y"] * 50})
    rows.to_csv(tmp_path / "reviews.csv", index=False)
    rows[:20].to_csv(tmp_path / "mine.csv", index=False)
    asked |= {"test": tmp_path / asked["test"]} if "test" in asked else {}
    whole, task = load_task(tmp_path / "reviews.csv"), load_task(tmp_path / "reviews.csv", **asked)
    assert task.source == whole.source != ""
    assert (task.fingerprint == whole.fingerprint) == ("name" in asked)


def test_a_source_is_its_training_rows_in_any_form(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"text {row}" for row in range(9)], "stars": [1, 2, 3] * 3})
    rows.to_csv(tmp_path / "train.csv", index=False)
    rows.to_json(tmp_path / "reviews.jsonl", orient="records", lines=True)
    rows[:6].to_csv(tmp_path / "validation.csv", index=False)
    given = (tmp_path / "reviews.jsonl", tmp_path, rows, rows.rename(columns={"stars": "label"}))
    assert len({load_task(data).source for data in given}) == 1
    changed = (rows[:8], rows.assign(stars=[3, 2, 1] * 3), rows.assign(text=[f"line {row}" for row in range(9)]))
    assert len({load_task(data).source for data in (*given, *changed)}) == 4


def test_a_task_made_by_hand_has_a_source(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": list("abcdef"), "label": ["x", "y"] * 3})
    task = load_task({"train": rows, "validation": rows})
    by_hand = identified(replace(task, fingerprint="", source=""))
    assert (by_hand.fingerprint, by_hand.source) == (task.fingerprint, task.source)
    fewer = identified(replace(task, train=task.train.select(range(4)), fingerprint=""))
    assert fewer.source == task.source
    assert fewer.fingerprint != task.fingerprint


def test_100_000_rows_take_seconds() -> None:
    frame = pd.DataFrame({"text": [f"text number {row} " * 10 for row in range(100_000)], "label": [0, 1] * 50_000})
    with within(seconds=20):
        task = load_task(frame)
    assert len(task.train) == 96_000


def test_a_labelled_test_set_reports_and_selects_nothing(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.jsonl").write_text(GOOD)
    task = load_task(tmp_path)
    assert (list(task.validation), list(task.test), task.split) == (["validation"], ["test"], "test")
    assert task.test["test"]["label"][:] == [1, 0, 1] * 3
    (tmp_path / "validation.jsonl").unlink()
    task = load_task(tmp_path)
    assert (len(task.train), len(task.validation["validation"]), len(task.test["test"])) == (6, 3, 9)
    assert not task.unlabelled


def test_rows_without_labels_are_for_predictions(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "test.jsonl").write_text('{"text": "new"}\n')
    task = load_task(tmp_path)
    assert len(task.validation["validation"]) == 3
    assert (task.unlabelled["test"]["text"][:], task.test, task.split) == (["new"], {}, "validation")
    assert "no labelled test set: scores are of validation, which also selects; --test names one" in task.notes


def test_a_test_set_of_ones_own(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.jsonl").write_text(GOOD)
    (tmp_path / "mine.csv").write_text("text,label\nfine,1\npoor,0\n")
    task = load_task(tmp_path, test=tmp_path / "mine.csv")
    assert {split: rows["text"][:] for split, rows in task.test.items()} == {"test": ["fine", "poor"]}
    assert task.fingerprint != load_task(tmp_path).fingerprint
    assert len(load_task(tmp_path, test=tmp_path / "mine.csv", max_test=1).test["test"]) == 1
    assert load_task(tmp_path, test=tmp_path).fingerprint == load_task(tmp_path).fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\nfine\n", "--test: a test set needs labels, in column 'label'; got .*mine.csv: text"),
        ("text,label\nfine,7\n", "mine.csv:2: label in column 'label' does not occur in training"),
        ("words,label\nfine,1\n", "no column 'text', which the training rows have"),
    ],
)
def test_a_test_set_that_cannot_be_scored(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        load_task(tmp_path / "train.jsonl", test=tmp_path / "mine.csv")


def test_declared_labels_allow_rare_classes(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "validation.jsonl").write_text('{"text": "odd", "label": "c"}\n{"text": "fine", "label": "b"}\n')
    (tmp_path / "dataset.json").write_text('{"name": "abc", "label_names": ["a", "b", "c"], "metric": "mcc"}')
    task = load_task(tmp_path)
    assert task.validation["validation"]["label"][:] == [2, 1]
    assert (task.name, task.metric) == ("abc", "mcc")
    assert "classes without a training row: c" in task.notes


def test_rare_positives_are_named_and_counted() -> None:
    labels = ["ham"] * 95 + ["absent spam"] * 5
    rows = datasets.Dataset.from_dict({"text": [f"text {row}" for row in range(100)], "label": labels})
    task = load_task({"train": rows, "validation": rows})
    assert task.labels[task.positive] == "absent spam"
    assert "2 classes: absent spam (5 %), ham (95 %)" in task.notes
    assert "f1 is of the class absent spam (the rarer one)" in task.notes
    assert any("always answering ham has an accuracy of about 0.95" in note for note in task.notes)
    named = load_task({"train": rows, "validation": rows}, positive="ham")
    assert (named.positive, "f1 is of the class ham (as named)" in named.notes) == (1, True)
    assert named.fingerprint != task.fingerprint


@pytest.mark.parametrize("limits", [{}, {"max_train": 400}, {"max_train": 100}, {"seed": 3}])
def test_the_positive_class_is_that_of_all_training_rows(limits: dict[str, int]) -> None:
    rows = pd.DataFrame({"text": [f"text {row}" for row in range(1002)], "label": ["b"] * 502 + ["a"] * 500})
    task = load_task(rows, **limits)
    assert task.labels[task.positive] == "a"
    assert "f1 is of the class a (the rarer one)" in task.notes


def test_a_number_has_no_positive_class() -> None:
    rows = datasets.Dataset.from_dict({"text": list("abcd"), "label": [0.5, 1.5, 2.5, 3.5]})
    with pytest.raises(InputError, match="--positive: only one of two classes can be positive; got regression"):
        load_task({"train": rows, "validation": rows}, positive="ham")


def test_one_class_in_validation_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "validation.jsonl").write_text('{"text": "fine", "label": 1}\n')
    assert "validation has one class only, 1: its score says little" in load_task(tmp_path).notes


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, engine.data.load\n"
        "heavy = ('torch', 'transformers', 'datasets', 'pandas', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- bad input -------------------------------------------------------------------------------------

DEEP = "[" * 20_000 + "]" * 20_000
Case = tuple[dict[str, Any], list[str]] | tuple[dict[str, Any], list[str], dict[str, Any]]


def tagged(*rows: tuple[Any, Any]) -> str:
    good = [(["a", "b"], ["X", "Y"])] * 2
    return "".join(json.dumps({"tokens": tokens, "tags": tags}) + "\n" for tokens, tags in (*good, *rows))


def asked(**changes: Any) -> str:
    good: dict[str, Any] = {
        "question": "Who?",
        "context": "Ada, and Ada again",
        "answers": {"text": ["Ada"], "answer_start": [9]},
    }
    rows = (good, good, {**good, **changes})
    return "".join(json.dumps({"id": str(number), **row}) + "\n" for number, row in enumerate(rows))


BAD: dict[str, Case] = {
    "no such file": ({"train.csv": "x"}, ["no such file or folder", "train.csv"], {"data": "trian.csv"}),
    "no such folder": ({}, ["no such file or folder"], {"data": "./nothing/here.csv"}),
    "unknown kind of file": ({"a.xlsx": "x"}, ["a.xlsx", "'.xlsx'", ".csv, .tsv"], {"data": "a.xlsx"}),
    "folder without data": ({"notes.txt": "x"}, ["no file of training rows", "train.jsonl"]),
    "two files for a split": ({"train.csv": "x", "train.jsonl": GOOD}, ["several files for one split, train"]),
    "no training split": ({"validation.jsonl": GOOD}, ["no training split", "validation"], {"data": "."}),
    "empty file": ({"train.csv": ""}, ["train.csv: no rows"]),
    "header alone": ({"train.csv": "text,label\n"}, ["train.csv: no rows"]),
    "latin-1": ({"train.csv": "text,label\ncaf\xe9,1\n".encode("latin-1")}, ["train.csv:2", "0xe9", "iconv"]),
    "utf-16": ({"train.csv": "text,label\n".encode("utf-16")}, ["train.csv:1", "not UTF-8", "UTF-16"]),
    "utf-16 without a mark": ({"train.csv": "text,label\na,1\n".encode("utf-16-le")}, ["train.csv:1", "UTF-16LE"]),
    "utf-32": ({"train.jsonl": GOOD.encode("utf-32")}, ["train.jsonl:1", "not UTF-8; got UTF-32"]),
    "packed": ({"train.csv": b"\x1f\x8b\x08" + bytes(9)}, ["train.csv:1", "not a text file; got gzip"]),
    "wrong number of columns": ({"train.csv": "text,label\na,1\nb,c,0\n"}, ["train.csv:3", "names 2; got 3"]),
    "open quote": ({"train.csv": 'text,label\na,1\n"b,0\nc,1\n'}, ["train.csv:3", "never closed"]),
    "text after a quote": ({"train.csv": 'text,label\n"a" b,1\n'}, ["train.csv:2", "written twice"]),
    "no header": ({"train.csv": "a,1\nb,0\nc,1\nd,1\n"}, ["train.csv:1", "must name the columns", "text,label"]),
    "same column twice": ({"train.csv": "text,text,label\na,b,1\n"}, ["train.csv:1", "same name", "'text'"]),
    "broken TSV": ({"train.tsv": "text\tlabel\na\t1\nb\n"}, ["train.tsv:3", "wrong number of columns"]),
    "bad JSON": ({"train.jsonl": GOOD + '{"text": "a", "label"}\n'}, ["train.jsonl:10", "not JSON", "character 22"]),
    "not an object": ({"train.jsonl": GOOD + "[1, 2]\n"}, ["train.jsonl:10", "JSON object", "[1, 2]"]),
    "deep JSON": ({"train.json": "[" * 20_000}, ["train.json:1", "nested too deeply"]),
    "a deep cell": ({"train.json": f'[{{"text": {DEEP}, "label": 1}}]'}, ["train.json:1", "nested too deeply"]),
    "a deep cell in a line": (
        {"train.jsonl": f'{GOOD}{{"text": {DEEP}, "label": 1}}\n'},
        ["train.jsonl:10", "nested too deeply"],
    ),
    "a deep description": ({"train.jsonl": GOOD, "dataset.json": DEEP}, ["dataset.json:1", "nested too deeply"]),
    "5,000 digits": (
        {"train.jsonl": f'{GOOD}{{"text": "a", "label": {"9" * 5000}}}\n'},
        ["train.jsonl:10", "a number has too many digits"],
    ),
    "400 digits": (
        {"train.jsonl": '{"text": "a", "label": 0.5}\n' * 9 + f'{{"text": "a", "label": {"9" * 400}}}\n'},
        ["train.jsonl:10", "target in column 'label' is not a finite number"],
    ),
    "a key twice": (
        {"train.jsonl": GOOD + '{"text": "a", "label": 1, "label": 0}\n'},
        ["train.jsonl:10", "the key 'label' stands twice"],
    ),
    "a key twice in a file": (
        {"train.json": '[{"text": "a", "label": 1,\n"label": 0}]'},
        ["train.json:2", "the key 'label' stands twice"],
    ),
    "a key twice in the description": (
        {"train.jsonl": GOOD, "dataset.json": '{"task": "tagging",\n"task": "regression"}'},
        ["dataset.json:2", "the key 'task' stands twice"],
    ),
    "half a character in a label": (
        {"train.jsonl": GOOD + '{"text": "a", "label": "\\ud800"}\n'},
        ["train.jsonl:10", "label in column 'label' has half a character", "'\\ud800'"],
    ),
    "half a character in a name": (
        {"train.jsonl": GOOD + '{"text": "a", "label": 1, "\\ud800": 1}\n'},
        ["train.jsonl", "a column's name has half a character"],
    ),
    "half a character in the description": (
        {"train.jsonl": GOOD, "dataset.json": '{"label_names": ["\\ud800", "b"]}'},
        ["dataset.json: label_names", "different names"],
    ),
    "a name that is none": (
        {"train.jsonl": GOOD, "dataset.json": '{"name": {"a": 1}}'},
        ["dataset.json: name", "must be a text"],
    ),
    "too many columns": ({"train.csv": "a," * 20_000 + "b\n"}, ["train.csv", "too many columns; got 20,001"]),
    "bad JSON file": ({"train.json": "[\n{},\n{"}, ["train.json:3", "not JSON"]),
    "JSON by column": ({"train.json": '{"text": {"0": "a"}}'}, ["list of JSON objects", "orient='records'"]),
    "damaged Parquet": ({"train.parquet": b"PAR1 nonsense"}, ["train.parquet", "not a readable Parquet file"]),
    "empty text": ({"train.jsonl": GOOD + '{"text": " ", "label": 1}\n'}, ["train.jsonl:10", "empty text", "' '"]),
    "missing text": ({"train.jsonl": GOOD + '{"label": 1}\n'}, ["train.jsonl:10", "empty text", "got nothing"]),
    "a number as text": ({"train.jsonl": GOOD + '{"text": 5, "label": 1}\n'}, ["train.jsonl:10", "hold texts; got 5"]),
    "lone surrogate": ({"train.jsonl": GOOD + '{"text": "\\ud800", "label": 1}\n'}, ["train.jsonl:10", "surrogate"]),
    "10 MB in one row": (
        {"train.jsonl": GOOD + json.dumps({"text": "a" * 10_000_000, "label": 1}) + "\n"},
        ["train.jsonl:10", "10,000,000 characters", "at most 1,000,000"],
    ),
    "missing label": ({"train.jsonl": GOOD + '{"text": "a"}\n'}, ["train.jsonl:10", "no label in column 'label'"]),
    "several labels": ({"train.jsonl": GOOD + '{"text": "a", "label": [1]}\n'}, ["train.jsonl:10", "one label a row"]),
    "one class": ({"train.jsonl": '{"text": "a", "label": 1}\n' * 5}, ["only one class in training", "'1'"]),
    "unseen label": (
        {"train.jsonl": GOOD, "validation.jsonl": '{"text": "a", "label": 7}\n'},
        ["validation.jsonl:1", "does not occur in training", "got 7", "allowed: 0, 1"],
    ),
    "label beyond the declared": (
        {"train.jsonl": GOOD + '{"text": "a", "label": 2}\n', "dataset.json": '{"label_names": ["a", "b"]}'},
        ["train.jsonl:10", "none of the declared ones; got 2", "allowed: a, b"],
    ),
    "unlabelled rows": (
        {"train.jsonl": GOOD + '{"text": "a", "label": -1}\n', "dataset.json": '{"label_names": ["a", "b"]}'},
        ["train.jsonl:10", "no label in column 'label'; got -1"],
    ),
    "column missing in validation": (
        {"train.jsonl": GOOD, "validation.jsonl": '{"text": "a", "target": 1}\n'},
        ["validation.jsonl", "no column 'label'", "text, target"],
    ),
    "too few rows": ({"train.csv": "text,label\na,1\nb,0\n"}, ["too few rows to hold out"]),
    "one training row": (
        {"train.csv": "text,label\na,1\n", "dev.csv": "text,label\na,1\n"},
        ["too few training rows; got 1; allowed: at least 2"],
    ),
    "NaN target": (
        {"train.jsonl": '{"text": "a", "label": 0.5}\n{"text": "b", "label": NaN}\n' * 3},
        ["train.jsonl:2", "no target in column 'label' (missing or NaN); got nan"],
    ),
    "infinite target": (
        {"train.csv": "text,score\na,0.5\nb,inf\nc,2.5\n"},
        ["train.csv:3", "not a finite number; got 'inf'"],
    ),
    "a word as target": (
        {"train.csv": "text,score\na,low\nb,0.5\nc,2.5\n"},
        ["train.csv:2", "not a number; got 'low'"],
        {"kind": "regression"},
    ),
    "equal targets": (
        {"train.csv": "text,score\na,0.5\nb,1\nc,2.5\n", "dev.csv": "text,score\na,0.5\n"},
        ["validation", "all targets are equal", "0.5 in 1 row"],
    ),
    "free text as label": (
        {"train.jsonl": "".join(json.dumps({"text": "a", "label": f"b{row}"}) + "\n" for row in range(80))},
        ["column 'label'", "too many different labels", "80 different values in 80 rows", "--label"],
    ),
    "no label column": ({"train.jsonl": '{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n'}, ["cannot tell", "--label"]),
    "no text column": ({"train.csv": "id,label\n1,2\n2,3\n3,3\n"}, ["no column holds texts", "--text"]),
    "unknown column": ({"train.jsonl": GOOD}, ["--label", "'lable'", "Did you mean label"], {"label": "lable"}),
    "one column, two roles": (
        {"train.jsonl": GOOD},
        ["one column has two roles", "'text'"],
        {"text": "text", "label": "text"},
    ),
    "unknown task": ({"train.jsonl": GOOD}, ["--task", "Did you mean tagging"], {"kind": "taging"}),
    "unknown metric": ({"train.jsonl": GOOD}, ["--metric", "Did you mean accuracy"], {"metric": "acuracy"}),
    "metric of another kind": (
        {"train.jsonl": GOOD},
        ["--metric", "allowed: accuracy, balanced_accuracy, f1, f1_macro, mcc"],
        {"metric": "bleu"},
    ),
    "too small a sample": ({"train.jsonl": GOOD}, ["--max-train", "at least 2"], {"max_train": 1}),
    "broken description": ({"train.jsonl": GOOD, "dataset.json": '{"task":\n}'}, ["dataset.json:2", "not JSON"]),
    "unknown task in the description": (
        {"train.jsonl": GOOD, "dataset.json": '{"task": "ranking"}'},
        ["dataset.json: task", "'ranking'", "allowed: classification"],
    ),
    "no lists to tag": ({"train.jsonl": GOOD}, ["no column for tokens", "--text"], {"kind": "tagging"}),
    "words and tags differ": ({"train.jsonl": tagged((["a"], ["X", "Y"]))}, ["train.jsonl:3", "1 word and 2 tags"]),
    "no words": ({"train.jsonl": tagged(([], []))}, ["train.jsonl:3", "no words in column 'tokens'"]),
    "unknown tag type": (
        {"train.jsonl": tagged((["a"], [0.5]))},
        ["train.jsonl:3", "names or whole numbers; got [0.5]"],
    ),
    "unseen tag": (
        {"train.jsonl": tagged(), "dev.jsonl": tagged((["a"], ["Z"]))},
        ["dev.jsonl:3", "does not occur in training; got 'Z'"],
    ),
    "half a character in a tag": (
        {"train.jsonl": tagged((["a"], ["\ud800"]))},
        ["train.jsonl:3", "label in column 'tags' has half a character"],
    ),
    "half a character in an answer": (
        {"train.jsonl": asked(answers={"text": ["\ud800"], "answer_start": [0]})},
        ["train.jsonl:3", "an answer that has half a character"],
    ),
    "half a character in an id": ({"train.jsonl": asked(id="\ud800")}, ["train.jsonl:3", "an id that has half"]),
    "an answer without its start": (
        {"train.jsonl": asked(answers={"text": [], "answer_start": [0]})},
        ["train.jsonl:3", "differ in number; got 0 and 1"],
    ),
    "answer not in its context": (
        {"train.jsonl": asked(answers={"text": ["Bob"], "answer_start": [0]})},
        ["train.jsonl:3", "not in its context; got 'Bob'", "stands 'Ada'"],
    ),
    "answer at another place": (
        {"train.jsonl": asked(answers={"text": ["Ada"], "answer_start": [1]})},
        ["train.jsonl:3", "more than once elsewhere"],
    ),
    "answers without starts": ({"train.jsonl": asked(answers={"text": ["Ada"]})}, ["train.jsonl:3", "answer_start"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_a_clear_message(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, parts, *more = BAD[case]
    for name, content in files.items():
        write: Callable[[Any], object] = (tmp_path / name).write_text
        if isinstance(content, bytes):
            write = (tmp_path / name).write_bytes
        write(content)
    monkeypatch.chdir(tmp_path)
    options = dict(more[0]) if more else {}
    data = options.pop("data", str(tmp_path))
    with within(seconds=10), pytest.raises(InputError) as caught:
        load_task(data, **options)
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert len(message) < 2000


def test_damaged_rows_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD + "{\n" * 2)
    (tmp_path / "validation.csv").write_text("text,label\na\n")
    with pytest.raises(InputError) as caught:
        load_task(tmp_path)
    places = [problem.place.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert places == ["train.jsonl:10", "train.jsonl:11", "validation.csv:2"]


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("train.csv", os.mkfifo, "train.csv: a file is needed; got a pipe"),
        ("dataset.json", os.mkfifo, "dataset.json: a file is needed; got a pipe"),
        ("test.csv", Path.mkdir, "test.csv: a file is needed; got a folder"),
        ("train.csv", lambda path: path.symlink_to("/dev/zero"), "train.csv: a file is needed; got a device"),
        ("train.csv", lambda path: path.symlink_to(path), "cannot be read: too many levels of symbolic links"),
    ],
    ids=["pipe", "description", "folder", "device", "link to itself"],
)
def test_what_is_no_file_is_not_waited_for(
    name: str, make: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    (tmp_path / "validation.jsonl").write_text(GOOD)
    if not name.startswith("train"):
        (tmp_path / "train.jsonl").write_text(GOOD)
    make(tmp_path / name)
    with pytest.raises(InputError, match=words):
        load_task(tmp_path)


def test_a_test_set_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD)
    os.mkfifo(tmp_path / "held.csv")
    with pytest.raises(InputError, match=r"held\.csv: a file is needed; got a pipe"):
        load_task(tmp_path / "train.jsonl", test=tmp_path / "held.csv")


@pytest.mark.parametrize("data", ["x" * 300, f"{'x' * 300}.csv", "/tmp/" + "x/" * 3000])
def test_names_that_are_too_long(data: str) -> None:
    with pytest.raises(InputError, match="cannot be read: file name too long") as caught:
        load_task(data)
    assert len(str(caught.value)) < 400


def test_a_file_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    for name in ("train.csv", "train.json", "train.parquet"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(1 << 42)
        with pytest.raises(InputError, match=r"memory does not suffice: 4,398 GB are needed at least, and .* are free"):
            load_task(path)


@pytest.mark.parametrize("data", [["a", "b"], 5, {"train": [1, 2]}, {"train": {"text": ["a"]}}])
def test_other_objects_are_refused(data: Any) -> None:
    with pytest.raises(InputError, match="cannot read data of this type"):
        load_task(data)


def test_two_columns_of_one_name_in_pandas() -> None:
    frame = pd.DataFrame([["a", "b", 1]], columns=["text", "text", "label"])
    with pytest.raises(InputError, match="two columns have the same name"):
        load_task(frame)


def test_held_out_rows_are_the_same_whatever_is_measured_and_learnt_beside_them() -> None:
    rows = pd.DataFrame(
        {
            "text": [f"text {number}" for number in range(60)],
            "label": ["bad" if number % 3 else "good" for number in range(60)],
            "p_bad": [0.75] * 60,
            "p_good": [0.25] * 60,
        }
    )
    texts = pd.DataFrame({"text": ["a", "b"]})

    def known(**how: Any) -> str:
        return load_task({"train": rows}, **how).held_out_fingerprint

    same = [{"metric": "f1", "positive": "bad"}, {"unlabelled": texts}, {"teacher_probabilities": "p_"}]
    assert {known(**how) for how in ({}, *same)} == {known()}
    fewer = load_task({"train": rows[:50]}).held_out_fingerprint
    assert len({known(), known(seed=1), known(max_validation=3, max_test=3), fewer}) == 4
    by_hand = replace(load_task({"train": rows}), fingerprint="", held_out_fingerprint="")
    assert identified(by_hand).held_out_fingerprint == known()
