"""Models from scratch have the size of their name."""

from __future__ import annotations

import pytest

from engine.models.load import build, for_task, parameter_count, size_mb
from engine.models.names import Scratch
from engine.models.scratch import scratch_config
from tests.tokenizers import wordpiece
from tests.toys import toy_task


def test_scratch_has_the_size_of_its_name() -> None:
    task = toy_task("single")
    config = scratch_config(Scratch(layers=3, hidden=24, heads=2), vocabulary=50, pad=7)
    model = build(for_task(config, task, wordpiece()), task.kind, seed=0)
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (3, 24, 2)
    assert (config.intermediate_size, config.vocab_size, config.pad_token_id) == (96, 50, 7)
    assert parameter_count(model) == sum(value.numel() for value in model.state_dict().values())
    assert size_mb(model) == pytest.approx(4 * parameter_count(model) / 1e6)
