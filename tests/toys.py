"""Tasks that a tiny model learns within seconds, and tiny models of many architectures.

Each task is decided by single words, so that a model which reads its input scores far above the
trivial answer, and one that does not (a lost second text, shifted labels) cannot.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from engine.data.task import Task, TaskKind
from engine.models.load import HEADS, for_task, save_model
from tests.tasks import make_task
from tests.tokenizers import bare_bpe, wordpiece

FILLER = ["the", "a", "one", "this", "that", "some", "day", "house"]
FILLER += ["street", "table", "water", "paper", "window", "garden", "river", "cloud"]
GOOD, BAD, DULL = ["great", "lovely", "superb"], ["awful", "dirty", "boring"], ["plain", "usual", "common"]
NAMES = ["Anna", "Bruno", "Clara", "David", "Emma", "Frank"]
VERBS = ["sees", "finds", "paints", "sells", "hides", "counts"]
TAGS = ("O", "NAME", "VERB")
WORDS = tuple(FILLER + GOOD + BAD + DULL + NAMES + VERBS + ["who", "is", "there"])


def _filler(dice: random.Random, low: int = 2, high: int = 5) -> list[str]:
    return dice.choices(FILLER, k=dice.randint(low, high))


def _with(dice: random.Random, word: str) -> str:
    """Filler with one word that matters, anywhere."""
    words = _filler(dice)
    words.insert(dice.randrange(len(words) + 1), word)
    return " ".join(words)


def _single(dice: random.Random) -> dict[str, Any]:
    label = dice.randrange(3)
    return {"text": _with(dice, dice.choice((BAD, DULL, GOOD)[label])), "label": label}


def _pair(dice: random.Random) -> dict[str, Any]:
    """The second text decides; the first has such words too and says nothing."""
    label = dice.randrange(2)
    misleading = _with(dice, dice.choice(GOOD + BAD))
    return {"text": misleading, "text_pair": _with(dice, dice.choice((BAD, GOOD)[label])), "label": label}


def _regression(dice: random.Random) -> dict[str, Any]:
    level = dice.randrange(3)
    return {"text": _with(dice, dice.choice((BAD, DULL, GOOD)[level])), "label": level - 1 + dice.uniform(-0.1, 0.1)}


def _several(dice: random.Random) -> dict[str, Any]:
    """None, one or both of two labels, each said by a word of its own."""
    label = [index for index in range(2) if dice.random() < 0.4]
    words = [dice.choice(FILLER), *((BAD, GOOD)[index][0] for index in label)]
    return {"text": " ".join(dice.sample(words, len(words))), "label": label}


def _tagging(dice: random.Random) -> dict[str, Any]:
    words = [dice.choice(dice.choice((FILLER, NAMES, VERBS))) for _ in range(dice.randint(3, 9))]
    return {"tokens": words, "tags": [1 if word in NAMES else 2 if word in VERBS else 0 for word in words]}


def _answering(dice: random.Random) -> dict[str, Any]:
    name = dice.choice(NAMES)
    context = _with(dice, name)
    answers = {"text": [name], "answer_start": [context.index(name)]}
    return {
        "id": str(dice.random()),
        "question": dice.choice(("who is there", "who")),
        "context": context,
        "answers": answers,
    }


ROWS: dict[str, tuple[TaskKind, tuple[str, ...], Callable[[random.Random], dict[str, Any]]]] = {
    "single": ("classification", ("bad", "dull", "good"), _single),
    "pair": ("classification", ("bad", "good"), _pair),
    "regression": ("regression", (), _regression),
    "tagging": ("tagging", TAGS, _tagging),
    "question_answering": ("question_answering", (), _answering),
    "multi_label": ("multi_label", ("bad", "good"), _several),
}
"""Name → kind, labels, and how a row is made."""


def toy_task(name: str, rows: int = 192, held_out: int = 64, seed: int = 0) -> Task:
    """One of the tasks of `ROWS`."""
    kind, labels, make = ROWS[name]
    dice = random.Random(seed)
    made = [make(dice) for _ in range(rows + held_out)]
    task = make_task(kind, made[:rows], made[rows:], labels, name=f"toy-{name}")
    return replace(task, fingerprint=f"{name}-{rows}-{held_out}-{seed}")


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"max_position_embeddings": 66, "type_vocab_size": 1},
    "distilbert": {"dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 32},
    "electra": {"embedding_size": 8},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "conv_kernel_size": 3,
    },
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
    "albert": {"embedding_size": 8},
}
"""Encoder → what its tiny configuration says beside the sizes that all share."""


def tiny_config(architecture: str = "bert", layers: int = 4, vocabulary: int = 300, **more: Any) -> Any:
    """A configuration of 16 numbers width."""
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }
    own = ARCHITECTURES[architecture]
    if architecture == "distilbert":
        own = own | {"n_layers": layers}
        sizes = {key: sizes[key] for key in ("vocab_size", "max_position_embeddings", "pad_token_id")}
    if architecture == "modernbert":
        special = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
        sizes |= dict.fromkeys(special, 1)
    return AutoConfig.for_model(architecture, **(sizes | own | more))


def save_tiny(
    folder: Path,
    task: Task,
    architecture: str = "bert",
    tokenizer: PreTrainedTokenizerBase | None = None,
    seed: int = 0,
    **more: Any,
) -> PreTrainedModel:
    """Writes a model with a head for the task, as if it had been fine-tuned, and gives it back."""
    tokenizer = tokenizer or wordpiece()
    config = tiny_config(architecture, vocabulary=len(tokenizer), **more)
    config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(seed)
    model = HEADS[task.kind].from_config(for_task(config, task, tokenizer))
    save_model(model, tokenizer, folder)
    return model


CAUSAL: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 1, "max_position_embeddings": 96},
    "gpt2": {"n_positions": 96},
    "bloom": {},
    "mamba": {"state_size": 4, "num_hidden_layers": 2},
}
"""Causal language model → what its tiny configuration says beside the sizes that all share; mamba has no keys."""


def save_causal(folder: Path, architecture: str = "llama", seed: int = 0) -> PreTrainedModel:
    """Writes a causal language model of random weights, without a padding token, and gives it back."""
    tokenizer = bare_bpe()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    sizes |= {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 0}
    config = AutoConfig.for_model(architecture, **(sizes | CAUSAL[architecture]))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    perturb(model, seed)
    save_model(model, tokenizer, folder)
    return model


def perturb(model: PreTrainedModel, seed: int = 1) -> None:
    """Makes every weight different from every other, so that no swap of two layers goes unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
