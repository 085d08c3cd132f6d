"""From what was typed to rows, and from answers to lines and files."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autodistill.commands import predict as module
from autodistill.commands.predict import answer_leaderboard, line, predict, rows_from
from engine.base.errors import InputError
from engine.base.hub import TOKENIZER
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from engine.data.load import load_task
from engine.data.task import TaskKind
from engine.models.load import reorder_labels, save_model
from engine.run.predictor import Predictor
from tests.command_line import LABELS, Answer, assert_one_clear_message, write
from tests.engine.models.damage import Damage, config, nested, sharded, stored, without, written
from tests.tokenizers import wordpiece
from tests.toys import perturb, save_tiny, toy_task


def test_predict_texts(finished: Path) -> None:
    arguments = ("predict", "runs/cola", "--text", "the cat sleeps", "--text", "the dog sleep")
    rows = json.loads(Answer(*arguments, "--json").out)
    assert [row["text"] for row in rows] == ["the cat sleeps", "the dog sleep"]
    assert [row["label"] for row in rows] == [max(row["scores"], key=row["scores"].get) for row in rows]
    lines = Answer(*arguments).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [row["label"] for row in rows]


def test_predict_reads_lines_columns_and_standard_input_alike(finished: Path, at_home: Path) -> None:
    texts = ["the cat sleeps", "the dog sleep", "the bird sings, maybe"]
    write(at_home, "lines.txt", "\n".join(texts) + "\n")
    write(at_home, "rows.csv", "id,sentence\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)))
    write(at_home, "rows.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    typed = Answer("predict", "runs/cola", *(part for text in texts for part in ("--text", text))).out
    assert len(typed.splitlines()) == 3
    assert Answer("predict", "runs/cola", stdin="\n".join(texts)).out == typed
    for file in (["lines.txt"], ["rows.jsonl"], ["rows.csv", "--text-column", "sentence"]):
        assert Answer("predict", "runs/cola", "--file", *file).out == typed


def test_predict_writes_json_lines(finished: Path, at_home: Path) -> None:
    answer = Answer("predict", "runs/cola", "--text", "the cat sleeps", "--out", "answers.jsonl")
    assert (answer.code, answer.out) == (0, "")
    (line,) = (at_home / "answers.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["text"] == "the cat sleeps"
    assert json.loads(line)["label"] in LABELS
    assert "1 answer: " in answer.err


def test_predict_writes_a_leaderboard_file(finished: Path, at_home: Path) -> None:
    answer = Answer("predict", "runs/cola", "--data", "cola", "--out", "board")
    assert answer.code == 0, answer.err
    lines = (at_home / answer.out.strip()).read_text("utf-8").splitlines()
    assert lines[0] == "index\tprediction"
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/nowhere", "--text", "x"], "no such folder"),
        (["runs/cola", "--file", "nowhere.csv"], "nowhere.csv"),
        (["runs/cola", "--file", "cola/test.jsonl", "--text", "x"], "either --text or --file"),
        (["runs/cola", "--file", "cola/test.jsonl", "--text-column", "txt"], "Did you mean text?"),
        (["runs/cola", "--text", "fine", "--text", " "], "--text: empty text, which no answer fits; got ' '"),
        (["runs/cola", "--text", "x", "--text-pair", "y"], "trained on single ones"),
        (["runs/cola", "--data", "cola"], "the leaderboard's files need a folder"),
        (["runs/cola", "--data", "cola", "--text", "x"], "--text: --data names the texts that are answered; got 'x'"),
        (["runs/cola", "--data", "cola", "--file", "x.csv"], "--file: --data names the texts"),
        (["runs/cola", "--file", "cola/test.jsonl", "--text-pair", "y"], "test.jsonl holds the texts"),
        (["runs/cola", "--text", "x", "--text-column", "y"], "only for a --file with columns"),
    ],
    ids=str,
)
def test_wrong_questions(arguments: Sequence[str], words: str, finished: Path) -> None:
    assert_one_clear_message(Answer("predict", *arguments), words)


# --- rows --------------------------------------------------------------------------------------------


def typed(**given: Any) -> dict[str, Any]:
    return {"file": None, "texts": [], "pairs": [], "text_column": None, "text_pair_column": None} | given


def table(folder: Path, **columns: list[str]) -> Path:
    """A file of JSON lines."""
    path = folder / "rows.jsonl"
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_line_is_a_text_wherever_it_comes_from(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["naïve, café", 'so "quoted"', " spaces "]
    lines = (ending or "\n").join(texts) + ending
    (tmp_path / "lines.txt").write_bytes(lines.encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    sources = [typed(texts=texts), typed(file=tmp_path / "lines.txt"), typed()]
    for source in sources:
        assert rows_from(source)("classification", {}) == [{"text": text} for text in texts]


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(InputError, match="nothing to answer"):
        rows_from(typed())


COLUMNS = [
    # kind, columns of the file, what was typed, the fields of the rows
    ("classification", ["text", "id"], {}, {"text": "text"}),
    ("classification", ["review"], {}, {"text": "review"}),
    ("classification", ["review", "id"], {"text_column": "review"}, {"text": "review"}),
    ("classification", ["text", "text_pair"], {}, {"text": "text", "text_pair": "text_pair"}),
    ("regression", ["text", "other"], {"text_pair_column": "other"}, {"text": "text", "text_pair": "other"}),
    ("question_answering", ["question", "context"], {}, {"question": "question", "context": "context"}),
    (
        "question_answering",
        ["q", "c"],
        {"text_column": "q", "text_pair_column": "c"},
        {"question": "q", "context": "c"},
    ),
]


@pytest.mark.parametrize(("kind", "names", "given", "fields"), COLUMNS)
def test_columns_become_the_fields_of_the_task(
    kind: TaskKind, names: list[str], given: dict[str, str], fields: dict[str, str], tmp_path: Path
) -> None:
    columns = {name: [f"{name} {row}" for row in range(3)] for name in names}
    rows = rows_from(typed(file=table(tmp_path, **columns), **given))(kind, {})
    assert rows == [{field: f"{name} {row}" for field, name in fields.items()} for row in range(3)]


TRAINED_ON = [
    # columns of the training data, of the file, what was typed, the fields of the rows
    ({"text": "review", "label": "stars"}, ["id", "review", "stars"], {}, {"text": "review"}),
    ({"text": "review", "label": "stars"}, ["id", "text"], {}, {"text": "text"}),
    ({"text": "review", "label": "stars"}, ["review", "text"], {"text_column": "text"}, {"text": "text"}),
    ({"text": "a", "label": "c"}, ["a", "text_pair"], {}, {"text": "a"}),
    ({"text": "a", "text_pair": "b", "label": "c"}, ["b", "a"], {}, {"text": "a", "text_pair": "b"}),
    (
        {"text": "a", "text_pair": "b", "label": "c"},
        ["text", "text_pair"],
        {},
        {"text": "text", "text_pair": "text_pair"},
    ),
]


@pytest.mark.parametrize(("trained_on", "names", "given", "fields"), TRAINED_ON)
def test_the_columns_of_the_training_data_are_known(
    trained_on: dict[str, str], names: list[str], given: dict[str, str], fields: dict[str, str], tmp_path: Path
) -> None:
    rows = rows_from(typed(file=table(tmp_path, **{name: [name] for name in names}), **given))
    assert rows("classification", trained_on) == [fields]


def test_a_second_text_is_there_where_it_belongs_and_nowhere_else(tmp_path: Path) -> None:
    pairs, single = {"text": "a", "text_pair": "b", "label": "c"}, {"text": "a", "label": "c"}
    file = table(tmp_path, a=["one"], d=["two"])
    for given, trained_on, words in (
        ({"file": file}, pairs, "no column 'b'; allowed: a, d. Say which one it is: --text-pair-column NAME."),
        ({"texts": ["one"]}, pairs, "--text-pair: this model was trained on pairs"),
        ({"texts": ["one"], "pairs": ["two"]}, single, "--text-pair: there is a second text"),
        ({"file": file, "text_pair_column": "d"}, single, "--text-pair-column: the model was trained on single texts"),
    ):
        with pytest.raises(InputError, match=words):
            rows_from(typed(**given))("classification", trained_on)


def test_every_column_that_is_missing_is_named(tmp_path: Path) -> None:
    rows_for = rows_from(typed(file=table(tmp_path, quesion=["Who?"], contxt=["Ada"])))
    with pytest.raises(InputError) as caught:
        rows_for("question_answering", {})
    assert [problem.what for problem in caught.value.problems] == ["no column 'question'", "no column 'context'"]
    ways = ["--text-column quesion", "--text-pair-column contxt"]
    assert [problem.suggestion for problem in caught.value.problems] == [f"Say which one it is: {way}." for way in ways]


def test_a_column_that_was_typed_and_is_not_there_is_the_options_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--text-column: no such column in .*rows.jsonl; got 'revew'.*mean review\?"):
        rows_from(typed(file=table(tmp_path, review=["a"], id=["1"]), text_column="revew"))("classification", {})


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("rows.csv", "sentence,n\nthe cat sleeps,1\n,2\n  ,3\n"),
        ("rows.jsonl", '{"sentence": "the cat sleeps"}\n{"sentence": null}\n{"sentence": " "}\n'),
    ],
)
def test_empty_cells_are_warned_of(name: str, rows: str, finished: Path, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(rows, "utf-8")
    answer = Answer("predict", "runs/cola", "--file", str(file), "--text-column", "sentence")
    assert len(answer.out.splitlines()) == 3
    assert "warning: rows without a text: 2 of 3" in answer.err


def test_answers_are_written_as_they_come(finished: Path, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many rows at a time, with the same answers as all at once; and what is wrong with any is said before."""
    asked, call = [], Predictor.__call__
    monkeypatch.setattr(Predictor, "__call__", lambda self, rows: asked.append(len(rows)) or call(self, rows))
    arguments = ("predict", "runs/cola", "--file", "cola/test.jsonl", "--out")
    Answer(*arguments, "whole.jsonl")
    monkeypatch.setattr(module, "AT_A_TIME", 4)
    Answer(*arguments, "parts.jsonl")
    assert asked == [6, 4, 2]
    whole, parts = (
        [json.loads(line) for line in (at_home / name).read_text("utf-8").splitlines()]
        for name in ("whole.jsonl", "parts.jsonl")
    )
    assert [row["label"] for row in parts] == [row["label"] for row in whole]
    for part, same in zip(parts, whole, strict=True):
        assert part["scores"] == pytest.approx(same["scores"], abs=1e-5)


