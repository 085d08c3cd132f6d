"""The parts of attention that are listened to are those by which a model attends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig

from engine.models.attention import KNOWN, attention_heads, listening
from engine.models.bilstm import BiLSTMConfig
from engine.models.forward import accepted_inputs, forward
from engine.models.int8 import in_int8
from engine.models.load import HEADS, build, for_task
from engine.objective.attention import scores
from tests.engine.models.scenes import batch
from tests.tokenizers import wordpiece
from tests.toys import ARCHITECTURES, perturb, tiny_config, toy_task

TASK = toy_task("single")
PARTS = [(name, layer) for name in ("query", "key", "value") for layer in (1, 4)]


def config_of(model_type: str) -> Any:
    if model_type in ARCHITECTURES:
        return tiny_config(model_type)
    named = "electra" if model_type == "electra" else "roberta" if "roberta" in model_type else "bert"
    sizes = {key: value for key, value in tiny_config(named).to_dict().items() if key != "model_type"}
    return AutoConfig.for_model(model_type, **sizes)


def model_of(model_type: str) -> Any:
    model = build(for_task(config_of(model_type), TASK, wordpiece()), TASK.kind, seed=0).eval()
    perturb(model)
    model.set_attn_implementation("eager")
    return model


def inputs_of(model: Any) -> dict[str, Tensor]:
    accepted = accepted_inputs(model)
    return {name: value for name, value in batch(TASK).items() if name in accepted}


@pytest.mark.parametrize("model_type", KNOWN)
def test_queries_and_keys_give_the_attention_of_every_known_type(model_type: str) -> None:
    model = model_of(model_type)
    inputs = inputs_of(model)
    features = forward(model, inputs, TASK.kind, attention=PARTS)
    assert {*features.attention} == {*PARTS}
    attended = model(**inputs, output_attentions=True).attentions
    heads, mask = attention_heads(model.config), features.mask
    bias: Tensor | float = 0.0
    if model_type == "mpnet":  # by distance, which is not compared
        bias = model.mpnet.encoder.compute_position_bias(features.attention["query", 1])
    for layer in (1, 4):
        scored = scores(features.attention["query", layer], features.attention["key", layer], heads, heads) + bias
        weights = scored.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)
        torch.testing.assert_close(weights, attended[layer - 1], rtol=1e-4, atol=1e-5)
        assert features.attention["value", layer].shape == features.attention["query", layer].shape


def test_all_heads_together_are_as_wide_as_the_hidden_states() -> None:
    for model_type in KNOWN:
        model = model_of(model_type)
        said = forward(model, inputs_of(model), TASK.kind, layers=(1,), attention=PARTS)
        assert {each.shape for each in said.attention.values()} == {said.hidden[1].shape}, model_type


@pytest.mark.parametrize("model_type", ["deberta-v2", "modernbert", "albert"])
def test_others_are_not_known(model_type: str) -> None:
    assert model_type not in KNOWN
    assert type(config_of(model_type)) in HEADS[TASK.kind]._model_mapping


def test_nothing_listens_afterwards_nor_where_nothing_is_asked() -> None:
    model = model_of("bert")
    with pytest.raises(KeyError), listening(model, PARTS):
        raise KeyError
    assert not any(module._forward_hooks for module in model.modules())
    assert forward(model, inputs_of(model), TASK.kind).attention == {}
    with listening(torch.nn.Linear(2, 2), ()) as said:
        assert said == {}


def test_gradients_reach_what_is_listened_to() -> None:
    model = model_of("bert")
    forward(model, inputs_of(model), TASK.kind, attention=[("key", 4)]).attention["key", 4].sum().backward()
    layers = model.bert.encoder.layer
    assert layers[3].attention.self.key.weight.grad.any()
    assert layers[0].attention.self.value.weight.grad.any()
    assert layers[3].attention.self.query.weight.grad is None


def test_a_teacher_of_8_bit_integers_says_nearly_the_same() -> None:
    model = model_of("bert")
    exact, rounded = (
        forward(each, inputs_of(model), TASK.kind, attention=PARTS).attention for each in (model, in_int8(model))
    )
    for part in PARTS:
        assert 0 < (exact[part] - rounded[part]).abs().max() < 0.05 * exact[part].abs().max()


def test_what_has_no_attention_counts_as_one_head() -> None:
    assert attention_heads(BiLSTMConfig()) == 1
    assert attention_heads(tiny_config("distilbert")) == 2
