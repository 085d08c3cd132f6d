"""Trying a model out: what it says of rows, and what it says of rows that it cannot read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from engine.base.errors import InputError
from engine.base.hub import TOKENIZER
from engine.base.options import RunOptions
from engine.models.load import save_model
from engine.run.predictor import load_predictor, rows_of_texts
from tests.engine.models.damage import Damage, config, sharded, stored, vocabulary, without
from tests.tokenizers import wordpiece
from tests.toys import ROWS, save_tiny, toy_task

CPU = RunOptions(device="cpu")
ASKED = {
    "single": {"text": "a great house"},
    "pair": {"text": "a great house", "text_pair": "an awful street"},
    "regression": {"text": "a great house"},
    "multi_label": {"text": "a great house"},
    "tagging": {"tokens": ["Anna", "sees", "the", "house"]},
    "question_answering": {"question": "who is there", "context": "Anna paints the house"},
}


@pytest.fixture
def predictor(saved: Callable[..., Path]) -> Callable[[str], object]:
    return lambda name: load_predictor(saved(name), CPU)


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_a_row(name: str, predictor) -> None:
    loaded = predictor(name)
    task, row = toy_task(name), ASKED[name]
    assert loaded.kind == task.kind
    answers, indices = loaded([row] * 3), loaded.indices([row] * 3)
    assert len(answers) == len(indices) == 3
    assert answers[0] == answers[1] == answers[2]
    answer = answers[0]
    if task.kind == "classification":
        assert answer["label"] == task.labels[indices[0]] == max(answer["scores"], key=answer["scores"].get)
        assert answer["score"] == max(answer["scores"].values())
        assert sum(answer["scores"].values()) == pytest.approx(1)
        assert (*answer["scores"],) == task.labels
    elif task.kind == "regression":
        assert answer == {"score": indices[0]}
    elif task.kind == "multi_label":
        assert (*answer["scores"],) == task.labels
        assert answer["labels"] == [label for label in task.labels if answer["scores"][label] > 0.5]
        assert answer["labels"] == [task.labels[index] for index in indices[0]]
    elif task.kind == "tagging":
        assert answer == {"tokens": row["tokens"], "tags": [task.labels[index] for index in indices[0]]}
        assert len(answer["tags"]) == 4
    else:
        assert answer == {"answer": indices[0]}
        assert answer["answer"] in row["context"]


@pytest.mark.parametrize("name", ROWS)
def test_rows_do_not_depend_on_each_other(name: str, predictor) -> None:
    task = toy_task(name, rows=4, held_out=9)
    loaded = predictor(name)
    rows = [{field: row[field] for field in ASKED[name]} for row in task.validation["validation"]]
    together, alone = loaded(rows), [loaded([row])[0] for row in rows]
    if name in ("tagging", "question_answering"):
        assert together == alone
    elif name == "multi_label":
        for one, other in zip(together, alone, strict=True):
            assert one["labels"] == other["labels"]
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    else:
        assert [row["score"] for row in together] == pytest.approx([row["score"] for row in alone], abs=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_no_rows_no_answers(name: str, predictor) -> None:
    assert predictor(name)([]) == predictor(name).indices([]) == []


@pytest.mark.parametrize("name", ROWS)
def test_strange_texts_have_answers(name: str, predictor) -> None:
    loaded = predictor(name)
    for text in ("", " ", "\n", "漢字 🎉", "word " * 2000, "\x00"):
        fields = ASKED[name]
        row = {field: text.split() if field == "tokens" else text for field in fields}
        assert len(loaded([row, fields])) == 2
        if name == "tagging":
            assert len(loaded([row])[0]["tags"]) == len(text.split())


@pytest.mark.parametrize("name", ROWS)
def test_every_row_that_lacks_something_is_named(name: str, predictor) -> None:
    row = ASKED[name]
    for field in row:
        lacking = {other: value for other, value in row.items() if other != field}
        if field == "text_pair":
            lacking |= {"text_pair": None}
        for bad, words in ((lacking, f"{field} is missing"), (row | {field: 7}, f"{field} is not text")):
            with pytest.raises(InputError) as caught:
                predictor(name)([row, bad, row, bad])
            assert [(problem.place, problem.what) for problem in caught.value.problems] == [
                ("row 1", words),
                ("row 3", words),
            ]


@pytest.mark.parametrize(
    ("name", "columns", "words"),
    [
        ("pair", {"text": "a", "text_pair": "b", "label": "c"}, "row 0: text_pair is missing"),
        ("single", {"text": "a", "label": "c"}, "row 1: there is a second text"),
    ],
)
def test_a_model_of_a_run_knows_whether_it_reads_pairs(
    name: str, columns: dict[str, str], words: str, predictor
) -> None:
    asked = replace(predictor(name), columns=columns)
    with pytest.raises(InputError, match=words):
        asked([{"text": "one"}, {"text": "one", "text_pair": "two"}])


def test_a_pair_anywhere_makes_pairs(predictor) -> None:
    with pytest.raises(InputError, match="row 0: text_pair is missing"):
        predictor("pair")([{"text": "one"}, {"text": "one", "text_pair": "two"}])


def test_words_must_be_words(predictor) -> None:
    with pytest.raises(InputError, match="row 0: tokens is not text"):
        predictor("tagging")([{"tokens": ["a", 1]}])


@pytest.mark.parametrize("given", [None, 7, float("nan"), (), ("a", "b", "c"), (None,)])
@pytest.mark.parametrize("name", ["single", "tagging"])
def test_what_is_no_row_is_an_input_error(name: str, given: object, predictor) -> None:
    with pytest.raises(InputError):
        predictor(name)(["a text", given])
    with pytest.raises(InputError, match="row 1: (text|tokens) is missing"):
        predictor(name)(["a text", None])


def test_a_few_problems_say_enough(predictor) -> None:
    with pytest.raises(InputError) as caught:
        predictor("single")([{}] * 1000)
    assert len(caught.value.problems) == 5


# --- which models ------------------------------------------------------------------------------------


def test_a_model_that_was_not_fine_tuned(saved: Callable[..., Path], tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(saved())
    save_model(model.bert, wordpiece(), tmp_path)
    with pytest.raises(
        InputError, match="MODEL: this model is not fine-tuned for a task; got .*`autodistill run` makes a student"
    ):
        load_predictor(tmp_path, CPU)


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"this folder holds no model \(no config.json\)"):
        load_predictor(tmp_path, CPU)
    with pytest.raises(InputError, match="no such folder"):
        load_predictor(tmp_path / "nowhere", CPU)
    with pytest.raises(InputError, match="the model hub cannot be reached"):
        load_predictor("org/model", CPU)


def test_one_output_is_a_value(tmp_path: Path) -> None:
    model = save_tiny(tmp_path, toy_task("regression"))
    model.config.problem_type = None
    model.save_pretrained(tmp_path)
    assert load_predictor(tmp_path, CPU).kind == "regression"


def test_a_damaged_record_is_named(saved: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(saved(), tmp_path, dirs_exist_ok=True)
    (tmp_path / "result.json").write_text('{"status": "ok"}')
    with pytest.raises(InputError, match=r"result\.json"):
        load_predictor(tmp_path, CPU)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no tokenizer": (without(TOKENIZER), "this model has no tokenizer"),
    "special tokens alone": (vocabulary(5), "tokenizer.json holds 5 tokens, and the model knows 300"),
    "no head": (stored(lambda name: "classifier" not in name), "model.safetensors lacks the head it is to be used wi"),
    "no body": (stored(lambda name: "classifier" in name), "model.safetensors lacks bert.embeddings.LayerNorm.bias"),
    "fewer layers": (config(num_hidden_layers=2), "model.safetensors holds layers that config.json does not count"),
    "pickle": (sharded(lambda name, shard: "pytorch_model.bin"), "from 'pytorch_model.bin', which is no safetensors"),
    "outside": (sharded(lambda name, shard: "../outside.safetensors"), "from '../outside.safetensors', which is no"),
    "layers as text": (config(num_hidden_layers="six"), "its config.json cannot be used (Field 'num_hidden_layers'"),
    "labels with a gap": (config(id2label={"0": "a", "1": "b", "7": "c"}), "id2label in its config.json must name the"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_models_give_no_answer(case: str, saved: Callable[..., Path], tmp_path: Path) -> None:
    damage, words = DAMAGES[case]
    folder = shutil.copytree(saved(), tmp_path / "model")
    damage(folder)
    with pytest.raises(InputError, match="MODEL: ") as caught:
        load_predictor(folder, CPU)
    assert words in str(caught.value)


# --- rows from texts ---------------------------------------------------------------------------------


def test_rows_of_texts() -> None:
    assert rows_of_texts("classification", ["a", "b"]) == [{"text": "a"}, {"text": "b"}]
    assert rows_of_texts("regression", ["a"], ["b"]) == [{"text": "a", "text_pair": "b"}]
    assert rows_of_texts("tagging", ["Anna sees  it "]) == [{"tokens": ["Anna", "sees", "it"]}]
    assert rows_of_texts("question_answering", ["who"], ["Anna"]) == [{"question": "who", "context": "Anna"}]
    assert rows_of_texts("classification", []) == []


def test_a_question_needs_its_context() -> None:
    with pytest.raises(InputError, match="--text-pair: a question needs the context that holds its answer"):
        rows_of_texts("question_answering", ["who"])


def test_as_many_second_texts_as_first_ones() -> None:
    with pytest.raises(InputError, match="--text-pair: needs as many texts as --text; got 1; allowed: 2"):
        rows_of_texts("classification", ["a", "b"], ["c"])


@pytest.mark.parametrize("name", ROWS)
def test_plain_texts_are_rows(name: str, predictor) -> None:
    loaded, row = predictor(name), ASKED[name]
    texts = [" ".join(value) if isinstance(value, list) else value for value in row.values()]
    assert loaded([texts[0] if len(texts) == 1 else tuple(texts)]) == loaded([row])
    if len(texts) == 1:
        assert loaded(texts[0]) == loaded([row])
    elif name == "question_answering":
        with pytest.raises(InputError, match="needs the context"):
            loaded([texts[0]])
