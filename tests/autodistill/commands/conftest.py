"""A finished run, which the tests of several commands ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import LABELS, RUN, Answer, write


@pytest.fixture(name="home", scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset in GLUE's form and a finished run on it."""
    home = tmp_path_factory.mktemp("home")
    (home / "cola").mkdir()
    write(home / "cola", "dataset.json", json.dumps({"task": "classification", "label_names": LABELS}))
    sentences = [f"the {thing} {verb}" for thing in ("cat", "dog", "bird") for verb in ("sleeps", "sleep")]
    for split, copies in {"train": 6, "validation": 3, "test": 1}.items():
        labels = [-1 if split == "test" else int(text[-1] == "s") for text in sentences * copies]
        lines = [
            json.dumps({"text": text, "label": label}) for text, label in zip(sentences * copies, labels, strict=True)
        ]
        (home / "cola" / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


@pytest.fixture(name="at_home")
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv("AUTODISTILLER_CACHE", str(home / "cache"))
    return home


@pytest.fixture(name="finished")
def _finished(at_home: Path) -> Path:
    """The folder of a finished run: the first test that asks makes it, the others find it finished."""
    answer = Answer(*RUN, "--out", "runs/cola", "--json")
    assert answer.code == 0, answer.err
    return at_home / "runs" / "cola"
