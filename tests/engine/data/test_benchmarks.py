"""GLUE and SQuAD bring their columns, labels, metrics and splits."""

from __future__ import annotations

import datasets
import pytest

from engine.base.errors import InputError
from engine.data import hub
from engine.data.benchmarks import BENCHMARKS, find
from engine.data.load import load_task
from tests.engine.data import glue

METRICS = {
    "cola": ("mcc", "accuracy", "balanced_accuracy", "f1", "f1_macro"),
    "sst2": ("accuracy", "balanced_accuracy", "f1", "f1_macro", "mcc"),
    "mrpc": ("f1", "accuracy", "balanced_accuracy", "f1_macro", "mcc"),
    "qqp": ("f1", "accuracy", "balanced_accuracy", "f1_macro", "mcc"),
    "stsb": ("spearman", "pearson"),
    "mnli": ("accuracy", "balanced_accuracy", "f1_macro", "mcc"),
    "qnli": ("accuracy", "balanced_accuracy", "f1", "f1_macro", "mcc"),
    "rte": ("accuracy", "balanced_accuracy", "f1", "f1_macro", "mcc"),
    "wnli": ("accuracy", "balanced_accuracy", "f1", "f1_macro", "mcc"),
}


@pytest.fixture(autouse=True)
def _hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "read_hub", glue.read_hub)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("prefix", ["glue", "nyu-mll/glue"])
def test_glue(prefix: str, name: str) -> None:
    task = load_task(f"{prefix}/{name}")
    assert (task.name, task.metrics, task.hub) == (name, METRICS[name], f"nyu-mll/glue/{name}")
    assert task.kind == ("regression" if name == "stsb" else "classification")
    assert task.labels == tuple(glue.NAMES[name])
    assert task.pair == (len(glue.COLUMNS[name]) == 2)
    assert list(task.columns.values()) == [*glue.COLUMNS[name], "label"]
    assert len(task.train) == glue.ROWS
    assert task.train["label"][:3] == glue.rows(name, "train")["label"][:3]
    assert task.train["text"][5] == f"train {glue.COLUMNS[name][0]} 5"
    for rows in task.unlabelled.values():
        assert "label" not in rows.column_names
        assert [text.rsplit(" ", 1)[1] for text in rows["text"]] == ["0", "1", "2", "3"]
    if name != "mnli":
        assert (list(task.validation), list(task.unlabelled)) == (["validation"], ["test"])


def test_mnli_has_two_validation_sets_and_the_diagnostics() -> None:
    task = load_task("glue/mnli")
    assert list(task.validation) == ["validation_matched", "validation_mismatched"]
    assert list(task.unlabelled) == ["test_matched", "test_mismatched", "test_ax"]


def test_mnli_does_without_the_diagnostics(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_hub(repo: str, config: str | None = None) -> datasets.DatasetDict:
        if config == "ax":
            raise InputError.of("nyu-mll/glue/ax", "not in the local cache of datasets")
        return glue.read_hub(repo, config)

    monkeypatch.setattr(hub, "read_hub", read_hub)
    task = load_task("glue/mnli")
    assert list(task.unlabelled) == ["test_matched", "test_mismatched"]
    assert any("the diagnostic set AX is left out" in note for note in task.notes)


def test_squad_2_is_another_benchmark() -> None:
    assert {find(name).hub for name in ("squad_v2", "rajpurkar/squad_v2")} == {"rajpurkar/squad_v2"}
    assert find("squad").hub == "rajpurkar/squad"


@pytest.mark.parametrize("name", ["squad", "rajpurkar/squad"])
def test_squad(name: str) -> None:
    task = load_task(name)
    assert (task.name, task.kind, task.metrics) == ("squad", "question_answering", ("squad_f1", "exact_match"))
    assert task.hub == "rajpurkar/squad"
    assert task.train[2] == {
        "id": "train2",
        "question": "When did Ada write?",
        "context": "In 1842 Ada wrote notes.",
        "answers": {"text": ["1842"], "answer_start": [3]},
    }
    assert not task.unlabelled


def test_a_published_empty_text_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_hub(repo: str, config: str | None = None) -> datasets.DatasetDict:
        splits = glue.read_hub(repo, config)
        return splits.map(lambda row: {**row, "question2": "" if row["idx"] == 1 else row["question2"]})

    monkeypatch.setattr(hub, "read_hub", read_hub)
    assert load_task("glue/qqp").train["text_pair"][1] == ""


def test_the_user_goes_before_the_table() -> None:
    task = load_task("glue/mrpc", metric="accuracy", max_train=6, name="mine")
    assert (task.name, task.metrics[0], len(task.train)) == ("mine", "accuracy", 6)


def test_a_benchmark_whose_columns_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_hub(repo: str, config: str | None = None) -> datasets.DatasetDict:
        return glue.read_hub(repo, config).rename_column("sentence", "text")

    monkeypatch.setattr(hub, "read_hub", read_hub)
    with pytest.raises(InputError, match="the GLUE benchmark has a column 'sentence', and it is not here"):
        load_task("glue/sst2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glue/sts2", "unknown GLUE task.*Did you mean glue/s"),
        ("glue", "unknown GLUE task.*allowed: glue/cola, glue/sst2"),
        ("nyu-mll/glue/x", "unknown GLUE task"),
        ("glue/ax", "no training rows.*glue/mnli"),
    ],
)
def test_other_names_of_glue(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(name)


def test_the_table_agrees_with_the_hub() -> None:
    assert {name for name, benchmark in BENCHMARKS.items() if benchmark.config} == set(METRICS)
    for name in METRICS:
        assert BENCHMARKS[name].labels == tuple(glue.NAMES[name])
