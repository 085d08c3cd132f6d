"""LoRA beside a model's weights, and layers that are computed again."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoConfig
from transformers.pytorch_utils import Conv1D

from engine.models.adapters import adapted, checkpointing_gradients
from engine.models.forward import forward
from engine.models.load import build, for_task
from tests.tokenizers import wordpiece
from tests.toys import tiny_config, toy_task

ENCODERS = ("bert", "roberta", "distilbert", "albert", "deberta-v2", "modernbert")
DECODERS = ("gpt2", "llama")
INPUTS = {"input_ids": torch.tensor([[2, 9, 8, 7, 3]]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}


def built(architecture: str = "bert", kind: str = "single", seed: int = 0):
    task = toy_task(kind, rows=8, held_out=8)
    config = tiny_config(architecture) if architecture in ENCODERS else tiny_decoder(architecture)
    config = for_task(config, task, wordpiece())
    return build(config, task.kind, seed).eval(), task


def tiny_decoder(architecture: str):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return AutoConfig.for_model(architecture, vocab_size=300, pad_token_id=0, **sizes)


def step(model: nn.Module, kind: str = "classification") -> None:
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.5)
    for _ in range(2):  # in the first one A gets no gradient, as B is 0
        forward(model, INPUTS, kind).logits.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("architecture", [*ENCODERS, *DECODERS])
def test_what_was_learned_beside_the_weights_is_in_them_in_the_end(architecture: str) -> None:
    model, task = built(architecture)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    modules = {name: type(module) for name, module in model.named_modules()}
    inside = f"{model.base_model_prefix}."
    with torch.no_grad():
        untouched = forward(model, INPUTS, task.kind).logits
    with adapted(model, 2, seed=0):
        assert torch.equal(forward(model, INPUTS, task.kind).logits, untouched)  # B is 0
        step(model)
        learned = forward(model, INPUTS, task.kind).logits.detach()
    after = model.state_dict()
    assert {name: type(module) for name, module in model.named_modules()} == modules
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(forward(model, INPUTS, task.kind).logits.detach(), learned, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(learned, untouched)
    ranks = {
        name: int(torch.linalg.matrix_rank(values - before[name], atol=1e-6))
        for name, values in after.items()
        if name.startswith(inside) and values.ndim == 2 and not torch.equal(values, before[name])
    }
    assert ranks
    assert max(ranks.values()) <= 2
    still = {name for name in after if name.startswith(inside) and torch.equal(after[name], before[name])}
    assert any("embed" in name or "wte" in name for name in still)
    assert all(values.ndim == 2 or name in still for name, values in after.items() if name.startswith(inside))


def test_nothing_is_adapted_without_a_rank() -> None:
    model, _ = built()
    names = [name for name, _ in model.named_modules()]
    with adapted(model, None, seed=0):
        assert [name for name, _ in model.named_modules()] == names
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_seed_decides_the_matrices() -> None:
    def first(seed: int) -> torch.Tensor:
        model, _ = built()
        with adapted(model, 2, seed):
            return next(values.clone() for name, values in model.named_parameters() if "lora_A" in name)

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("architecture", ["bert", "distilbert", "modernbert", *DECODERS])
def test_layers_that_are_computed_again_give_the_same_gradients(architecture: str, rank: int | None) -> None:
    def gradients(whether: bool) -> tuple[dict[str, torch.Tensor], int]:
        model, task = built(architecture)
        calls: list[int] = []
        inside = [
            module for name, module in model.named_modules() if ".0." in name and isinstance(module, nn.Linear | Conv1D)
        ]
        inside[0].register_forward_hook(lambda *_: calls.append(1))
        with adapted(model.train(), rank, seed=0), checkpointing_gradients(model, whether):
            torch.manual_seed(0)
            forward(model, INPUTS, task.kind).logits.square().sum().backward()
            found = {name: values.grad for name, values in model.named_parameters() if values.grad is not None}
        return found, len(calls)

    (plain, once), (again, twice) = gradients(False), gradients(True)
    assert twice == 2 * once
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[name], again[name]) for name in plain)
