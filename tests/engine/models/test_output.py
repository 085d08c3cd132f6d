"""The output layer: it holds the unit of a model's answers, whatever the architecture, and computes exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from engine.base.errors import InputError
from engine.data.task import NO_UNIT, Unit
from engine.models.forward import accepted_inputs, forward
from engine.models.load import build, for_task, load_pretrained, save_model
from engine.models.output import change_unit, divide_outputs, output_layer
from engine.tokens.examples import encode
from tests.tokenizers import wordpiece
from tests.toys import ARCHITECTURES, perturb, tiny_config, toy_task

TASK = toy_task("regression", rows=12, held_out=4)
PRICES = Unit(5e4, 1e4)


def answering(architecture: str = "bert"):
    """A model of the task, and how it answers the first rows."""
    tokenizer = wordpiece()
    model = build(for_task(tiny_config(architecture, vocabulary=len(tokenizer)), TASK, tokenizer), TASK.kind, seed=0)
    perturb(model)
    inputs = encode(TASK.train, TASK, tokenizer, 24).inputs(range(12))

    @torch.no_grad()
    def answers(model) -> torch.Tensor:
        accepted = {name: values for name, values in inputs.items() if name in accepted_inputs(model)}
        return forward(model.eval(), accepted, TASK.kind).logits.double()

    return model, answers


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_plain_transformers_answers_in_the_unit(architecture: str, tmp_path: Path) -> None:
    model, answers = answering(architecture)
    before = answers(model)
    change_unit(model, PRICES)
    save_model(model, wordpiece(), tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(answers(plain), 5e4 + 1e4 * before, rtol=1e-6, atol=1e-2)
    change_unit(model, PRICES.inverse)
    torch.testing.assert_close(answers(model), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("width", [16, 3])
def test_plain_transformers_answers_logits_over_the_temperature(architecture: str, width: int, tmp_path: Path) -> None:
    """Also where other layers give as many numbers as there are classes."""
    task = toy_task("single", rows=12, held_out=4)
    config = for_task(tiny_config(architecture, vocabulary=len(wordpiece())), task, wordpiece())
    for name in ("intermediate_size", "hidden_dim"):
        if hasattr(config, name):
            setattr(config, name, width)
    model = build(config, task.kind, seed=0).eval()
    perturb(model)
    inputs = encode(task.train, task, wordpiece(), 24).inputs(range(12), accepted=accepted_inputs(model))
    with torch.no_grad():
        before = model(**inputs).logits
        assert divide_outputs(model, 3, 2.5)
        save_model(model, wordpiece(), tmp_path)
        after = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()(**inputs).logits
    torch.testing.assert_close(after * 2.5, before, rtol=1e-5, atol=1e-5)


def test_a_model_without_an_output_layer_holds_no_temperature() -> None:
    assert not divide_outputs(torch.nn.Sequential(torch.nn.Linear(4, 4)), 3, 2.0)


def test_without_a_unit_nothing_changes() -> None:
    model, _ = answering()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    change_unit(model, NO_UNIT)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_mixed_precision_tells_answers_apart(tmp_path: Path) -> None:
    """Around 2,000 the numbers of bf16 are 8 apart."""
    model, answers = answering()
    before = answers(model)
    change_unit(model, Unit(2000.0, 0.5))
    save_model(model, wordpiece(), tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    for each in (model, load_pretrained(str(tmp_path), config, TASK.kind, 0, "teacher", new_head=False)):
        with torch.autocast("cpu", torch.bfloat16):
            mixed = answers(each)
        torch.testing.assert_close(mixed, 2000 + 0.5 * before, rtol=0, atol=0.02)


def test_a_head_without_a_bias_is_an_error() -> None:
    config = AutoConfig.for_model("gpt2", vocab_size=99, n_embd=8, n_layer=1, n_head=1, num_labels=1, pad_token_id=0)
    with pytest.raises(InputError, match="no single output layer with a bias.*GPT2ForSequenceClassification"):
        change_unit(build(config, "regression", 0), PRICES)


def test_several_layers_that_could_be_the_output_are_none() -> None:
    config = for_task(tiny_config(hidden_size=18, intermediate_size=3), toy_task("single"), wordpiece())
    model = build(config, "classification", seed=0)
    assert output_layer(model, 3) is None
