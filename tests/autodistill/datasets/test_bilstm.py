"""The Bi-LSTM score: what it learns, what it reads, when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from autodistill.datasets.bilstm import DEFAULTS, BiLSTMSettings, bilstm_score, sampled
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.evaluation.intervals import Measured
from tests.engine.runs import LEARNED
from tests.tasks import shared_task
from tests.toys import ROWS, toy_task

QUICK = BiLSTMSettings(width=24, hidden=16, learning_rate=1e-2, most_epochs=12)
HASTY = replace(QUICK, most_epochs=1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path)))


# --- the score ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_it_learns_every_kind_of_task(name: str, machine: Machine) -> None:
    assert bilstm_score(toy_task(name), machine, QUICK) > LEARNED[name]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ROWS)
def test_it_learns_every_kind_of_task_on_a_gpu(name: str, tmp_path: Path) -> None:
    machine = machine_for(RunOptions(device="cuda", cache_dir=str(tmp_path)))
    assert bilstm_score(toy_task(name), machine, QUICK) > LEARNED[name]


@pytest.mark.shared
def test_it_learns_trec(shared: Path, machine: Machine) -> None:
    assert bilstm_score(shared_task(shared / "datasets" / "trec"), machine) > 0.78


def test_it_is_trained_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy_task("single", rows=32, held_out=16)
    first = bilstm_score(task, machine, HASTY)
    monkeypatch.setattr("engine.run.fine_tuning.fine_tune", lambda *_: pytest.fail("trained again"))
    assert bilstm_score(task, machine, HASTY) == first


def test_other_settings_and_other_data_are_another_score(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[float] = []

    def fine_tune(name, start, task, training, seed, folder, machine):
        folder.mkdir()
        trained.append(float(len(trained)))
        score = trained[-1]
        scores, intervals = dict.fromkeys(task.metrics, score), dict.fromkeys(task.metrics, (score, score))
        return {split: Measured(scores, intervals, [0] * len(rows)) for split, rows in task.held_out.items()}

    monkeypatch.setattr("engine.run.fine_tuning.fine_tune", fine_tune)
    task = toy_task("single", rows=32, held_out=16)
    changes = ({}, {"seed": 1}, {"hidden": 8}, {"learning_rate": 1e-3}, {"train_rows": 16})
    asked = [(task, replace(HASTY, **change)) for change in changes]
    asked.append((replace(task, fingerprint="other"), HASTY))
    for _ in range(2):
        assert [bilstm_score(data, machine, settings) for data, settings in asked] == trained
    assert len(trained) == len(asked)


def test_the_same_seed_gives_the_same_score(tmp_path: Path) -> None:
    task = toy_task("regression", rows=48, held_out=32)
    settings = replace(QUICK, most_epochs=3)
    caches = [RunOptions(device="cpu", cache_dir=str(tmp_path / name)) for name in ("a", "b", "c")]
    machines = [machine_for(cache) for cache in caches]
    a, b = (bilstm_score(task, machine, settings) for machine in machines[:2])
    assert a == b
    assert bilstm_score(task, machines[2], replace(settings, seed=1)) != a


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    task = toy_task("regression", rows=48, held_out=32)
    before, scores = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            machine = machine_for(RunOptions(device="cpu", cache_dir=str(tmp_path / str(threads))))
            scores.append(bilstm_score(task, machine, replace(QUICK, most_epochs=2)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert scores[0] == scores[1]


def test_the_scale_of_the_targets_does_not_matter(machine: Machine) -> None:
    task = toy_task("regression", rows=48, held_out=32)
    larger = {name: rows.map(_larger) for name, rows in (("train", task.train), *task.validation.items())}
    scaled = replace(task, train=larger.pop("train"), validation=larger, fingerprint="scaled")
    ours, theirs = (bilstm_score(each, machine, replace(QUICK, most_epochs=3)) for each in (task, scaled))
    assert theirs == pytest.approx(ours, abs=1e-3)


def _larger(row: dict[str, float]) -> dict[str, float]:
    return {"label": 5000 + 300 * row["label"]}


# --- what it reads -----------------------------------------------------------------------------------


def test_of_a_large_dataset_a_sample_is_read() -> None:
    task = toy_task("single", rows=300, held_out=60)
    task = replace(task, validation=task.validation | {"second": task.train})
    read = sampled(task, replace(DEFAULTS, train_rows=100, held_out_rows=20))
    assert list(read.validation) == ["validation"]
    assert (len(read.train), len(read.validation["validation"])) == (100, 20)
    shares = [np.bincount(each.train["label"][:]) / len(each.train) for each in (task, read)]
    np.testing.assert_allclose(*shares, atol=0.01)
    assert read.fingerprint != task.fingerprint
    assert set(read.train["text"]) <= set(task.train["text"])


def test_the_score_is_of_the_set_that_is_reported(machine: Machine) -> None:
    """Of rows with the other label of each, on which a network that has learned the task is wrong."""
    task = toy_task("pair", rows=32, held_out=16)
    other = toy_task("pair", rows=60, held_out=1, seed=1).train.map(lambda row: {"label": 1 - row["label"]})
    tested = replace(task, test={"test": other, "more": task.train}, fingerprint="")
    settings = replace(HASTY, held_out_rows=40)
    read = sampled(tested, settings)
    assert {split: len(rows) for split, rows in read.held_out.items()} == {"validation": 16, "test": 40}
    turned = replace(tested, test={"test": other.map(lambda row: {"label": 1 - row["label"]})}, fingerprint="turned")
    whole = replace(settings, held_out_rows=60)
    scores = [bilstm_score(each, machine, whole) for each in (tested, turned)]
    assert sum(scores) == pytest.approx(1)


def test_a_small_dataset_is_read_whole() -> None:
    task = replace(toy_task("question_answering"), fingerprint="")
    read = sampled(task, DEFAULTS)
    assert (read.train, read.validation) == (task.train, task.validation)
    assert read.fingerprint == sampled(task, DEFAULTS).fingerprint != ""


@pytest.mark.parametrize(
    "name, rows, epochs", [("single", 40, 20), ("single", 3000, 6), ("pair", 2490, 8), ("question_answering", 3000, 3)]
)
def test_the_length_of_the_training_follows_the_rows(name: str, rows: int, epochs: int) -> None:
    task = replace(toy_task(name, rows=2, held_out=2), train=Dataset.from_dict({"text": ["a"] * rows}))
    assert DEFAULTS.training(task).epochs == epochs
