"""Contextual augmentation: words are masked, and a masked-language model fills them in (Distiller, 3.1)."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.augment.head import logits_at
from engine.augment.passages import CORE, Passage, with_core
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.models.load import position_limit
from engine.pipeline.augmentation import Contextual

BATCH = 64  # texts in one forward pass
LONGEST = 512  # tokens that are read by a model without a limit of its own; later words stay
WORD_STARTS = ("Ġ", "▁")  # how byte-level and SentencePiece vocabularies mark the beginning of a word
CONTINUES = "##"  # how WordPiece marks all other pieces


class MaskedWords:
    """The operator `contextual`: drawn words become whole words, drawn by probability from the model's `top_k` best."""

    def __init__(self, spec: Contextual, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, machine: Machine):
        # Of the machine no more than these: the operator may be sent to another process.
        self.spec, self.tokenizer, self.device = spec, tokenizer, machine.device
        self.half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(machine.precision)
        self.model = model.eval().requires_grad_(False).to(machine.device)
        self.words = whole_words(tokenizer, model.config.vocab_size)
        self.is_word = torch.tensor([bool(word) for word in self.words], device=machine.device)
        self.best = min(spec.top_k, int(self.is_word.sum()))
        if not self.best:
            raise InputError.of("augmentation.contextual.model", "its vocabulary has no whole words", repr(spec.model))
        self.limit = min(tokenizer.model_max_length, position_limit(model.config) or LONGEST)

    def __call__(self, passages: Sequence[Passage], generator: np.random.Generator) -> list[Passage]:
        drawn = [passage.some(self.spec.strength, generator) for passage in passages]
        masked = [self._masked(*pair) for pair in zip(passages, drawn, strict=True)]
        chances = [generator.random(len(indices)) for indices in drawn]
        made: list[Passage] = []
        for begin in range(0, len(passages), BATCH):
            part = slice(begin, begin + BATCH)
            made += map(_filled_in, passages[part], drawn[part], self._words(masked[part], chances[part]))
        return made

    def _masked(self, passage: Passage, indices: np.ndarray) -> str:
        mask = str(self.tokenizer.mask_token)
        words = [word.replace(mask, " ") for word in passage.words]  # the text's own would be filled in as well
        for index in indices:
            words[index] = CORE.sub(lambda _: mask, passage.words[index], count=1)
        return passage.with_words(words).text

    @torch.no_grad()
    def _words(self, texts: Sequence[str], chances: Sequence[np.ndarray]) -> list[list[str]]:
        """For each text the words in place of its masks; fewer where the model reads no further."""
        inputs = self.tokenizer(
            list(texts), truncation=True, max_length=self.limit, padding=True, return_tensors="pt"
        ).to(self.device)
        masks = inputs["input_ids"] == self.tokenizer.mask_token_id
        with torch.autocast(self.device.type, self.half, enabled=self.half is not None):
            logits = logits_at(masks, self.model, inputs)
        counts = masks.sum(1).tolist()
        best = logits.float().masked_fill(~self.is_word, -torch.inf).topk(self.best)
        wanted = [values[:count] for values, count in zip(chances, counts, strict=True)]
        chosen = iter(_drawn(best.values, best.indices, np.concatenate([*wanted, np.zeros(0)])))
        return [[self.words[word] for word in islice(chosen, count)] for count in counts]


def _drawn(logits: Tensor, ids: Tensor, chances: np.ndarray) -> list[int]:
    """One of the ids (M, K) of each row by their probabilities; `chances` are uniform numbers (M,)."""
    sums = logits.softmax(-1).cumsum(-1)
    columns = (sums < torch.from_numpy(chances).to(sums)[:, None]).sum(-1).clamp(max=ids.shape[1] - 1)
    return ids.gather(1, columns[:, None]).squeeze(1).tolist()


def _filled_in(passage: Passage, indices: np.ndarray, words: Sequence[str]) -> Passage:
    changed = list(passage.words)
    for index, word in zip(indices, words, strict=False):
        changed[index] = with_core(changed[index], word)
    return passage.with_words(changed)


def whole_words(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """For each id of a vocabulary the word that it is; empty for pieces of words and everything else."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(min(size, len(tokenizer)))))
    marked = any(token and token.startswith(WORD_STARTS) for token in tokens)
    special = set(tokenizer.all_special_tokens)

    def word_of(token: str | None) -> str:
        if not token or token in special:
            return ""
        begins = token.startswith(WORD_STARTS) if marked else not token.startswith(CONTINUES)
        word = tokenizer.convert_tokens_to_string([token]).strip() if begins else ""
        return word if word.isalpha() else ""

    return [*map(word_of, tokens), *[""] * (size - len(tokens))]