def test_lines_without_a_text_are_warned_of(finished: Path, at_home: Path) -> None:
    """They keep their place among the answers; one that was typed is a mistake."""
    answer = Answer("predict", "runs/cola", stdin="the cat sleeps\n\n  \n")
    assert len(answer.out.splitlines()) == 3
    assert "warning: rows without a text: 2 of 3" in answer.err
    assert "warning" not in Answer("predict", "runs/cola", stdin="the cat sleeps\n").err


def test_the_input_is_read_before_the_model(tmp_path: Path) -> None:
    given = typed(model="./no-such-model", on_data=None, into=None)
    with pytest.raises(InputError, match=r"absent\.txt"):
        predict(given | {"file": tmp_path / "absent.txt"}, SilentReporter())
    with pytest.raises(InputError, match="no-such-model"):
        predict(given | {"texts": ["a"]}, SilentReporter())


# --- answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"label": "good", "score": 0.98765, "scores": {}}, "good\t0.9877"),
        ({"score": -0.5}, "-0.5000"),
        ({"answer": "Ada", "score": 0.3}, "Ada"),
        ({"tokens": ["Rome", "fell"], "tags": ["X", "Y"]}, "Rome/X fell/Y"),
    ],
)
def test_an_answer_is_a_line(row: dict[str, Any], text: str) -> None:
    assert line(row) == text


