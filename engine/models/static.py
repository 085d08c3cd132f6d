"""The mean of a text's token vectors, with a small perceptron on it, as a model type of transformers.

Decided here: the vectors are taken from the teacher, in the form of model2vec (Tulkens and van Dongen 2024), whose
library reads a saved model's vectors. The order of words is lost, so it answers texts and no tokens, and it has no
layer that could be compared with a transformer's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedTokenizerBase
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from engine.models.own import FIRST, NEITHER, SECOND, OwnModel, register

SIF = 1e-4
"""Of the weight a / (a + p) of a token with probability p (Arora et al. 2017); the value is model2vec's."""
UNUSED = "[unused"  # how the names of tokens begin that BERT's vocabulary keeps free


@strict
class StaticConfig(PretrainedConfig):
    """Size of the model: `hidden_size` is the width of a token's vector, `head_width` that of the perceptron."""

    model_type = "autodistiller_static"

    vocab_size: int = 8000
    hidden_size: int = 256
    num_hidden_layers: int = 0
    head_width: int = 256
    dropout: float = 0.3
    two_texts: bool = False
    added_ids: list[int] | tuple[int, ...] = ()
    unk_token_id: int | None = None
    pad_token_id: int | None = None
    normalize: bool = False  # model2vec's, which would divide the mean by its length
    max_length: int | None = None  # model2vec's, which would cut texts


class _Static(OwnModel):
    config_class = StaticConfig
    base_model_prefix = "static"
    main_input_name = "input_ids"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=1.0)
        elif isinstance(module, nn.Linear | nn.LayerNorm):
            module.reset_parameters()

    def texts(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """As for all, but tokens that a tokenizer adds, or puts where it knows nothing, belong to no text."""
        unknown = self.is_added(input_ids) | (input_ids == self.config.unk_token_id)
        return super().texts(input_ids, attention_mask, token_type_ids).masked_fill(unknown, NEITHER)


class StaticModel(_Static):
    """Vectors of tokens, and the mean over those of a text."""

    def __init__(self, config: StaticConfig):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        texts: Tensor | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """The means of first and second text (B, 2, width), 0 where there is none, of tokens (B, N).

        Args:
            inputs_embeds: (B, N, width) in place of tokens, with `texts`, which then cannot be seen.
        """
        if texts is None:
            assert input_ids is not None
            texts = self.texts(input_ids, attention_mask, token_type_ids)
        with torch.autocast(texts.device.type, enabled=False):
            words = self.words(input_ids) if inputs_embeds is None else inputs_embeds.float()
            here = torch.stack([texts == FIRST, texts == SECOND], dim=1).to(words.dtype)
            return BaseModelOutput(here @ words / here.sum(-1, keepdim=True).clamp(min=1), hidden_states=(words,))


class StaticForSequenceClassification(_Static):
    """Answers a text by its mean u, two by [u, v, |u − v|, u ∘ v] (Conneau et al. 2017)."""

    def __init__(self, config: StaticConfig):
        super().__init__(config)
        self.static = StaticModel(config)
        self.norm = nn.LayerNorm(config.hidden_size * (4 if config.two_texts else 1))
        self.hidden = nn.Linear(self.norm.normalized_shape[0], config.head_width)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.head_width, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        texts: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Logits (B, C) of a batch of tokens (B, N); arguments as in `StaticModel`."""
        body = self.static(input_ids, attention_mask, token_type_ids, inputs_embeds, texts)
        u, v = body.last_hidden_state.unbind(1)
        read = torch.cat([u, v, (u - v).abs(), u * v], dim=-1) if self.config.two_texts else u
        with torch.autocast(u.device.type, enabled=False):
            logits = self.output(self.dropout(F.relu(self.hidden(self.norm(self.dropout(read))))))
        return SequenceClassifierOutput(
            logits=logits, hidden_states=body.hidden_states if output_hidden_states else None
        )


register_checkpoint_conversion_mapping(
    StaticConfig.model_type, [WeightRenaming("embeddings", "static.words.weight")], overwrite=True
)  # model2vec's name of the vectors
register(StaticConfig, StaticModel, StaticForSequenceClassification)


def zipf_weights(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The weight of each token (V,) in a mean, float32: a vocabulary stands in the order of its words' frequencies,
    which fall with their ranks (Zipf), and what is frequent says little (SIF). Tokens that stand in no text weigh 0.
    """
    no_word = {token for token, number in tokenizer.get_vocab().items() if token.startswith(UNUSED)}
    no_word |= {*tokenizer.all_special_tokens}
    numbers = sorted(number for token, number in tokenizer.get_vocab().items() if token not in no_word)
    chance = 1 / np.arange(2, len(numbers) + 2)
    weights = np.zeros(len(tokenizer), dtype=np.float32)
    weights[numbers] = SIF / (SIF + chance / chance.sum())
    return weights
