"""A prompt around texts, as the template of a tokenizer; and words as they go on behind it.

Decided here: a prompt stands where a tokenizer has the tokens that it puts around texts, as BERT's [CLS] and [SEP].
Whatever encodes, cuts or augments texts does it with the prompt, then: a text that is too long is cut itself, never the
question behind it, and `max_length` counts the texts alone. What is in front of a text's first letter, a space in most
prompts, is read as a language model has learned it: as a part of the word.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator

from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import Prepend, Sequence
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from engine.base.errors import Problem, shown, unknown_name

SLOT = re.compile(r"\{(\w+)\}")
TEXTS = {"text": "$A", "text_pair": "$B"}
"""What a prompt calls a text → what a tokenizer's template calls it."""
STAND_IN = "\u2603"  # a snowman is one word to every tokenizer, and merges with nothing beside it
ADDED = "prompt_tokens"  # of a tokenizer's settings: tokens of its prompt


def prompt_problems(prompt: str, pair: bool) -> Iterator[Problem]:
    """What is wrong with a prompt for one text or two."""
    needed = [*TEXTS][: 1 + pair]
    found = SLOT.findall(prompt)
    for name in sorted({*found} - {*needed, "labels"}):
        if name in TEXTS:
            yield Problem("--prompt", "this dataset has no second texts", f"'{{{name}}}'", ("{text}",))
        else:
            yield unknown_name("--prompt", "there is nothing of this name to put in", name, (*needed, "labels"))
    for name in needed:
        if found.count(name) != 1:
            what = f"{{{name}}} must stand in it once, where the text is to stand"
            yield Problem("--prompt", what, shown(prompt))


def with_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> PreTrainedTokenizerBase:
    """A tokenizer, of its own, that puts texts into a prompt with `{text}` and perhaps `{text_pair}`.

    What the tokenizer puts in front of all texts, a token that begins them, stays there; what it puts behind them, one
    that ends them, would end the prompt and goes.
    """
    own = copy.deepcopy(tokenizer)
    backend = own.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    pieces = list(_pieces(backend, prompt))
    if _lacks_space(backend, prompt):
        space = Prepend(" ")
        backend.normalizer = Sequence([space, backend.normalizer]) if backend.normalizer else space
    names = [piece if isinstance(piece, str) else f"prompt {number}" for number, piece in enumerate(pieces)]
    special = [
        {"id": name, "ids": piece, "tokens": [backend.id_to_token(token) for token in piece]}
        for name, piece in zip(names, pieces, strict=True)
        if not isinstance(piece, str)
    ]
    two = TEXTS["text_pair"] in names
    templates = (["$A"], names) if two else (names, ["$A", "$B"])
    backend.post_processor = TemplateProcessing(*templates, special)
    own.init_kwargs[ADDED] = sum(len(each["ids"]) for each in special)
    return own


def prompt_tokens(tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens the prompt of a tokenizer has, which come on top of the texts'; 0 without one."""
    return tokenizer.init_kwargs.get(ADDED, 0)


def _pieces(backend: Tokenizer, prompt: str) -> Iterator[str | list[int]]:
    """The texts of a prompt, by their names in a template, and the tokens between them, in their order."""
    slots, whole = [], ""
    for piece in re.split(r"(\{text\}|\{text_pair\})", prompt):
        if piece[1:-1] in TEXTS and piece.startswith("{"):
            slots.append((TEXTS[piece[1:-1]], len(whole) - whole.endswith(" "), len(whole) + 1))
            whole += STAND_IN
        else:
            whole += piece
    encoding, before = backend.encode(whole), 0
    for name, start, end in slots:
        yield from _some(_between(encoding, before, start))
        yield name
        before = end
    yield from _some(_between(encoding, before, len(whole)))


def _between(encoding: Encoding, start: int, end: int) -> list[int]:
    """The tokens of the characters from `start` to `end`; at the very start those, too, that begin all texts."""
    texts = [place for place, sequence in enumerate(encoding.sequence_ids) if sequence is not None]
    first = texts[0] if texts else len(encoding.ids)
    places = (place for place in texts if start < encoding.offsets[place][1] <= end)
    return [*(encoding.ids[:first] if start == 0 else []), *(encoding.ids[place] for place in places)]


def _some(tokens: list[int]) -> Iterator[list[int]]:
    if tokens:
        yield tokens


def _lacks_space(backend: Tokenizer, prompt: str) -> bool:
    """Whether a text by itself has to be given the space that stands in front of it in the prompt."""
    if " {text}" not in prompt:
        return False
    alone = backend.encode("a", add_special_tokens=False).ids
    return alone != following(backend, "", " a")


def following(backend: Tokenizer, before: str, text: str) -> list[int]:
    """The tokens of a text that goes on behind others, such as the end of a prompt."""
    begun = f"{STAND_IN}{before}"
    encoding = backend.encode(f"{begun}{text}", add_special_tokens=False)
    return [token for token, (_, end) in zip(encoding.ids, encoding.offsets, strict=True) if end > len(begun)]
