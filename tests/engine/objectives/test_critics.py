"""The critic's towers and the registry."""

from __future__ import annotations

import pytest
import torch

from engine.layers import MAPPING
from engine.objectives import CRITIC, INTERMEDIATE, PREDICTION
from engine.objectives.critics import MLPTower, TransformerTower
from engine.spec import MLPCritic, TransformerCritic, components

SPECS = {
    "transformer": TransformerCritic(width=16, feed_forward=24, heads=4),
    "mlp": MLPCritic(width=16, feed_forward=24),
}


def test_registries_hold_every_kind_of_the_specs():
    kinds = components()
    assert list(INTERMEDIATE) == kinds["intermediate"]
    assert list(MAPPING) == kinds["mapping"]
    assert list(PREDICTION) == kinds["prediction"]
    assert list(CRITIC) == kinds["critic"] == list(SPECS)


def build(kind, dtype=torch.float64):
    torch.manual_seed(0)
    return CRITIC[kind](SPECS[kind], 12).to(dtype)


def batch(dtype=torch.float64):
    hidden = torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return hidden.to(dtype), torch.arange(5) < torch.tensor([5, 2, 3])[:, None]


@pytest.mark.parametrize("kind", SPECS)
class TestTower:
    def test_gives_a_vector_of_its_width_per_token(self, kind):
        assert build(kind)(*batch()).shape == (3, 5, 16)

    def test_samples_do_not_see_each_other_nor_padding(self, kind):
        tower, (hidden, mask) = build(kind), batch()
        whole = tower(hidden, mask)
        alone = tower(hidden[1:2, :2], mask[1:2, :2])
        torch.testing.assert_close(whole[1:2, :2], alone)

    def test_train_and_eval_agree(self, kind):
        tower, (hidden, mask) = build(kind), batch()
        trained = tower(hidden, mask)
        with torch.no_grad():
            torch.testing.assert_close(tower.eval()(hidden, mask), trained)

    def test_a_row_without_tokens_is_finite(self, kind):
        tower, (hidden, mask) = build(kind), batch()
        mask[1] = False
        hidden.requires_grad_()
        tower(hidden, mask).sum().backward()
        assert hidden.grad is not None
        assert hidden.grad.isfinite().all()

    def test_takes_sixteen_bits_with_and_without_autocast(self, kind):
        tower, (hidden, mask) = build(kind, torch.float32), batch(torch.bfloat16)
        full = tower(hidden, mask)
        assert full.dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            mixed = tower(hidden, mask)
        torch.testing.assert_close(mixed.float()[mask], full[mask], atol=0.05, rtol=0.05)

    def test_all_parameters_learn(self, kind):
        tower = build(kind)
        tower(*batch()).square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in tower.parameters())


def test_the_transformer_looks_at_other_tokens_and_the_perceptron_does_not():
    hidden, mask = batch()
    changed = hidden.clone()
    changed[:, 1] += 1
    for tower, looks in ((build("transformer"), True), (build("mlp"), False)):
        same = torch.allclose(tower(hidden, mask)[:, 0], tower(changed, mask)[:, 0])
        assert same != looks


def test_sizes_follow_the_spec():
    assert len(TransformerTower(TransformerCritic(layers=3), 12).layers) == 3
    linear = [
        part for part in MLPTower(MLPCritic(layers=4), 12).modules() if isinstance(part, torch.nn.Linear)
    ]
    assert [(part.in_features, part.out_features) for part in linear] == [
        (12, 512),
        (512, 512),
        (512, 512),
        (512, 128),
    ]
