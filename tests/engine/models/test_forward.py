"""One forward pass of any encoder: layers, logits, and embeddings that are mixed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.models.forward import SHARES, Features, accepted_inputs, blend, faster_attention, forward, mixed_inputs
from engine.models.load import HEADS, build, depth_and_width, for_task
from tests.engine.models.scenes import KINDS, batch
from tests.tokenizers import wordpiece
from tests.toys import ARCHITECTURES, tiny_config, toy_task


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hidden_states_are_counted_from_the_first_layer(architecture: str) -> None:
    task = toy_task("single")
    config = for_task(tiny_config(architecture), task, wordpiece())
    model = build(config, task.kind, seed=0).eval()
    accepted = accepted_inputs(model)
    inputs = {name: value for name, value in batch(task).items() if name in accepted}
    features = forward(model, inputs, task.kind, layers=(1, 4))
    whole = model(**inputs, output_hidden_states=True)
    assert depth_and_width(model.config) == (4, 16)
    assert features.logits.shape == (3, 3)
    assert [*features.hidden] == [1, 4]
    assert all(torch.equal(features.hidden[layer], whole.hidden_states[layer]) for layer in (1, 4))
    assert not torch.equal(features.hidden[1], whole.hidden_states[0])
    assert len(whole.hidden_states) == 5
    assert features.mask.dtype == torch.bool
    assert torch.equal(features.mask, inputs["attention_mask"] == 1)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_its_logits(name: str) -> None:
    task = toy_task(name)
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, seed=0).eval()
    inputs = batch(task)
    features = forward(model, inputs, task.kind, layers=(2,), first=True)
    per_token = inputs["input_ids"].shape[1:] if task.token_level else ()
    assert features.logits.shape == (3, *per_token, task.outputs)
    assert features.hidden[2].shape == (3, 1, 16)
    if task.kind == "question_answering":
        answered = model(**inputs)
        assert torch.equal(features.logits[..., 0], answered.start_logits)
        assert torch.equal(features.logits[..., 1], answered.end_logits)


def test_hidden_states_are_only_made_when_wanted() -> None:
    task = toy_task("single")
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, seed=0)
    asked = []
    model.register_forward_pre_hook(
        lambda _, __, kwargs: asked.append(kwargs["output_hidden_states"]), with_kwargs=True
    )
    assert forward(model, batch(task), task.kind).hidden == {}
    forward(model, batch(task), task.kind, layers=(1,))
    assert asked == [False, True]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("share", [1.0, 0.0])
def test_a_share_of_1_is_the_first_and_of_0_the_second(architecture: str, share: float) -> None:
    task = toy_task("single", rows=4, held_out=2)
    tokenizer = wordpiece()
    config = for_task(tiny_config(architecture, vocabulary=len(tokenizer)), task, tokenizer)
    torch.manual_seed(0)
    model = HEADS[task.kind].from_config(config).eval()
    ids = torch.randint(5, 200, (4, 8))
    mask = (torch.arange(8) < torch.tensor([8, 5, 3, 7])[:, None]).long()
    ids = ids * mask
    whole = forward(model, {"input_ids": ids, "attention_mask": mask}, task.kind).logits
    shares = torch.full((2,), share)
    mixed = forward(model, {"input_ids": ids, "attention_mask": mask, SHARES: shares}, task.kind)
    wanted = slice(0, 2) if share else slice(2, 4)
    torch.testing.assert_close(mixed.logits, whole[wanted], atol=1e-5, rtol=1e-5)
    assert torch.equal(mixed.mask, mask[wanted].bool())


def test_embeddings_are_mixed_and_a_position_of_either_is_there() -> None:
    embedding = torch.nn.Embedding(5, 2)
    model = torch.nn.Module()
    model.get_input_embeddings = lambda: embedding  # type: ignore[assignment]
    inputs = {
        "input_ids": torch.tensor([[1, 0], [2, 3]]),
        "attention_mask": torch.tensor([[1, 0], [1, 1]]),
        "token_type_ids": torch.tensor([[0, 1], [1, 1]]),
        SHARES: torch.tensor([0.25]),
    }
    found = mixed_inputs(model, inputs)
    assert set(found) == {"inputs_embeds", "attention_mask", "token_type_ids"}
    words = embedding.weight
    expected = torch.stack([0.25 * words[1] + 0.75 * words[2], 0.25 * words[0] + 0.75 * words[3]])
    torch.testing.assert_close(found["inputs_embeds"][0], expected)
    assert found["attention_mask"].tolist() == [[1, 1]]
    assert found["token_type_ids"].tolist() == [[0, 1]]


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_attention_that_trains_faster_gives_the_same(architecture: str) -> None:
    task = toy_task("single")
    model = build(for_task(tiny_config(architecture), task, wordpiece()), task.kind, seed=0).eval()
    accepted = accepted_inputs(model)
    inputs = {name: value for name, value in batch(task).items() if name in accepted}
    logits = forward(model, inputs, task.kind).logits
    before = faster_attention(model, torch.device("cpu"))
    assert (before, model.config._attn_implementation) == ("sdpa", "eager")
    torch.testing.assert_close(forward(model, inputs, task.kind).logits, logits)
    assert faster_attention(model, torch.device("cpu")) == "eager"


def test_features_move_as_a_whole() -> None:
    """To another device; here one that holds no numbers."""
    shapes = {"logits": (2, 3), "hidden": (2, 4, 8), "mask": (2, 4)}
    made = Features(torch.zeros(2, 3), {1: torch.zeros(2, 4, 8)}, torch.ones(2, 4, dtype=torch.bool))
    moved = made.to(torch.device("meta"))
    assert {part.device.type for part in (moved.logits, moved.hidden[1], moved.mask)} == {"meta"}
    assert (moved.logits.shape, moved.hidden[1].shape, moved.mask.shape) == tuple(shapes.values())
    assert made.logits.device.type == "cpu"


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_a_blend_is_that_of_the_loop(count: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values, shares = torch.rand(2 * count, width, 2, generator=generator), torch.rand(count, generator=generator)
    rows = [shares[row] * values[row] + (1 - shares[row]) * values[count + row] for row in range(count)]
    torch.testing.assert_close(blend(values, shares), torch.stack(rows))
