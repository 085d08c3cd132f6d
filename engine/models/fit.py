"""Whether a tokenizer and weights are those of a model: what transformers makes up in place of what is missing.

Decided here: a vocabulary fills at least three quarters of the embeddings, of which some may be left over for speed.
Weights of the body are never made up, those of the head only where a new one is wanted; a pooler counts as a part of
the head, for pretraining leaves it out.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transformers import AutoModel, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from engine.base.errors import counted, shown
from engine.base.hub import CONFIG, INDEX, TOKENIZER, TOKENIZER_OBJECTS, WEIGHTS

LEAST_FILLED = 3, 4  # of the embeddings, by tokens
POOLER = "pooler"
SEVERAL = 3  # names of weights that a message shows


def tokenizer_misfits(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, folder: Path) -> Iterator[str]:
    """Why a tokenizer is not the model's: files are missing, its vocabulary is too small, or it is too large."""
    names, source = type(tokenizer).vocab_files_names, TOKENIZER
    if not (folder / TOKENIZER).is_file():
        needed = [names[kind] for kind in ("vocab_file", "merges_file") if kind in names]
        if tokenizer.is_fast and (missing := [name for name in needed if not (folder / name).is_file()]):
            yield f"{' and '.join(missing)} or {TOKENIZER} is missing"
            return
        own = (name for name in names.values() if name not in TOKENIZER_OBJECTS)
        source = ", ".join(name for name in own if (folder / name).is_file())
    rows = getattr(config.get_text_config(), "vocab_size", None)
    if not isinstance(rows, int):
        return
    vocabulary = tokenizer.get_vocab()
    if len(vocabulary) * LEAST_FILLED[1] < rows * LEAST_FILLED[0]:
        yield f"{source} holds {counted(len(vocabulary), 'token')}, and the model knows {rows:,}"
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= {*tokenizer.all_special_ids}
    special -= {*tokenizer("").input_ids, tokenizer.pad_token_id}  # the others stand in no text
    if over := {number: word for word, number in vocabulary.items() if number >= rows and number not in special}:
        first = shown(over[min(over)])
        yield f"{source} holds {counted(len(over), 'token')} beyond the {rows:,} of the model, such as {first}"


def weight_misfits(model: PreTrainedModel, report: dict[str, Any], folder: Path, new_head: bool) -> Iterator[str]:
    """What a model has of random numbers though it was loaded, or what of its files it leaves out.

    Args:
        report: What `from_pretrained` says with `output_loading_info`.
        new_head: Whether the head may be new.
    """
    file = WEIGHTS if (folder / WEIGHTS).is_file() else INDEX
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}  # buffers are computed

    def counts(name: str) -> bool:
        return name in learned and not (new_head and (POOLER in name or not is_body(model, name)))

    if missing := sorted(name for name in report["missing_keys"] if counts(name)):
        head = "" if any(is_body(model, name) for name in missing) else "the head it is to be used with: "
        yield f"{file} lacks {head}{_several(missing)}"
    for name, theirs, ours in sorted(report["mismatched_keys"]):
        if counts(name):
            yield f"{name} is {_shape(theirs)} in {file} and {_shape(ours)} by {CONFIG}"
            break
    known = {_place(model, name) for name in model.state_dict()}
    if further := sorted(name for name in report["unexpected_keys"] if _place(model, name) in known):
        yield f"{file} holds layers that {CONFIG} does not count: {_several(further)}"


def is_body(model: PreTrainedModel, name: str) -> bool:
    """Whether a weight is the encoder's, and not its head's."""
    return model.base_model is model or name.startswith(f"{model.base_model_prefix}.")


def body_names(auto: Any, config: PretrainedConfig) -> dict[str, str] | None:
    """What the body is called in most files → for this task, where transformers has two names for it: Llama's is
    `model.`, but `transformer.` for question answering; None where it has one."""
    classes = [each._model_mapping.get(type(config), None) for each in (AutoModel, auto)]
    usual, own = (getattr(each, "base_model_prefix", None) for each in classes)
    return {rf"^{usual}\.": f"{own}."} if usual and own and usual != own else None


def _place(model: PreTrainedModel, name: str) -> str:
    """Where a weight stands in any layer, whether it was saved with a head or without."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "#", name.removeprefix(f"{model.base_model_prefix}."))


def _shape(sizes: Iterable[int]) -> str:
    return " × ".join(map(str, sizes))


def _several(names: list[str]) -> str:
    more = len(names) - SEVERAL
    return ", ".join(names[:SEVERAL]) + (f" and {more:,} more" if more > 0 else "")
