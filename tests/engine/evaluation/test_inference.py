"""Running a model over a whole split: every example in its place, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.evaluation import inference
from engine.evaluation.inference import encode_held_out, evaluating, logits_of, scores_on, timing
from engine.evaluation.scores import predictions, scores
from engine.models.forward import accepted_inputs, forward
from engine.models.load import build, for_task
from engine.pipeline import Training
from engine.tokens.examples import encode
from tests.tokenizers import wordpiece
from tests.toys import ROWS, perturb, tiny_config, toy_task

KINDS = [name for name in ROWS if name != "pair"]


def scene(name: str, rows: int = 21):
    task = toy_task(name, rows=4, held_out=rows)
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, 0)
    perturb(model)
    training = Training(max_length=16, window_overlap=4 if name == "question_answering" else None)
    return task, model, encode_held_out(task, wordpiece(), training)["validation"]


@pytest.mark.parametrize("name", KINDS)
def test_every_example_gets_its_own_logits(name: str, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    task, model, encoded = scene(name)
    monkeypatch.setattr(inference, "EVALUATION_BATCH", 4)
    found = logits_of(model.train(), encoded, task.kind, machine.accelerator)
    assert len(found) == len(encoded)
    assert model.training
    accepted = accepted_inputs(model)
    for index, logits in enumerate(found):
        inputs = {key: value for key, value in encoded.inputs([index]).items() if key in accepted}
        with torch.no_grad():
            alone = forward(model.eval(), inputs, task.kind).logits[0]
        length = encoded.lengths[index]
        alone = alone[:length] if task.token_level else alone
        assert logits.shape == alone.shape
        np.testing.assert_allclose(logits, alone.numpy(), rtol=1e-4, atol=1e-5)


def test_a_long_context_is_read_in_windows(machine: Machine) -> None:
    task, model, _ = scene("question_answering")
    rows = task.validation["validation"].map(lambda row: {"context": " ".join([row["context"]] * 3)})
    encoded = encode(rows, task, wordpiece(), 16, 4)
    assert len(encoded) > len(rows)
    assert len(predictions(task, encoded, logits_of(model, encoded, task.kind, machine.accelerator))) == len(rows)


@pytest.mark.parametrize("name", KINDS)
def test_scores_of_the_sets_that_are_wanted(name: str, machine: Machine) -> None:
    task, model, encoded = scene(name)
    found = scores_on(model, task, {"validation": encoded}, machine.accelerator)
    answers = predictions(task, encoded, logits_of(model, encoded, task.kind, machine.accelerator))
    assert found == {"validation": scores(task, task.validation["validation"], answers)}
    assert [*found["validation"]] == [*task.metrics]
    assert scores_on(model, task, {}, machine.accelerator) == {}


def test_in_bf16_logits_are_float32_and_close(options: RunOptions) -> None:
    task, model, encoded = scene("single")
    machines = [machine_for(options.model_copy(update={"precision": name})) for name in ("float32", "bf16")]
    exact = logits_of(model, encoded, task.kind, machine_for(options).accelerator)
    rounded = logits_of(model, encoded, task.kind, machine_for(machines[1].options).accelerator)
    assert {logits.dtype for logits in [*exact, *rounded]} == {np.dtype(np.float32)}
    assert any(not np.array_equal(a, b) for a, b in zip(exact, rounded, strict=True))
    np.testing.assert_allclose(np.stack(exact), np.stack(rounded), atol=0.1)


def test_evaluation_leaves_the_mode_as_it_was() -> None:
    model = torch.nn.Dropout()
    for mode in (True, False):
        model.train(mode)
        with pytest.raises(KeyError), evaluating(model):
            assert not model.training
            assert not torch.is_grad_enabled()
            raise KeyError
        assert model.training == mode
        assert torch.is_grad_enabled()


@pytest.mark.parametrize("rows", [1, 3, 70])
def test_timing(rows: int) -> None:
    task, model, encoded = scene("single", rows)
    sizes = []
    model.register_forward_pre_hook(lambda _, __, inputs: sizes.append(len(inputs["input_ids"])), with_kwargs=True)
    latency, throughput = timing(model.train(), encoded, task.kind, torch.device("cpu"))
    assert 0 < latency < 1000
    assert throughput > 0
    assert sizes.count(1) >= min(rows, 20)
    assert max(sizes) == min(rows, inference.THROUGHPUT_BATCH)
    assert model.training
