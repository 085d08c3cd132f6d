"""The Bi-LSTM: its parts against plain loops, and what is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_model
from torch import nn

from engine.data.task import Task
from engine.evaluation.inference import evaluating
from engine.models.bilstm import READ, BiLSTMConfig, attended
from engine.models.forward import forward
from engine.models.load import build, for_task
from engine.models.own import for_texts
from engine.tokens.examples import Encoded, encode
from tests.tokenizers import wordpiece
from tests.toys import ROWS, WORDS, toy_task

WIDTH, HIDDEN = 24, 16


def network_for(task: Task, seed: int = 0) -> tuple[nn.Module, Encoded]:
    """An untrained network, and the held-out rows as it reads them."""
    tokenizer = wordpiece(WORDS)
    config = for_texts(BiLSTMConfig(word_width=WIDTH, hidden_size=2 * HIDDEN), task, tokenizer)
    network = build(for_task(config, task, tokenizer), task.kind, seed)
    overlap = 16 if task.kind == "question_answering" else None
    return network, encode(task.validation["validation"], task, tokenizer, 64, overlap)


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
    ours = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
    weights = dict(network.bilstm.ahead.named_parameters())
    weights |= {f"{name}_reverse": weight for name, weight in network.bilstm.back.named_parameters()}
    ours.load_state_dict(weights)
    words, lengths = torch.randn(3, 7, WIDTH), torch.tensor([7, 1, 4])
    packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(ours(packed)[0], batch_first=True)
    mask = torch.arange(7) < lengths[:, None]
    states = network.bilstm._states(words, mask)
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
    weights = list(network.bilstm.ahead.parameters())
    pieces = torch.cat([weight.data.flatten() for weight in weights]).split([w.numel() for w in weights])
    for weight, piece in zip(weights, pieces, strict=True):
        weight.data = piece.view_as(weight)
    save_model(network, str(tmp_path / "weights"))
    saved = load_file(tmp_path / "weights")
    assert all(torch.equal(saved[name], weight) for name, weight in network.named_parameters())
