"""Teacher and student models: how they are loaded and built.

Nothing here names an architecture. Only safetensors are loaded; remote code never runs.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from engine.base.errors import InputError
from engine.base.hub import model_hash, place_of
from engine.data.task import KINDS, Task, TaskKind
from engine.models import bilstm  # noqa: F401 - makes its model type known, as the next does
from engine.models.files import TOKENIZER_FILES, checked, config_faults, refuse, tokenizer_faults, weight_faults
from engine.models.fit import body_names, tokenizer_misfits, weight_misfits
from engine.models.held import Held
from engine.models.output import answer_exactly, output_layer
from engine.models.static import StaticConfig
from engine.tokens.examples import MULTIPLE

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

SAFE: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False}
UNLOADED = "its weights cannot be loaded"
LONGEST_REASON = 300  # characters of what a library says
PANIC = "PanicException"  # what the tokenizers library raises where it does not expect an error; no Exception
UNCOMMON = "a\u2603"  # a letter, and a snowman that few vocabularies have
UNNAMED = re.compile(r"LABEL_\d+")
SEPARATORS = re.compile(r"(?<=[^\W_])[\W_]+(?=[^\W_])")  # a minus in front of a number is none
HEADS: dict[TaskKind, Any] = {name: getattr(transformers, f"AutoModel{kind.head}") for name, kind in KINDS.items()}


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps transformers from printing load reports and bars; a fresh head is expected here."""
    library = transformers.utils.logging
    level, bar = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity(logging.CRITICAL)
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bar:
            library.enable_progress_bar()


@contextmanager
def readable(what: str, name: str, role: str, allowed: tuple[str, ...] = ()) -> Iterator[None]:
    """Turns what transformers raises of a model, which may be anything, into an `InputError` that begins with
    `what`."""
    try:
        with quiet_transformers():
            yield
    except BaseException as error:
        if isinstance(error, InputError) or not (isinstance(error, Exception) or type(error).__name__ == PANIC):
            raise
        cause = error.__cause__ if isinstance(error, StrictDataclassError) and error.__cause__ else error
        why = str(cause).strip().partition("\n")[0][:LONGEST_REASON] or type(cause).__name__
        raise InputError.of(place_of(role), f"{what} ({why})", repr(name), allowed) from error


def name_labels(config: PretrainedConfig, labels: Sequence[str]) -> None:
    """Sets the names of a model's outputs, in place."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}


def read_config(name: str, role: str) -> PretrainedConfig:
    """The configuration of a model of any type; how attention is computed is not its to say.

    Raises:
        InputError: There is no such model, or its config.json cannot be used.
    """
    folder = checked(name, role, config_faults)
    with readable("its config.json cannot be used", name, role):
        config = AutoConfig.from_pretrained(folder, attn_implementation=None, trust_remote_code=False)
        sizes = ("num_hidden_layers", "hidden_size", "vocab_size")[isinstance(config, StaticConfig) :]
        if wrong := [key for key in sizes if isinstance(getattr(config, key, None), int) and getattr(config, key) < 1]:
            raise ValueError(f"{wrong[0]} must be above 0, not {getattr(config, wrong[0])}")
        with torch.device("meta"):
            AutoModel.from_config(config)
    return config


def load_config(name: str, role: str) -> PretrainedConfig:
    """The configuration of a pretrained encoder; weights are not touched.

    Raises:
        InputError: There is no such model, its config.json cannot be used, or it is an encoder-decoder.
    """
    config = read_config(name, role)
    if config.is_encoder_decoder:
        what = "an encoder-decoder has two stacks of layers; an encoder is needed"
        raise InputError.of(place_of(role), what, repr(name))
    return config


def weights_hash(name: str, role: str) -> str:
    """The `model_hash` of a pretrained model; an `InputError` where its weights are no safetensors of its folder."""
    return model_hash(checked(name, role, weight_faults))


def load_tokenizer(name: str, role: str, fast: bool = True) -> PreTrainedTokenizerBase:
    """The tokenizer of a pretrained model.

    Args:
        fast: Whether it must give character offsets.

    Raises:
        InputError: There is no such model, its tokenizer cannot be read, is another model's, or has no fast version.
    """
    config, folder = read_config(name, role), checked(name, role, tokenizer_faults)
    files = ", ".join(file.name for pattern in TOKENIZER_FILES for file in folder.glob(pattern))
    with readable(f"its tokenizer cannot be used: {files}", name, role):
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        if fast and not tokenizer.is_fast:
            raise InputError.of(place_of(role), "no fast tokenizer, which character offsets need", repr(name))
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        tokenizer(UNCOMMON)
        misfits = [*tokenizer_misfits(tokenizer, config, folder)]
    refuse(misfits, name, role)
    return tokenizer


def for_task(config: PretrainedConfig, task: Task, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """The configuration with the task's outputs and label names; changed in place."""
    config.num_labels = task.outputs
    name_labels(config, task.labels or [f"LABEL_{index}" for index in range(task.outputs)])
    config.problem_type = KINDS[task.kind].problem_type
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    return config


