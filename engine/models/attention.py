"""What a layer's attention works on: its queries, keys and values.

Decided here: of which types of model they are known. transformers gives no attention scores before the softmax, so the
linear layers that make queries, keys and values are listened to during a forward pass. A type is in the table where its
scores are the products of these vectors (of MPNet but for a bias by distance); where positions turn them first, or
several kinds of keys are added up, as in ModernBERT and DeBERTa, they would be other numbers than the model attends by.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig

Part = tuple[str, int]  # `query`, `key` or `value` of a layer, 1 being the first
_NAMED = {
    "bert": {"query": "query", "key": "key", "value": "value"},
    "distilbert": {"query": "q_lin", "key": "k_lin", "value": "v_lin"},
    "mpnet": {"query": "q", "key": "k", "value": "v"},
}
_LIKE_BERT = ("bert", "camembert", "electra", "ernie", "megatron-bert", "roberta", "xlm-roberta", "xlm-roberta-xl")
KNOWN = {**dict.fromkeys(_LIKE_BERT, _NAMED["bert"]), **{name: _NAMED[name] for name in ("distilbert", "mpnet")}}
"""Model type → what its attention calls the layers that make each part."""


def attention_heads(config: PretrainedConfig) -> int:
    """Heads of each layer's attention; 1 of what has none.

    Example:
        >>> from transformers import BertConfig
        >>> attention_heads(BertConfig(num_attention_heads=4)), attention_heads(PretrainedConfig())
        (4, 1)
    """
    return getattr(config, "num_attention_heads", 1)


@contextmanager
def listening(model: nn.Module, parts: Collection[Part]) -> Iterator[Mapping[Part, Tensor]]:
    """What the next forward pass says of these parts: (B, N, width), all heads side by side."""
    said: dict[Part, Tensor] = {}
    modules = _modules(model, parts)
    hooks = [module.register_forward_hook(partial(_keep, said, part)) for part, module in modules.items()]
    try:
        yield said
    finally:
        for hook in hooks:
            hook.remove()


def _modules(model: nn.Module, parts: Collection[Part]) -> dict[Part, nn.Module]:
    """The linear layer that makes each part."""
    if not parts:
        return {}
    config: Any = model.config
    named: dict[str, list[nn.Module]] = {}
    for path, module in model.named_modules():  # in the order of the layers
        named.setdefault(path.rpartition(".")[2], []).append(module)
    return {(name, layer): named[KNOWN[config.model_type][name]][layer - 1] for name, layer in parts}


def _keep(said: dict[Part, Tensor], part: Part, module: nn.Module, inputs: Any, output: Tensor) -> None:
    said[part] = output
