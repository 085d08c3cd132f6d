"""A Bi-LSTM as a model type of transformers: a student that a transformer teaches (Tang et al. 2019), and the network
of a dataset's Bi-LSTM score.

Decided here: one bidirectional LSTM layer over word vectors, and an output layer on what is read of its states. It
counts as one layer, whose states are as wide as both directions together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_outputs import BaseModelOutput, QuestionAnsweringModelOutput, TokenClassifierOutput
from transformers.utils import ModelOutput

from engine.models.own import FIRST, NEITHER, SECOND, OwnModel, register


@strict
class BiLSTMConfig(PretrainedConfig):
    """Size of the network.

    `hidden_size` is the width of its states, both directions together; `word_width` that of a word's vector; `spread`
    the standard deviation of its numbers at the start. The product of a word with itself is then about 9, with another
    one 0 ± 0.9: equal words of two texts find each other before anything is learned.
    """

    model_type = "autodistiller_bilstm"

    vocab_size: int = 8000
    word_width: int = 100
    spread: float = 0.3
    hidden_size: int = 128
    num_hidden_layers: int = 1
    dropout: float = 0.3
    two_texts: bool = False
    added_ids: list[int] | tuple[int, ...] = ()
    unk_token_id: int | None = None
    pad_token_id: int | None = None


class _BiLSTM(OwnModel):
    config_class = BiLSTMConfig
    base_model_prefix = "bilstm"
    main_input_name = "input_ids"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.spread)
        elif isinstance(module, nn.Linear | nn.LSTM):
            module.reset_parameters()


class BiLSTMModel(_BiLSTM):
    """Two LSTMs over word vectors, one from the left and one from the right.

    Equation: of two texts, each word x sees beside its own vector |x − a|, its difference from the mean of the other
        text's words y, weighted by likeness: a = Σ_y softmax_y(x · y) y (Parikh et al. 2016).
    """

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.word_width)
        seen, hidden = config.word_width * (1 + config.two_texts), config.hidden_size // 2
        self.ahead = nn.LSTM(seen, hidden, batch_first=True)
        self.back = nn.LSTM(seen, hidden, batch_first=True)
        self.dropout = nn.Dropout1d(config.dropout)
        self.register_state_dict_post_hook(_copied)
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
        """The states (B, N, width) of a batch of tokens (B, N), and its hidden states: what it reads, and these.

        Args:
            inputs_embeds: (B, N, word width) in place of tokens, with `texts`, which then cannot be seen.
        """
        if texts is None:
            assert input_ids is not None
            texts = self.texts(input_ids, attention_mask, token_type_ids)
        with torch.autocast(texts.device.type, enabled=False):
            words = self.words(input_ids) if inputs_embeds is None else inputs_embeds.float()
            if self.config.two_texts:
                words = torch.cat([words, (words - attended(words, texts == FIRST, texts == SECOND)).abs()], dim=-1)
            states = self._dropped(self._states(self._dropped(words), texts != NEITHER))
        return BaseModelOutput(last_hidden_state=states, hidden_states=(words, states))

    def _states(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, N, 2 · hidden): what the LSTM has read up to each word, from the left and from the right.

        Two LSTMs, one on the words turned around in front of their padding: torch's bidirectional one would begin
        with the padding, and on packed sequences it takes 2 to 20 times as long on a CPU.
        """
        position, length = torch.arange(mask.shape[1], device=mask.device), mask.sum(1, keepdim=True)
        turned = torch.where(position < length, length - 1 - position, position).unsqueeze(-1)
        ahead, _ = self.ahead(words)
        back, _ = self.back(_moved(words, turned))
        return torch.cat([ahead, _moved(back, turned)], dim=-1)

    def _dropped(self, values: Tensor) -> Tensor:
        """Dropout of the same numbers in all words of a text (Gal and Ghahramani 2016)."""
        return self.dropout(values.transpose(1, 2)).transpose(1, 2)


def _moved(words: Tensor, places: Tensor) -> Tensor:
    """At each place of a text (B, N, 1) the word (B, N, width) of another one; ONNX has no `take_along_dim`."""
    return words.gather(1, places.expand(-1, -1, words.shape[2]))


