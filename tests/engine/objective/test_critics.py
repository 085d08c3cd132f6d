"""The critic's towers."""

from __future__ import annotations

import pytest
import torch

from engine.objective import critics
from engine.objective.critics import CRITIC, MLPTowers, StackedLinear, TransformerTowers
from engine.pipeline import MLPCritic, TransformerCritic
from tests.reference import critics as naive

SPECS = {
    "transformer": TransformerCritic(width=16, feed_forward=24, heads=4),
    "mlp": MLPCritic(width=16, feed_forward=24),
}


def build(kind, dtype=torch.float64):
    torch.manual_seed(0)
    return CRITIC[kind](SPECS[kind], 12, 2).to(dtype)


def batch(dtype=torch.float64):
    hidden = torch.randn(2, 3, 5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return hidden.to(dtype), torch.arange(5) < torch.tensor([5, 2, 3])[:, None]


@pytest.mark.parametrize("kind", SPECS)
class TestTowers:
    def test_give_a_vector_of_their_width_per_token(self, kind):
        assert build(kind)(*batch()).shape == (2, 3, 5, 16)

    def test_towers_do_not_see_each_other(self, kind):
        towers, (hidden, mask) = build(kind), batch()
        whole = towers(hidden, mask)
        for member in (0, 1):
            alone = naive.tower(towers, member)(hidden[member], mask)
            torch.testing.assert_close(whole[member], alone)
        assert not torch.allclose(naive.tower(towers, 0)(hidden[1], mask), whole[1])

    def test_samples_do_not_see_each_other_nor_padding(self, kind):
        towers, (hidden, mask) = build(kind), batch()
        whole = towers(hidden, mask)
        alone = towers(hidden[:, 1:2, :2], mask[1:2, :2])
        torch.testing.assert_close(whole[:, 1:2, :2], alone)

    def test_train_and_eval_agree(self, kind):
        towers, (hidden, mask) = build(kind), batch()
        trained = towers(hidden, mask)
        with torch.no_grad():
            torch.testing.assert_close(towers.eval()(hidden, mask), trained)

    def test_a_row_without_tokens_is_finite(self, kind):
        towers, (hidden, mask) = build(kind), batch()
        mask[1] = False
        hidden.requires_grad_()
        towers(hidden, mask).sum().backward()
        assert hidden.grad is not None
        assert hidden.grad.isfinite().all()

    def test_take_sixteen_bits_with_and_without_autocast(self, kind):
        towers, (hidden, mask) = build(kind, torch.float32), batch(torch.bfloat16)
        full = towers(hidden, mask)
        assert full.dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            mixed = towers(hidden, mask)
        torch.testing.assert_close(mixed.float()[:, mask], full[:, mask], atol=0.05, rtol=0.05)

    def test_all_parameters_learn(self, kind):
        towers = build(kind)
        towers(*batch()).square().sum().backward()
        assert all(p.grad is not None and all(map(torch.any, p.grad)) for p in towers.parameters())

    def test_start_as_linear_maps_do(self, kind):
        for part in build(kind).modules():
            if isinstance(part, StackedLinear):
                limit = part.weight.shape[1] ** -0.5
                assert 0.8 * limit < part.weight.abs().max() <= limit
                assert part.bias.abs().max() <= limit
                assert not torch.equal(part.weight[0], part.weight[1])


def test_the_transformer_equals_the_loop_over_members_examples_and_heads():
    towers, (hidden, mask) = build("transformer"), batch()
    for parameter in towers.parameters():  # norms that differ, too
        torch.nn.init.normal_(parameter, std=0.5)
    whole = towers(hidden, mask)
    for member in range(2):
        for row, length in enumerate((5, 2, 3)):
            expected = naive.transformer(towers, member, hidden[member, row, :length], heads=4)
            torch.testing.assert_close(whole[member, row, :length], expected)


def test_the_transformer_looks_at_other_tokens_and_the_perceptron_does_not():
    hidden, mask = batch()
    changed = hidden.clone()
    changed[:, :, 1] += 1
    for towers, looks in ((build("transformer"), True), (build("mlp"), False)):
        same = torch.allclose(towers(hidden, mask)[:, :, 0], towers(changed, mask)[:, :, 0])
        assert same != looks


def test_attention_is_computed_in_full_precision_and_every_row_attends_to_something(monkeypatch):
    towers, (hidden, mask) = build("transformer", torch.float32), batch(torch.float32)
    mask[1] = False
    seen = []

    def spy(query, key, value, attn_mask):
        seen.append((query.dtype, torch.is_autocast_enabled("cpu"), attn_mask))
        return attend(query, key, value, attn_mask=attn_mask)

    attend = critics.F.scaled_dot_product_attention
    monkeypatch.setattr(critics.F, "scaled_dot_product_attention", spy)
    with torch.autocast("cpu", torch.bfloat16):
        towers(hidden, mask)
    for dtype, mixed, attendable in seen:
        assert (dtype, mixed) == (torch.float32, False)
        rows = torch.tensor([[True] * 5, [True] * 5, [True] * 3 + [False] * 2])  # padding only where there is no token
        assert torch.equal(attendable.flatten(1), rows.repeat(2, 1))
    assert len(seen) == len(towers.layers)


@pytest.mark.parametrize("kind", SPECS)
def test_weights_of_sixteen_bits_need_no_autocast(kind):
    given = batch(torch.bfloat16)
    assert build(kind, torch.bfloat16)(*given).dtype == torch.bfloat16


def test_sizes_follow_the_spec():
    (only,) = (part for part in MLPTowers(MLPCritic(layers=1), 12, 5).modules() if isinstance(part, StackedLinear))
    assert tuple(only.weight.shape) == (5, 12, 128)
    assert len(TransformerTowers(TransformerCritic(layers=3), 12, 1).layers) == 3
    parts = [part for part in MLPTowers(MLPCritic(layers=4), 12, 5).modules() if isinstance(part, StackedLinear)]
    assert [tuple(part.weight.shape) for part in parts] == [(5, 12, 512), (5, 512, 512), (5, 512, 512), (5, 512, 128)]