def has_head(config: PretrainedConfig, kind: TaskKind) -> bool:
    """Whether the model was saved with a head for this kind of task, that is: fine-tuned."""
    several = getattr(config, "problem_type", None) == KINDS["multi_label"].problem_type
    fits = KINDS[kind].head != KINDS["multi_label"].head or several == KINDS[kind].independent
    return fits and any(name.endswith(KINDS[kind].head) for name in config.architectures or [])


def build(config: PretrainedConfig, kind: TaskKind, seed: int) -> PreTrainedModel:
    """A model with random weights, the same for the same seed."""
    torch.manual_seed(seed)
    with quiet_transformers():
        return _exact(HEADS[kind].from_config(config), kind)


def _exact(model: PreTrainedModel, kind: TaskKind) -> PreTrainedModel:
    return answer_exactly(model) if kind == "regression" else model


def compare_weights(
    auto: Any, name: str, config: PretrainedConfig, role: str, what: str = UNLOADED, new_head: bool = False
) -> Path:
    """The folder of a model whose weights are those of its configuration; shapes are read, and no values.

    Args:
        auto: Class of transformers that is to load it.
        what: Is said where it cannot.
        new_head: Whether the head may be missing, or of another size.

    Raises:
        InputError: It has no safetensors weights, or some would be made up, or left out.
    """
    folder = checked(name, role, weight_faults)
    with readable(what, name, role):
        model, report = auto.from_pretrained(
            folder,
            config=config,
            key_mapping=body_names(auto, config),
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **SAFE,
        )
    refuse((f"{what} ({misfit})" for misfit in weight_misfits(model, report, folder, new_head)), name, role)
    return folder


def load_weights(
    auto: Any,
    name: str,
    config: PretrainedConfig,
    role: str,
    what: str = UNLOADED,
    new_head: bool = False,
    held: Held | None = None,
) -> PreTrainedModel:
    """A pretrained model, no weight of which is made up, in float32 or as `held`; the rest as in `compare_weights`."""
    folder = compare_weights(auto, name, config, role, what, new_head)
    names = body_names(auto, config)
    with readable(what, name, role):
        kind, how = held.loading(auto, config, SAFE) if held else (auto, SAFE)
        model = kind.from_pretrained(folder, config=config, key_mapping=names, ignore_mismatched_sizes=new_head, **how)
    if held:
        held.settle(model)
    if names:
        model._weight_conversions = None  # it is saved under the names that transformers looks for
    return model


def load_pretrained(
    name: str,
    config: PretrainedConfig,
    kind: TaskKind,
    seed: int,
    role: str,
    new_head: bool = True,
    held: Held | None = None,
) -> PreTrainedModel:
    """A pretrained encoder with a head for the task, in float32 unless its weights are `held` otherwise.

    Args:
        new_head: Whether a head that is missing or of another size gives way to a new one; else it is an error.

    Raises:
        InputError: It has no safetensors weights, or they do not fit.
    """
    torch.manual_seed(seed)
    return _exact(load_weights(HEADS[kind], name, config, role, new_head=new_head, held=held), kind)


def depth_and_width(config: PretrainedConfig) -> tuple[int, int]:
    """Number of transformer layers and width of the hidden states; an `InputError` where it lacks one."""
    layers, width = getattr(config, "num_hidden_layers", None), getattr(config, "hidden_size", None)
    if not isinstance(layers, int) or not isinstance(width, int):
        raise InputError.of("model", "its configuration names no num_hidden_layers and hidden_size", config.model_type)
    return layers, width


