"""Models from scratch: BERT encoders of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import AutoConfig

from engine.models.names import Scratch

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def scratch_config(name: Scratch, vocabulary: int, pad: int) -> PretrainedConfig:
    """A BERT configuration of the size that `scratch:` names; feed-forward is 4 times hidden."""
    return AutoConfig.for_model(
        "bert",
        vocab_size=vocabulary,
        pad_token_id=pad,
        num_hidden_layers=name.layers,
        hidden_size=name.hidden,
        num_attention_heads=name.heads,
        intermediate_size=4 * name.hidden,
    )
