"""Linear layers of 8-bit integers against the plain ones."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from engine.base.errors import InputError
from engine.models.int8 import Int8Linear, in_int8
from engine.models.load import build
from tests.toys import tiny_config


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Each row on its own grid of 255 numbers, by the definition."""
    rows = []
    for row in values.reshape(-1, values.shape[-1]).double():
        step = max(float(row.abs().max()), 1e-12) / 127
        rows.append(torch.tensor([round(float(value) / step) * step for value in row]))
    return torch.stack(rows).reshape(values.shape)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 4, 5), (33, 5)], ids=str)
def test_a_layer_is_the_product_of_rounded_factors(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(5, 7, bias), torch.randn(shape) * 3
    expected = rounded(inputs) @ rounded(layer.weight.detach()).T + (layer.bias.detach() if bias else 0)
    found = Int8Linear(layer)(inputs)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=1e-5)


def test_zeros_and_unequal_rows() -> None:
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight[0] = 0.0
    inputs = torch.tensor([[0.0] * 4, [1e4, -1e4, 0.0, 1.0], [1e-4, 2e-4, 0.0, -1e-4]])
    found, exact = Int8Linear(layer)(inputs), layer(inputs).detach()
    torch.testing.assert_close(found[:, 0], exact[:, 0], rtol=0, atol=0)
    assert ((found - exact).norm(dim=-1) <= 0.02 * inputs.norm(dim=-1) * layer.weight.norm()).all()


def test_under_mixed_precision_too() -> None:
    layer = Int8Linear(nn.Linear(8, 3))
    inputs = torch.randn(6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(inputs.bfloat16()).dtype == torch.float32
        torch.testing.assert_close(layer(inputs), layer(inputs.float()), rtol=0, atol=0)


def test_a_model_changes_but_for_its_head_and_shares_the_rest() -> None:
    model = build(tiny_config(hidden_size=32, intermediate_size=64), "classification", seed=0).eval()
    before = copy.deepcopy(model.state_dict())
    eight = in_int8(model)
    kinds = [type(each) for each in eight.base_model.modules()]
    assert nn.Linear not in kinds
    assert Int8Linear in kinds
    assert eight.classifier.weight is model.classifier.weight
    assert eight.get_input_embeddings().weight is model.get_input_embeddings().weight
    inputs = {"input_ids": torch.randint(5, 20, (3, 9)), "attention_mask": torch.ones(3, 9, dtype=torch.long)}
    with torch.no_grad():
        exact, found = (each(**inputs, output_hidden_states=True) for each in (model, eight))
    assert not torch.equal(found.logits, exact.logits)
    for ours, theirs in ((found.logits, exact.logits), (found.hidden_states[-1], exact.hidden_states[-1])):
        assert (ours - theirs).norm() < 0.05 * theirs.norm()
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name])


def test_a_model_without_linear_layers_is_refused() -> None:
    config = AutoConfig.for_model("gpt2", vocab_size=99, n_embd=8, n_layer=1, n_head=1, num_labels=2, pad_token_id=0)
    with pytest.raises(InputError, match="--int8-teacher: this model has no linear layers.*gpt2"):
        in_int8(build(config, "classification", 0))
