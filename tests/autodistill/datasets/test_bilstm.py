"""The Bi-LSTM score: the network's parts against plain loops, what it learns, what it reads, when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_model
from torch import nn

from autodistill.datasets.bilstm import DEFAULTS, READ, BiLSTM, BiLSTMSettings, attended, bilstm_score, sampled
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.data.task import Task
from engine.evaluation.inference import evaluating
from engine.evaluation.intervals import Measured
from engine.models.forward import forward
from engine.tokens.examples import Encoded, encode
from tests.engine.runs import LEARNED
from tests.tasks import shared_task
from tests.tokenizers import wordpiece
from tests.toys import ROWS, WORDS, toy_task

QUICK = BiLSTMSettings(width=24, hidden=16, learning_rate=1e-2, most_epochs=12)
HASTY = replace(QUICK, most_epochs=1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path)))


def network_for(task: Task, seed: int = 0) -> tuple[BiLSTM, Encoded]:
    """An untrained network, and the held-out rows as it reads them."""
    tokenizer = wordpiece(WORDS)
    torch.manual_seed(seed)
    network = BiLSTM(task, len(tokenizer), QUICK)
    return network, encode(task.validation["validation"], task, tokenizer, 64, 16)


# --- the network -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_padding_changes_nothing(name: str) -> None:
    task = toy_task(name, rows=2, held_out=12)
    network, rows = network_for(task)
    ids = np.arange(len(rows))
    longest = rows.padded_length(ids)
    with evaluating(network):
        whole = rows.inputs(ids, longest + 24)
        noise = torch.randint_like(whole["input_ids"], 5, 30)
        whole["input_ids"] = torch.where(whole["attention_mask"] > 0, whole["input_ids"], noise)
        padded = forward(network, whole, task.kind).logits
        for row, length in enumerate(rows.lengths):
            alone = forward(network, rows.inputs([row], int(length)), task.kind).logits[0]
            found = padded[row, :length] if task.token_level else padded[row]
            torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_the_states_are_those_of_a_bidirectional_lstm() -> None:
    network, _ = network_for(toy_task("tagging", rows=2, held_out=2))
    ours = nn.LSTM(QUICK.width, QUICK.hidden, batch_first=True, bidirectional=True)
    weights = dict(network.ahead.named_parameters())
    weights |= {f"{name}_reverse": weight for name, weight in network.back.named_parameters()}
    ours.load_state_dict(weights)
    words, lengths = torch.randn(3, 7, QUICK.width), torch.tensor([7, 1, 4])
    packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(ours(packed)[0], batch_first=True)
    mask = torch.arange(7) < lengths[:, None]
    states = network._states(words, mask)
    torch.testing.assert_close(states[mask], expected[mask], rtol=0, atol=1e-6)


def test_a_word_finds_its_likes_in_the_other_text() -> None:
    words = torch.randn(2, 5, 3)
    first = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
    second = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]]).bool()
    found = attended(words, first, second)
    for row in range(2):
        for here, there in ((first, second), (second, first)):
            others = words[row, there[row]]
            for position in here[row].nonzero().flatten().tolist():
                weights = torch.tensor([float(words[row, position] @ other) for other in others]).softmax(0)
                mean = sum(weight * other for weight, other in zip(weights, others, strict=True))
                torch.testing.assert_close(found[row, position], mean, rtol=0, atol=1e-5)


def test_what_the_output_layer_reads() -> None:
    states = torch.tensor([[[1.0, -4.0], [2.0, -5.0], [-3.0, 6.0], [9.0, 9.0]]])
    first = torch.tensor([[True, True, False, False]])
    second = torch.tensor([[False, False, True, False]])
    expected = {
        "single": [[2, 6]],
        "pair": [[2, -4, -3, 6, 5, 10, -6, -24]],
        "tagging": states.tolist(),
        "question_answering": [[[*h, 2, -4, 2 * h[0], -4 * h[1]] for h in states[0].tolist()]],
    }
    assert READ.keys() == expected.keys()
    for shape, (read, parts) in READ.items():
        found = read(states, first, second)
        assert found.tolist() == expected[shape]
        assert found.shape[-1] == parts * states.shape[-1]


@pytest.mark.parametrize("name", ROWS)
def test_the_precision_of_the_machine_changes_nothing(name: str) -> None:
    task = toy_task(name, rows=2, held_out=4)
    network, rows = network_for(task)
    inputs = rows.inputs(range(len(rows)))
    with evaluating(network):
        exact = forward(network, inputs, task.kind).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(forward(network, inputs, task.kind).logits, exact)


def test_weights_that_are_views_of_one_tensor_can_be_saved(tmp_path: Path) -> None:
    """As cuDNN lays an LSTM's weights out."""
    network, _ = network_for(toy_task("single", rows=2, held_out=2))
    weights = list(network.ahead.parameters())
    pieces = torch.cat([weight.data.flatten() for weight in weights]).split([w.numel() for w in weights])
    for weight, piece in zip(weights, pieces, strict=True):
        weight.data = piece.view_as(weight)
    save_model(network, str(tmp_path / "weights"))
    saved = load_file(tmp_path / "weights")
    assert all(torch.equal(saved[name], weight) for name, weight in network.named_parameters())


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
