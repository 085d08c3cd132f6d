"""A causal language model as a classifier: a label is as likely as its word is to go on behind the prompt.

Decided here: how likely a word of several tokens is. It is the sum of their log-likelihoods, each given those before
it, less the same where the prompt holds no text (Zhao et al. 2021, with their texts without content; of words of
several tokens this is the pointwise mutual information of Holtzman et al. 2021). So neither a long word loses by its
length nor a frequent one wins by its frequency, and a mean over tokens, which is no likelihood, is not needed.

The prompt is read once for a batch; tokens of words after the first ones go on from its keys, and what several words
begin with is read once. Texts stand at the right, with padding before them, as in generation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput

from engine.base.errors import InputError, Problem
from engine.models.forward import accepted_inputs
from engine.models.question import Question
from engine.tokens.prompt import following, prompt_tokens, with_prompt

EMPTY = ("N/A", "", "[MASK]")
"""Texts without content (Zhao et al. 2021)."""
Tokens = tuple[int, ...]


class LabelWords(PreTrainedModel):
    """Answers tokens of prompts (B, N) with the logits (B, C) of labels: log-likelihoods of their words, without
    gradients.

    Args:
        causal: The language model, whose weights it shares.
        tokenizer: Of the language model, without a prompt.
        words: The tokens of each label's word.
        positions: Tokens of texts that it can read, where something limits them.
    """

    base_model_prefix = "causal"
    prior: Tensor

    def __init__(
        self,
        causal: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        words: Sequence[Tokens],
        positions: int | None = None,
    ):
        config: PretrainedConfig = copy.deepcopy(causal.config)
        if positions is not None:
            config.max_position_embeddings = positions
        nn.Module.__init__(self)
        self.config, self.causal, self.tokenizer = config, causal, tokenizer
        self.words = tuple(words)
        self.accepted = accepted_inputs(causal)
        self.register_buffer("prior", torch.zeros(len(self.words)), persistent=False)

    @property
    def base_model(self) -> nn.Module:
        """The language model without its output layer."""
        return self.causal.base_model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SequenceClassifierOutput:
        """Logits (B, C), of prompts that are padded at their end."""
        return SequenceClassifierOutput(logits=self.likelihoods(input_ids, attention_mask) - self.prior)

    @torch.no_grad()
    def likelihoods(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, C): Σ_j log p(t_j | prompt, t_1 … t_(j−1)) of the tokens t of each label's word."""
        ids, mask = padded_before(input_ids, attention_mask)
        said = self._read(ids, mask, keep=1, use_cache=True)
        first = said.logits[:, -1].float().log_softmax(-1)
        sums = [first[:, word[0]] for word in self.words]
        for stem in stems(self.words):
            rest = self._behind(ids, mask, stem, getattr(said, "past_key_values", None))
            for label, word in enumerate(self.words):
                if len(word) > 1 and stem[: len(word) - 1] == word[:-1]:
                    steps = torch.arange(len(word) - 1, device=ids.device)
                    later = torch.tensor(word[1:], device=ids.device)
                    sums[label] = sums[label] + rest[:, steps, later].sum(-1)
        return torch.stack(sums, dim=-1)

    def _behind(self, ids: Tensor, mask: Tensor, stem: Tokens, past: Any) -> Tensor:
        """(B, k, V): the log-likelihoods of every token behind each of the k tokens that go on behind the prompts."""
        more = torch.tensor(stem, device=ids.device).expand(len(ids), -1)
        mask = torch.cat([mask, torch.ones_like(more)], dim=1)
        if past is None:  # a model without keys, which reads all of it again
            said = self._read(torch.cat([ids, more], dim=1), mask, keep=len(stem))
        else:
            said = self._read(more, mask, keep=len(stem), past_key_values=copy.deepcopy(past), use_cache=True)
        return said.logits[:, -len(stem) :].float().log_softmax(-1)

    def _read(self, ids: Tensor, mask: Tensor, keep: int, **more: Any) -> Any:
        """One pass of the language model, with the logits of the last `keep` tokens, or more of them."""
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        inputs = {"position_ids": places, "logits_to_keep": keep, **more}
        known = {name: value for name, value in inputs.items() if name in self.accepted}
        return self.causal(input_ids=ids, attention_mask=mask, return_dict=True, **known)


def stems(words: Sequence[Tokens]) -> list[Tokens]:
    """All that is read behind a prompt: of each word the tokens before its last, but not the beginnings of others.

    Example:
        >>> stems([(1,), (2, 3), (2, 4), (2, 3, 5), (7, 8)])
        [(2, 3), (7,)]
    """
    begun = {word[:-1] for word in words if len(word) > 1}
    return sorted(stem for stem in begun if not any(stem != other and other[: len(stem)] == stem for other in begun))


def padded_before(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and mask (B, N) with the padding before the texts, as long as the longest text.

    Example:
        >>> padded_before(torch.tensor([[5, 6, 0], [7, 0, 0]]), torch.tensor([[1, 1, 0], [1, 0, 0]]))[0]
        tensor([[5, 6],
                [7, 7]])
    """
    lengths = mask.sum(1, keepdim=True)
    longest = int(lengths.max())
    places = torch.arange(longest, device=ids.device) - (longest - lengths)
    return ids.gather(1, places.clamp(min=0)), (places >= 0).to(mask.dtype)


def word_tokens(question: Question, tokenizer: PreTrainedTokenizerBase) -> list[Tokens]:
    """The tokens of each label's word, as it goes on behind the prompt.

    Raises:
        InputError: A word has no tokens that the model knows, or two words have the same.
    """
    line = question.prompt.endswith("\n")
    texts = [word if line else f" {word}" for word in question.words]
    found = [tuple(following(tokenizer.backend_tokenizer, "\n" * line, text)) for text in texts]
    problems = []
    for word, tokens in zip(question.words, found, strict=True):
        if not {*tokens} - {tokenizer.unk_token_id}:
            problems.append(Problem("--label-words", "the model's vocabulary has no tokens for this word", repr(word)))
        elif found.count(tokens) > 1:
            what = "the model's vocabulary has the same tokens for another word"
            problems.append(Problem("--label-words", what, repr(word)))
    if problems:
        raise InputError(problems)
    return found


def tokens_beside(question: Question, tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens are read beside the texts: those of the prompt, and of the longest word."""
    return prompt_tokens(with_prompt(tokenizer, question.prompt)) + max(map(len, word_tokens(question, tokenizer)))


def asked(
    causal: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: Question, positions: int | None
) -> tuple[LabelWords, PreTrainedTokenizerBase]:
    """A language model that answers a question, and a tokenizer that puts it.

    Args:
        positions: As in `LabelWords`.
    """
    model = LabelWords(causal, tokenizer, word_tokens(question, tokenizer), positions)
    return model.eval(), with_prompt(tokenizer, question.prompt)


def calibrate(model: LabelWords, prompted: PreTrainedTokenizerBase, pair: bool) -> None:
    """Has a model take off what it says where there is no text: the logarithm of its mean probabilities there."""
    backend, device = prompted.backend_tokenizer, model.causal.device
    encoded = [backend.encode(text, text) if pair else backend.encode(text) for text in EMPTY]
    rows = [torch.tensor(each.ids, device=device).unsqueeze(0) for each in encoded]
    said = torch.cat([model.likelihoods(ids, torch.ones_like(ids)) for ids in rows])
    shares = said.log_softmax(-1)  # logarithms, for those of long words are too small for anything else
    model.prior.copy_(shares.logsumexp(0) - math.log(len(shares)))
