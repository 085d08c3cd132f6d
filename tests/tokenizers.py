"""The three kinds of tokenizer that are in use, trained on the spot on a few sentences."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = (
    "The quick brown fox jumps over the lazy dog while seven wizards watch from the old stone bridge.",
    "A teacher explains the lesson twice, and the student answers every question without hesitation.",
    "In 1984 the committee of Zurich decided that 3.5 million francs were not enough for the railway.",
    "Café owners in Málaga don't serve naïve tourists cold coffee after nine o'clock in the evening.",
    "What a wonderful, moving film! I would gladly watch it again with my whole family tomorrow.",
    "The worst service imaginable; nobody answered the telephone and the room was dirty and cold.",
    "Who wrote the first symphony? Johann wrote it in Vienna, where he had lived since his childhood.",
    "Scientists measured the temperature of the ocean near Antarctica and published their results.",
)


def trained_once(train: Callable[..., PreTrainedTokenizerFast]) -> Callable[..., PreTrainedTokenizerFast]:
    """A copy for each test: a tokenizer keeps what it was last told to cut and to pad."""
    trained = cache(train)

    @wraps(train)
    def copied(*args: Any, **kwargs: Any) -> PreTrainedTokenizerFast:
        return copy.deepcopy(trained(*args, **kwargs))

    return copied


@trained_once
def wordpiece(texts: tuple[str, ...] = CORPUS, size: int = 300) -> PreTrainedTokenizerFast:
    """BERT's: lower case without accents, WordPiece, `[CLS] A [SEP] B [SEP]`, token types."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _roberta_like(backend: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
    )


def _byte_level(texts: tuple[str, ...], size: int, special: list[str]) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return backend


@trained_once
def byte_bpe(texts: tuple[str, ...] = CORPUS, size: int = 450) -> PreTrainedTokenizerFast:
    """RoBERTa's: byte-level BPE, `<s> A </s></s> B </s>`; offsets include the leading space."""
    backend = _byte_level(texts, size, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return _roberta_like(backend)


@trained_once
def bare_bpe(texts: tuple[str, ...] = CORPUS, size: int = 400) -> PreTrainedTokenizerFast:
    """GPT-2's: byte-level BPE with no template and no padding token."""
    end = "<|endoftext|>"
    backend = _byte_level(texts, size, [end])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=end, model_max_length=512)


@trained_once
def unigram(texts: tuple[str, ...] = CORPUS, size: int = 250) -> PreTrainedTokenizerFast:
    """XLM-R's: what SentencePiece trains by default, `<s> A </s></s> B </s>`."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _roberta_like(backend)


KINDS = {"wordpiece": wordpiece, "byte_bpe": byte_bpe, "unigram": unigram}
"""Name → builder; for `pytest.mark.parametrize`."""
