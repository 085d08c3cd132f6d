"""The command line as tests use it: an answer, and a run that predictions are asked of."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from cli import app

LABELS = ("unacceptable", "acceptable")
MODELS = ("--teacher", "scratch:layers=2,hidden=32", "--student", "layers:1")
RUN = ("run", "cola", *MODELS, "--set", "training.epochs=1", "--teacher-epochs", "1", "--precision", "float32")


class Answer:
    """What a command said and how it ended."""

    def __init__(self, *arguments: str, stdin: str | bytes | None = None):
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments), input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def assert_one_clear_message(answer: Answer, words: str) -> None:
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert words in " ".join(answer.err.split())
    assert answer.out == ""
