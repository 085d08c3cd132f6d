"""Training the used rows of an embedding alone is training all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.base.machine import Machine
from engine.evaluation.inference import scores_on
from engine.models.load import build, for_task
from engine.pipeline import MSE, Skip, Training, Weights
from engine.training import used_rows
from engine.training.loop import Stage, train
from engine.training.optimiser import schedule
from engine.training.used_rows import UsedRows, all_rows, left_by_decay, restore_rows, use_rows
from tests.engine.training.stages import Plug, pipeline, stage_for, weights
from tests.tokenizers import wordpiece
from tests.toys import ARCHITECTURES, tiny_config

KINDS = ["single", "pair", "regression", "tagging", "question_answering", "multi_label"]
TRAINING = Training(epochs=2, batch_size=8, learning_rate=2e-3, weight_decay=0.5, max_grad_norm=0.1)
PARTS = {"intermediate": MSE(), "mapping": Skip(), "weights": Weights(hard_label=0.5)}


def stage(name: str, machine: Machine, folder: Path) -> Stage:
    return stage_for(name, machine, folder, pipeline(name, TRAINING, **PARTS))


def rows_while_training(stage: Stage) -> list[int]:
    """Rows of the embedding at each step, filled while it trains."""
    seen: list[int] = []
    embedding = stage.student.get_input_embeddings
    stage.student.register_forward_pre_hook(lambda *_: seen.append(len(embedding().weight)))
    return seen


@pytest.mark.parametrize("name", KINDS)
def test_the_student_is_the_one_that_trains_all_rows(
    name: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (stage(name, machine, tmp_path / each) for each in ("used", "all"))
    before, rows = weights(one.student), rows_while_training(one)
    state = train(one, machine)
    assert set(rows) < {*range(40, 100)}
    monkeypatch.setattr(used_rows, "MOST", 0.0)
    rows = rows_while_training(other)
    expected = train(other, machine)
    assert set(rows) == {300}
    assert state.best_epoch == expected.best_epoch
    assert one.student.get_input_embeddings().weight.shape == (300, 16)
    found, whole = weights(one.student), weights(other.student)
    for key, value in whole.items():
        assert torch.allclose(found[key], value, atol=2e-6), key
    (key,) = [key for key in whole if key.endswith("word_embeddings.weight")]
    unused = np.setdiff1d(np.arange(300), [*one.data.student.tokens.values, *one.held_out["validation"].tokens.values])
    assert not torch.allclose(whole[key][unused[1:]], before[key][unused[1:]], rtol=1e-3)  # they have decayed
    scores = [scores_on(each.student, each.task, each.held_out, machine.accelerator) for each in (one, other)]
    assert scores[0] == scores[1]


def test_a_training_that_was_stopped_goes_on(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stage("single", machine, tmp_path / "whole")
    train(whole, machine)
    Plug(saved_at=5, pulled_at=6).install(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(stage("single", machine, tmp_path / "stopped"), machine)
    monkeypatch.undo()
    again = stage("single", machine, tmp_path / "stopped")
    assert train(again, machine).step == 8
    for key, value in weights(whole.student).items():
        assert torch.equal(weights(again.student)[key], value), key


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_alike(architecture: str, machine: Machine, tmp_path: Path) -> None:
    made = stage("single", machine, tmp_path)
    student = build(for_task(tiny_config(architecture, layers=2), made.task, wordpiece()), made.task.kind, 0)
    student.eval()
    ids = np.arange(8)
    inputs = made.data.student.inputs(ids, accepted={"input_ids", "attention_mask"})
    expected, names = student(**inputs).logits, [*weights(student)]
    before = student.get_input_embeddings()
    use_rows(student, made.data, made.held_out["validation"])
    assert isinstance(student.get_input_embeddings(), UsedRows)
    assert torch.equal(student(**inputs).logits, expected)
    assert [*weights(student)] == names
    with all_rows(student, decay=1.0):
        assert torch.equal(student(**inputs).logits, expected)
        assert torch.equal(student.get_input_embeddings().weight, before.weight)
    assert isinstance(student.get_input_embeddings(), UsedRows)
    restore_rows(student)
    assert student.get_input_embeddings() is before


def test_padding_gets_no_gradient() -> None:
    torch.manual_seed(0)
    whole = nn.Embedding(10, 4, padding_idx=3)
    rows = UsedRows(whole, torch.tensor([1, 3, 7]))
    tokens = torch.tensor([[7, 3, 1], [7, 7, 3]])
    rows(tokens).square().sum().backward()
    whole(tokens).square().sum().backward()
    assert rows.weight.grad is not None
    assert whole.weight.grad is not None
    assert torch.equal(rows.weight.grad, whole.weight.grad[[1, 3, 7]])
    assert not rows.weight.grad[1].any()
    assert rows.weight.grad[2].any()


@pytest.mark.parametrize("why", ["augmented", "shared", "frozen", "most"])
def test_where_all_rows_stay(why: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stage("single", machine, tmp_path)
    data, student = made.data, made.student
    embedding = student.get_input_embeddings()
    match why:
        case "augmented":
            data = replace(data, augmenter=object())  # type: ignore[arg-type]
        case "shared":
            student.decoder = nn.Linear(16, 300, bias=False)
            student.decoder.weight = embedding.weight
        case "frozen":
            embedding.weight.requires_grad = False
        case "most":
            monkeypatch.setattr(used_rows, "MOST", 0.1)
    use_rows(student, data, made.held_out["validation"])
    assert student.get_input_embeddings() is embedding
    with all_rows(student, 0.5):
        assert student.get_input_embeddings() is embedding


def test_decay_is_that_of_adamw_without_a_gradient() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=2e-3, weight_decay=0.5)
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 2e-3 * schedule(step, 8, TRAINING.warmup)
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert weight.item() == pytest.approx(left_by_decay(TRAINING, 5, 8), rel=1e-12)
