"""Teachers as objects: a model in memory is kept once, and is a teacher like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from engine import RunOptions, distill
from engine.base.errors import InputError
from engine.models.given import name_of
from tests.tokenizers import wordpiece
from tests.toys import save_tiny, toy_task

TASK = toy_task("single", rows=32, held_out=16)


def test_names_and_paths_are_what_they_are(tmp_path: Path) -> None:
    assert name_of("bert-base-uncased", tmp_path) == "bert-base-uncased"
    assert name_of(tmp_path / "bert", tmp_path) == str(tmp_path / "bert")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("given", [None, 1, (1, 2), ("a", "b"), object()])
def test_what_is_no_model_is_refused(tmp_path: Path, given: object) -> None:
    with pytest.raises(InputError, match="no model"):
        name_of(given, tmp_path)


def test_a_model_in_memory_is_kept_once_and_again_where_it_differs(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", TASK)
    cache, tokenizer = tmp_path / "cache", wordpiece()
    first = name_of((model, tokenizer), cache)
    assert name_of((model, tokenizer), cache) == first
    kept = AutoModelForSequenceClassification.from_pretrained(first)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), kept.parameters(), strict=True))
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert name_of((model, tokenizer), cache) != first
    assert [path for path in cache.iterdir() if path.name.startswith(".given")] == []


def test_it_teaches(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", TASK)
    options = RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path / "cache"))
    asked = {"student": "layers:1", "options": options}
    pipeline = {"intermediate": {"kind": "none"}, "mapping": {"kind": "none"}, "training": {"epochs": 1}}
    given = distill(TASK, teacher=(model, wordpiece()), pipeline=pipeline, out=tmp_path / "a", **asked)
    named = distill(TASK, teacher=tmp_path / "model", pipeline=pipeline, out=tmp_path / "b", **asked)
    assert given.scores == named.scores
