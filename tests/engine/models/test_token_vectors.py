"""What a teacher says of each token: against a loop over tokens, turned, kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.base.machine import Machine
from engine.models.start import Model, begin
from engine.models.token_vectors import read_vectors, token_vectors, turned
from tests.engine.models.scenes import starts
from tests.toys import toy_task


@pytest.fixture
def teacher(machine: Machine) -> Model:
    network, tokenizer = begin(starts("scratch:layers=2,hidden=16,heads=2", "lstm")[0], toy_task("single"), 0, machine)
    for name, weight in network.named_parameters():  # as if it had learned
        torch.nn.init.normal_(weight, std=0.3) if "weight" in name else None
    return network, tokenizer


def test_vectors_are_the_teachers_of_each_token_between_those_that_are_added(teacher: Model, machine: Machine) -> None:
    network, tokenizer = teacher
    network.eval()
    with torch.no_grad():
        alone = [
            network.base_model(torch.tensor([[tokenizer.cls_token_id, token, tokenizer.sep_token_id]]))
            .last_hidden_state[0]
            .mean(0)
            for token in range(len(tokenizer))
        ]
    expected = turned(torch.stack(alone).numpy())[:, :5]
    found = token_vectors(network, tokenizer, 5, machine)
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=0.01)
    assert not network.training


def test_what_the_teacher_reads_is_turned_and_scaled(teacher: Model) -> None:
    network, tokenizer = teacher
    table = network.get_input_embeddings().weight.detach().numpy()
    found = read_vectors(network, len(tokenizer), 6)
    assert found is not None
    assert found.std() == pytest.approx(1, abs=1e-4)
    centred = table - table.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    expected = centred @ axes[:6].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected / expected.std()), atol=1e-3)
    assert read_vectors(network, len(tokenizer), 17) is None
    longer = read_vectors(network, len(tokenizer) + 2, 6)
    assert longer is not None
    assert (longer[-2:] == 0).all()


def test_turned_vectors_are_as_far_from_each_other_as_before() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 4)) * [1, 5, 2, 0.1] + 3
    found = turned(vectors)
    before, after = (np.linalg.norm(each[:, None] - each, axis=-1) for each in (vectors, found))
    np.testing.assert_allclose(after, before)
    assert (np.diff(found.std(0)) < 0).all()


def test_a_teacher_is_asked_once(teacher: Model, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = token_vectors(*teacher, 8, machine)
    monkeypatch.setattr("engine.models.token_vectors._alone", lambda *_: pytest.fail("asked again"))
    assert np.array_equal(token_vectors(*teacher, 4, machine), first[:, :4])
    with torch.no_grad():
        next(teacher[0].parameters()).add_(1)
    with pytest.raises(pytest.fail.Exception, match="asked again"):
        token_vectors(*teacher, 8, machine)
