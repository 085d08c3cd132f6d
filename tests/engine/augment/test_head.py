"""The head at some places alone: for every encoder what the whole forward pass says there."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM

from engine.augment.head import logits_at
from tests.toys import ARCHITECTURES, tiny_config


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(4, 9), (1, 9)], ids=str)
def test_the_head_sees_the_masked_places_alone_and_says_what_it_said_of_them(
    architecture: str, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(tiny_config(architecture)).double().eval()
    sizes: list[torch.Size] = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape))
    inputs = {"input_ids": torch.randint(5, 300, shape), "attention_mask": torch.ones(shape, dtype=torch.long)}
    for share in (0.0, 0.3, 1.0):
        places = torch.rand(shape) < share
        whole = model(**inputs).logits[places]
        sizes.clear()
        found = logits_at(places, model, inputs)
        torch.testing.assert_close(found, whole)
        assert [size.numel() // size[-1] for size in sizes] == [int(places.sum())]
    torch.testing.assert_close(model(**inputs).logits.shape[:2], torch.Size(shape))  # as it was


def test_a_body_that_does_not_show_a_hidden_state_a_token_is_read_whole() -> None:
    """Perceiver's knows its latents alone, and its decoder asks for all places."""
    sizes = {"num_latents": 4, "d_latents": 16, "d_model": 16, "num_blocks": 1, "num_self_attends_per_block": 1}
    heads = {"num_self_attention_heads": 1, "num_cross_attention_heads": 1, "qk_channels": 16, "v_channels": 16}
    config = AutoConfig.for_model("perceiver", vocab_size=300, max_position_embeddings=6, **sizes, **heads)
    model = AutoModelForMaskedLM.from_config(config).eval()
    inputs, places = {"inputs": torch.randint(5, 300, (2, 6))}, torch.arange(12).reshape(2, 6) % 3 == 0
    torch.testing.assert_close(logits_at(places, model, inputs), model(**inputs).logits[places])
