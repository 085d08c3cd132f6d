"""From what was typed to rows, and from answers to lines and files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.command_line import LABELS, Answer, assert_one_clear_message, write


def test_predict_texts(finished: Path) -> None:
    arguments = ("predict", "runs/cola", "--text", "the cat sleeps", "--text", "the dog sleep")
    rows = json.loads(Answer(*arguments, "--json").out)
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
    assert json.loads(line)["label"] in LABELS


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
        (["runs/cola", "--text", "x", "--text-pair", "y", "--text-pair", "z"], "needs as many texts as --text"),
        (["runs/cola", "--data", "cola"], "the leaderboard's files need a folder"),
    ],
    ids=str,
)
def test_wrong_questions(arguments: Sequence[str], words: str, finished: Path) -> None:
    assert_one_clear_message(Answer("predict", *arguments), words)
