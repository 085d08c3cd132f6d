"""Models that are no transformers, as model types of transformers: the same classes load, save and use them.

Decided here: what they have in common. They read the teacher's tokens, and tell two texts apart by the tokens that its
tokenizer puts between them, for many a tokenizer numbers no texts. They compute in float32, whatever surrounds them:
in bf16 a network as small as these gains nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from engine.data.task import KINDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engine.data.task import Task

NEITHER, FIRST, SECOND = range(3)
"""Which text a token belongs to."""


class OwnModel(PreTrainedModel):
    """What all of them can do: say which token is of which text, and have their word embeddings exchanged."""

    def texts(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Which text each token belongs to: `NEITHER`, `FIRST` or `SECOND`.

        The second text begins behind the first token that the tokenizer adds after a text, as in BERT's token types.
        Those are read as well, for the tokenizers that add nothing.

        Shapes: (B, N) each → (B, N).
        """
        added = self.is_added(input_ids)
        begun = (~added).cumsum(1) > 0
        closed = (added & begun).cumsum(1) - (added & begun).long() > 0
        if token_type_ids is not None:
            closed = closed | (token_type_ids == 1)
        texts = torch.where(closed, SECOND, FIRST)
        return texts if attention_mask is None else texts.masked_fill(attention_mask == 0, NEITHER)

    def is_added(self, input_ids: Tensor) -> Tensor:
        """(B, N), true at tokens that the tokenizer adds to texts."""
        added = torch.tensor(self.config.added_ids, dtype=input_ids.dtype, device=input_ids.device)
        return (input_ids.unsqueeze(-1) == added).any(-1)  # as `torch.isin`, which ONNX has not

    @property
    def _words_in(self) -> PreTrainedModel:
        """The part that has the word embeddings."""
        return self.base_model

    def get_input_embeddings(self) -> nn.Module:
        """The vectors of the vocabulary's tokens."""
        return self._words_in.words

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Puts other vectors in their place."""
        self._words_in.words = value


def added_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The numbers of the tokens that a tokenizer adds to texts; empty where it adds none.

    Raises:
        ValueError: It is no fast tokenizer.
    """
    encoding = tokenizer.backend_tokenizer.encode("a", "a")
    pairs = zip(encoding.ids, encoding.sequence_ids, strict=True)
    return sorted({token for token, sequence in pairs if sequence is None})


def tells_apart(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a model of ours sees where the second of two texts begins: something stands between them, or they have
    types.
    """
    encoding = tokenizer.backend_tokenizer.encode("a", "a")
    sequences = encoding.sequence_ids
    between = sequences[sequences.index(0) : sequences.index(1)]
    return None in between or (1 in encoding.type_ids and "token_type_ids" in tokenizer.model_input_names)


def for_texts(config: PretrainedConfig, task: Task, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """The configuration for what is read: the tokens, and one text or two; changed in place."""
    config.vocab_size, config.added_ids = len(tokenizer), added_ids(tokenizer)
    config.two_texts = task.pair or task.kind == "question_answering"
    config.unk_token_id, config.pad_token_id = tokenizer.unk_token_id, tokenizer.pad_token_id
    return config


def register(config: type[PretrainedConfig], body: Any, *heads: Any) -> None:
    """Makes a model type known to transformers' Auto classes, one for each head by the end of its name."""
    AutoConfig.register(config.model_type, config)
    AutoModel.register(config, body)
    for kind in KINDS.values():
        auto = getattr(transformers, f"AutoModel{kind.head}")
        for head in heads:
            if head.__name__.endswith(kind.head):
                auto.register(config, head, exist_ok=True)
