"""A student exported from the command line, and the code of docs/export.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.command_line import LABELS, Answer, assert_one_clear_message
from tests.conftest import ROOT


@pytest.fixture(name="run")
def _run(finished: Path, at_home: Path) -> Path:
    """A copy of the finished run, which the others must find as it was."""
    return Path(shutil.copytree(at_home / "runs" / "cola", at_home / "runs" / "exported", dirs_exist_ok=True))


def test_a_run_is_exported_and_answers(run: Path, at_home: Path) -> None:
    answer = Answer("export", "runs/exported", "--data", "cola", "--force")
    assert answer.code == 0, answer.err
    assert "exported: runs/exported/onnx" in answer.out
    for form in ("teacher", "student in PyTorch", "ONNX, int8", "size (MB)", "ms, batch 32, 1 thread"):
        assert form in answer.out
    assert "\nmodel.onnx is written" in f"\n{answer.err}"
    assert "## Exported" in (run / "README.md").read_text("utf-8")

    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "export.md").read_text("utf-8"), re.M | re.S)
    said = subprocess.run([sys.executable, "-c", code], cwd=run / "onnx", capture_output=True, text=True, check=True)
    assert said.stdout.strip() in LABELS
    (asked,) = json.loads(
        Answer("predict", "runs/exported", "--text", "The soup was cold and the waiter warm.", "--json").out
    )
    assert said.stdout.strip() == asked["label"]

    export = json.loads(Answer("export", "runs/exported", "--out", "elsewhere", "--json").out)
    assert (at_home / "elsewhere" / "model.onnx").is_file()
    assert export["scores"] == {}
    assert "left out" in export["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/nowhere"], "no such folder"),
        (["runs/cola", "--data", "nowhere.csv"], "nowhere.csv"),
        (["runs/cola", "--label", "stars"], "--data: nothing is named that these would be of"),
        (["runs/cola", "--margin", "-1"], "--margin: out of range; got -1.0; allowed: 0 to 100"),
        (["runs/cola", "--out", "cola"], "this folder holds something else than an export"),
    ],
    ids=str,
)
def test_wrong_exports(arguments: Sequence[str], words: str, finished: Path) -> None:
    assert_one_clear_message(Answer("export", *arguments), words)