def names_of_outputs(config: PretrainedConfig, role: str = "teacher") -> list[str]:
    """What a model calls its outputs; an `InputError` where it leaves one out."""
    if {*config.id2label} != {*range(config.num_labels)}:
        what = f"id2label in its config.json must name the outputs 0 to {config.num_labels - 1}"
        raise InputError.of(place_of(role), what, ", ".join(map(str, config.id2label)))
    return [str(config.id2label[index]) for index in range(config.num_labels)]


def unnamed(names: Sequence[str]) -> bool:
    """Whether a model's outputs have no names, but what transformers puts in their place: LABEL_0, LABEL_1, …."""
    return all(UNNAMED.fullmatch(name) for name in names)


def label_order(names: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """Where each label stands among a model's names, case and separators aside; None where they do not match.

    Without names (`unnamed`) the positions are those of the labels.

    Example:
        >>> label_order(["Not Entailment", "entailment"], ["entailment", "not_entailment"])
        [1, 0]
        >>> label_order(["LABEL_0", "LABEL_1"], ["no", "yes"]), label_order(["neg", "pos"], ["0", "1"])
        ([0, 1], None)
    """
    for plain in (str, str.casefold, lambda label: SEPARATORS.sub("", label.casefold())):
        theirs, ours = ([plain(label) for label in each] for each in (names, labels))
        if sorted(theirs) == sorted(ours) and len(set(ours)) == len(ours):
            return [theirs.index(label) for label in ours]
    return list(range(len(labels))) if len(names) == len(labels) and unnamed(names) else None


def reorder_labels(model: PreTrainedModel, labels: Sequence[str]) -> bool:
    """Puts the outputs of a fine-tuned model into the dataset's order of labels, in place; says if it had to.

    Raises:
        InputError: The model has other labels, or these in another order and no single output layer.
    """
    names = names_of_outputs(model.config)
    order = label_order(names, labels)
    if order is None:
        raise InputError.of("--teacher", "its labels are not the dataset's", ", ".join(names), labels)
    if order == sorted(order):
        name_labels(model.config, labels)
        return False
    found = output_layer(model, len(names))
    if found is None:
        what = "its labels stand in another order than the dataset's"
        raise InputError.of("--teacher", what, ", ".join(names), labels)
    with torch.no_grad():
        for parameter in found[1].parameters(recurse=False):
            parameter.copy_(parameter[order].clone())
    name_labels(model.config, labels)
    return True


def parameter_count(model: nn.Module) -> int:
    """Number of parameters; shared ones count once, and two of 4 bits that share a byte are two."""
    return sum(getattr(each, "quant_state", each).shape.numel() for each in model.parameters())


def position_limit(config: PretrainedConfig) -> int | None:
    """How many tokens of a padded batch the model can read, where its configuration says so. Models after RoBERTa
    count positions from behind that of padding, so the first ones are lost."""
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    with torch.device("meta"), quiet_transformers():
        model = AutoModel.from_config(config)
    tables = (m for name, m in model.named_modules() if isinstance(m, nn.Embedding) and "position" in name)
    limit -= max((m.padding_idx + 1 for m in tables if m.padding_idx is not None), default=0)
    return limit // MULTIPLE * MULTIPLE


def parameters_of(config: PretrainedConfig, kind: TaskKind) -> int:
    """Number of parameters of a model that is not built."""
    with torch.device("meta"), quiet_transformers():
        return parameter_count(HEADS[kind].from_config(config))


@cache
def holds_a_unit(facts: str) -> bool:
    """Whether models of a configuration, in JSON, have a head for regression that `change_unit` can change."""
    config = AutoConfig.for_model(**json.loads(facts))
    config.num_labels = 1
    with torch.device("meta"), quiet_transformers():
        found = output_layer(HEADS["regression"].from_config(config), 1)
    return found is not None and found[1].bias is not None


def size_mb(model: PreTrainedModel) -> float:
    """Size of the weights on disk, in 10^6 bytes."""
    return sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, max_length: int | None = None
) -> None:
    """Writes the ordinary `save_pretrained` layout; a tokenizer that truncates will do so to `max_length` tokens."""
    if max_length is not None:
        tokenizer.model_max_length = max_length
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