def test_classes_in_another_order_are_those_of_the_task(at_home: Path, tmp_path: Path) -> None:
    """The same model under turned labels writes the same file; one with other labels writes none."""
    task = load_task("cola")
    model = save_tiny(tmp_path / "model", task)
    perturb(model)
    save_model(model, wordpiece(), tmp_path / "model")
    assert reorder_labels(model, task.labels[::-1])
    save_model(model, wordpiece(), tmp_path / "turned")
    options = RunOptions(device="cpu", precision="float32")
    written = []
    for name in ("model", "turned"):
        (file,) = answer_leaderboard(str(tmp_path / name), "cola", tmp_path / f"of-{name}", options)
        written.append(file.read_text("utf-8"))
    assert written[0] == written[1]
    assert len(written[0].splitlines()) == 1 + len(task.unlabelled["test"])
    model.config.id2label = {0: "no", 1: "yes"}
    model.config.label2id = {"no": 0, "yes": 1}
    save_model(model, wordpiece(), tmp_path / "other")
    with pytest.raises(InputError, match="it was not trained on cola; got no, yes; allowed: unacceptable, acceptable"):
        answer_leaderboard(str(tmp_path / "other"), "cola", tmp_path / "none", options)
    assert not (tmp_path / "none").exists()


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no tokenizer": (without(TOKENIZER), "MODEL: this model has no tokenizer: no tokenizer.json"),
    "no head": (
        stored(lambda name: "classifier" not in name),
        "MODEL: its weights cannot be loaded (model.safetensors",
    ),
    "pickle": (sharded(lambda name, shard: "pytorch_model.bin"), "which is no safetensors file of this folder"),
    "outside": (sharded(lambda name, shard: "../outside.safetensors"), "takes bert.embeddings.LayerNorm.bias from"),
    "layers as text": (config(num_hidden_layers="six"), "MODEL: its config.json cannot be used"),
    "deep": (written("config.json", nested(100_000)), "MODEL: config.json is nested too deeply"),
    "digits": (written("config.json", f'{{"a": {"9" * 5000}}}'), "MODEL: config.json holds a number of 5,000 digits"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_model_is_one_message(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_tiny(folder, toy_task("single", rows=8, held_out=8))
    damage, words = DAMAGES[case]
    damage(folder)
    assert_one_clear_message(Answer("predict", str(folder), "--text", "a great house"), words)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (".", "--out: a file is needed"),
        ("lines.txt/answers", "--out: a file that cannot be written: Not a directory"),
        ("x" * 300, "--out: a file that cannot be written: File name too long"),
        ("x" * 252, "--out: a file that cannot be written: File name too long"),  # it is written aside first
        ("/proc/answers", "--out: a file that cannot be written"),
    ],
)
def test_where_no_answers_can_be_written_is_said_before_they_are_made(
    out: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "lines.txt", "a")
    assert_one_clear_message(Answer("predict", "nowhere", "--text", "a", "--out", out), words)
    assert [path.name for path in tmp_path.iterdir()] == ["lines.txt"]