def attended(words: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """For each word (B, N, width) the mean of the other text's words, weighted by likeness; at padding, any value.

    `first` and `second` (B, N) are true where a word belongs to this text.
    """
    of_first = first.unsqueeze(2)  # no `torch.where` of booleans: onnxruntime has none
    other = of_first & second.unsqueeze(1) | ~of_first & first.unsqueeze(1)
    likeness = (words @ words.transpose(1, 2)).masked_fill(~other, torch.finfo(words.dtype).min)
    return likeness.softmax(dim=-1) @ words


def _copied(network: nn.Module, state: dict[str, Tensor], *_: Any) -> None:
    """On a GPU an LSTM's weights are views of one tensor, and safetensors saves no views."""
    state.update({name: tensor.clone() for name, tensor in state.items()})


def _largest(states: Tensor, mask: Tensor) -> Tensor:
    """(B, width): each number's maximum over the words of a text; 0 where it has none."""
    largest = states.masked_fill(~mask.unsqueeze(-1), torch.finfo(states.dtype).min).amax(dim=1)
    return torch.where(mask.any(1, keepdim=True), largest, 0.0)


def _two_texts(states: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """[u, v, |u − v|, u ∘ v] of two texts (Conneau et al. 2017)."""
    u, v = _largest(states, first), _largest(states, second)
    return torch.cat([u, v, (u - v).abs(), u * v], dim=-1)


def _with_question(states: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """[h, q, h ∘ q] of each word's state and the question."""
    question = _largest(states, first).unsqueeze(1).expand_as(states)
    return torch.cat([states, question, states * question], dim=-1)


READ: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], int]] = {
    "single": (lambda states, first, second: _largest(states, first | second), 1),
    "pair": (_two_texts, 4),
    "tagging": (lambda states, first, second: states, 1),
    "question_answering": (_with_question, 3),
}
"""Shape of the task → what the output layer reads of states, first and second text; its width in states."""


class _WithHead(_BiLSTM):
    """A Bi-LSTM with an output layer for tasks of a shape."""

    def __init__(self, config: BiLSTMConfig, shape: str):
        super().__init__(config)
        self.bilstm = BiLSTMModel(config)
        self.read, parts = READ[shape]
        self.output = nn.Linear(parts * config.hidden_size, config.num_labels)
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
    ) -> ModelOutput:
        """The logits of a batch of tokens (B, N); arguments as in `BiLSTMModel`."""
        if texts is None:
            assert input_ids is not None
            texts = self.texts(input_ids, attention_mask, token_type_ids)
        body = self.bilstm(input_ids, inputs_embeds=inputs_embeds, texts=texts)
        with torch.autocast(texts.device.type, enabled=False):
            logits = self.output(self.read(body.last_hidden_state, texts == FIRST, texts == SECOND))
        return self.said(logits, body.hidden_states if output_hidden_states else None)

    def said(self, logits: Tensor, hidden: tuple[Tensor, ...] | None) -> ModelOutput:
        """Logits as transformers gives them for this head."""
        return TokenClassifierOutput(logits=logits, hidden_states=hidden)


class BiLSTMForSequenceClassification(_WithHead):
    """Answers a text, or two."""

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config, "pair" if config.two_texts else "single")


class BiLSTMForTokenClassification(_WithHead):
    """Answers each token of a text."""

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config, "tagging")


class BiLSTMForQuestionAnswering(_WithHead):
    """Answers each token of question and context: whether the answer begins or ends there."""

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config, "question_answering")

    def said(self, logits: Tensor, hidden: tuple[Tensor, ...] | None) -> ModelOutput:
        """The two logits apart."""
        start, end = logits.unbind(-1)
        return QuestionAnsweringModelOutput(start_logits=start, end_logits=end, hidden_states=hidden)


register(
    BiLSTMConfig,
    BiLSTMModel,
    *(BiLSTMForSequenceClassification, BiLSTMForTokenClassification, BiLSTMForQuestionAnswering),
)
