"""A language model's answers at some places of its texts alone."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def logits_at(places: Tensor, model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """A language model's logits (M, vocabulary) at the places that a mask (B, N) names, row by row.

    Its head, most of the work of a small model, is given the hidden states of these places alone: no head looks at
    another place. Where the body shows no hidden state for each token, the head answers everywhere.
    """

    def chosen(_: nn.Module, __: object, output: Any) -> None:
        states = getattr(output, "last_hidden_state", None)
        if states is not None and states.shape[:2] == places.shape:
            output.last_hidden_state = states[places].unsqueeze(0)

    hook = getattr(model, "base_model", model).register_forward_hook(chosen)
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        hook.remove()
    return logits[places] if logits.shape[:2] == places.shape else logits.squeeze(0)