def test_a_leaderboard_needs_a_folder(tmp_path: Path) -> None:
    file = write(tmp_path, "board", "")
    assert_one_clear_message(Answer("predict", "x", "--data", "cola", "--out", file), "--out: a folder is needed")


def test_texts_that_are_none(finished: Path, at_home: Path) -> None:
    half = write(at_home, "half.jsonl", '{"text": "a\\ud800"}\n')
    assert_one_clear_message(Answer("predict", "runs/cola", "--file", half), "row 1 has half a character")
    assert_one_clear_message(Answer("predict", "runs/cola", "--text", "a\udcff"), "row 1 has half a character")
    (at_home / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    assert_one_clear_message(Answer("predict", "runs/cola", "--file", "latin.txt"), "latin.txt:1: not UTF-8")
    answer = Answer("predict", "runs/cola", stdin=b"one\ncaf\xe9\n")
    assert_one_clear_message(answer, "standard input:2: not UTF-8; got byte 0xe9")


def test_a_line_ends_where_files_end_it(finished: Path) -> None:
    """Python also ends lines at U+2028 and form feeds, and there were more answers than texts."""
    answer = Answer("predict", "runs/cola", stdin="the cat\u2028sleeps\r\nthe\x0cdog\n")
    assert len(answer.out.splitlines()) == 2
