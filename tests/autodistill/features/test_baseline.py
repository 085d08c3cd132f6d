"""The Bi-LSTM: that it learns every kind of task, reads both texts, and does not see padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autodistill.features.baseline import BaselineSettings, BiLSTM, BiLSTMConfig, baseline_score
from engine.data.task import Task
from engine.hardware import Machine, machine_for
from engine.options import RunOptions
from engine.progress import SilentReporter
from tests.toys import toy_task

QUICK = BaselineSettings(examples=1500, answering_examples=1500, batch_size=16, width=24, hidden=16)
REACHED = {"single": 0.8, "pair": 0.8, "regression": 0.6, "tagging": 0.9, "question_answering": 0.3}
"""Scores that the words alone give; the trivial ones are half of it at most."""


class Counting(SilentReporter):
    def __init__(self) -> None:
        self.steps = 0

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.steps += count


def machine(folder: Path, reporter: SilentReporter | None = None) -> Machine:
    return machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(folder)), reporter)


@pytest.mark.parametrize("name", REACHED)
def test_it_learns(tmp_path: Path, name: str) -> None:
    assert baseline_score(toy_task(name), machine(tmp_path), QUICK) > REACHED[name]


def test_it_is_trained_once(tmp_path: Path) -> None:
    task, told = toy_task("single", rows=64, held_out=32), Counting()
    first = baseline_score(task, machine(tmp_path, told), QUICK)
    trained = told.steps
    assert trained > 0
    assert baseline_score(task, machine(tmp_path, told), QUICK) == first
    assert told.steps == trained


def test_the_same_seed_gives_the_same_score(tmp_path: Path) -> None:
    task = toy_task("pair", rows=64, held_out=32)
    scores = {baseline_score(task, machine(tmp_path / str(place)), QUICK) for place in range(2)}
    assert len(scores) == 1


def test_a_large_dataset_is_sampled(tmp_path: Path) -> None:
    told = Counting()
    settings = BaselineSettings(
        train_rows=32, held_out_rows=16, examples=64, batch_size=16, width=8, hidden=8
    )
    baseline_score(toy_task("single", rows=300, held_out=200), machine(tmp_path, told), settings)
    assert told.steps == 4 + 2 * 16  # two epochs of two steps, and two evaluations of 16 rows


@pytest.mark.parametrize(
    ("kind", "two_texts"),
    [
        ("classification", False),
        ("classification", True),
        ("regression", False),
        ("regression", True),
        ("tagging", False),
        ("question_answering", True),
    ],
)
def test_padding_changes_nothing(kind: str, two_texts: bool) -> None:
    torch.manual_seed(0)
    labels = {"classification": 3, "regression": 1, "tagging": 4, "question_answering": 2}[kind]
    network = BiLSTM(
        BiLSTMConfig(kind=kind, two_texts=two_texts, vocab_size=40, pad_token_id=0, num_labels=labels)
    ).eval()
    words = torch.randint(1, 40, (2, 9))
    mask, types = torch.ones(2, 9, dtype=torch.long), torch.zeros(2, 9, dtype=torch.long)
    if two_texts:
        types[:, 4:] = 1
    mask[1, 6:], words[1, 6:] = 0, 0
    short = _logits(network, words, mask, types)
    padded = [torch.nn.functional.pad(values, (0, 5)) for values in (words, mask, types)]
    long = _logits(network, *padded)
    seen = long[:, :9] if kind in ("tagging", "question_answering") else long
    where = mask.bool() if kind in ("tagging", "question_answering") else slice(None)
    torch.testing.assert_close(seen[where], short[where])


def _logits(network: BiLSTM, words: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = network(input_ids=words, attention_mask=mask, token_type_ids=types)
    if network.config.kind == "question_answering":
        return torch.stack([found.start_logits, found.end_logits], dim=-1)
    return found.logits


@pytest.mark.shared
@pytest.mark.slow
def test_on_real_texts(shared: Path, tmp_path: Path) -> None:
    from engine import load_task

    task: Task = load_task(str(shared / "datasets" / "trec"))
    assert baseline_score(task, machine(tmp_path)) > 0.8
