"""The files of a model, checked before transformers reads them.

Decided here: weights are the safetensors files of the model's own folder and nothing else. A JSON file is an object of
sizes that no published model exceeds. What would lead to files elsewhere, or to code, is refused, not followed.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from engine.base.errors import InputError, Problem, shown
from engine.base.hub import (
    CONFIG,
    INDEX,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_OBJECTS,
    WEIGHTS,
    local_snapshot,
    place_of,
)

VOCABULARIES = ("vocab.txt", "vocab.json", "*.model", "*.spm", "*.tiktoken")
TOKENIZER_FILES = (*TOKENIZER_OBJECTS, *VOCABULARIES, "merges.txt")
DISTRIBUTED = "shard-[0-9]*-model-[0-9]*-of-[0-9]*.safetensors"  # transformers prefers these to all others

DEEPEST = 32  # objects and lists in one another
DIGITS = 40  # of a whole number; a tokenizer that nothing limits says 10^30
MOST = {
    r"(layers?|blocks|groups|group_num|experts|stages|depth)$": 1000,
    r"^num_labels$": 1_000_000,
    r"^(max_position_embeddings|n_positions)$": 20_000_000,
}
"""Keys of a configuration → the most that they may say, for building a model takes as long as they are large."""
ELSEWHERE = {
    CONFIG: ("configuration_files", "transformers_weights"),
    TOKENIZER_CONFIG: ("fast_tokenizer_files", "init_inputs", "vocab", "merges"),
}
"""File → its keys that name further files."""
KERNELS = re.compile(r"_?(attn|experts)_implementation$")  # a name with a slash is code of the hub


def checked(name: str, role: str, faults: Callable[[Path], Iterable[str]]) -> Path:
    """The folder of a model, in whose files `faults` finds nothing.

    Raises:
        InputError: There is no such model, or what `faults` says of it, in words that name the file.
    """
    folder = local_snapshot(name, role)
    refuse(faults(folder), name, role)
    return folder


def refuse(faults: Iterable[str], name: str, role: str) -> None:
    """Says all that is wrong with a model as one `InputError`, if anything is."""
    if problems := [Problem(place_of(role), fault, repr(name)) for fault in faults]:
        raise InputError(problems)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file as the object that it must be.

    Raises:
        ValueError: It is none; says which file and what is wrong with it.
    """
    try:
        if not path.is_file():
            raise ValueError("is no ordinary file")
        if not (text := path.read_text("utf-8")).strip():
            raise ValueError("is empty")
        value = json.loads(text, parse_int=_whole_number, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is not JSON or not whole ({error})") from error
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"{path.name} {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} must hold an object, not {shown(value)}")
    if _is_deeper(value, DEEPEST):
        raise ValueError(f"{path.name} is nested too deeply")
    return value


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"holds a number of {len(digits):,} digits")
    return int(digits)


def _constant(name: str) -> float:
    if name == "NaN":
        raise ValueError("holds NaN, which is no number")
    return float(name)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether more than so many objects and lists hold one another."""
    layer = [value]
    for _ in range(levels):
        inner = (each.values() if isinstance(each, dict) else each for each in layer)
        layer = [child for children in inner for child in children if isinstance(child, dict | list)]
    return bool(layer)


def _objects(folder: Path, names: Iterable[str]) -> Iterator[str | tuple[str, dict[str, Any]]]:
    """Of the files that are there: name and content, or what is wrong."""
    for name in names:
        if (folder / name).exists():
            try:
                yield name, read_object(folder / name)
            except ValueError as error:
                yield str(error)


def config_faults(folder: Path) -> Iterator[str]:
    """What is wrong with a model's configuration, which must be there."""
    for found in _objects(folder, [CONFIG]):
        if isinstance(found, str):
            yield found
            continue
        _, config = found
        yield from _further_files(CONFIG, config)
        names = config.get("architectures")
        if not (names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))):
            yield f"{CONFIG}: architectures must be a list of names, not {shown(names)}"
        for key, value in _settings(config):
            most = next((number for words, number in MOST.items() if re.search(words, key)), None)
            if most is not None and isinstance(value, int) and value > most:
                yield f"{CONFIG}: {key} must be at most {most:,}, not {shown(value)}"
            if KERNELS.fullmatch(key) and "/" in str(value):
                yield f"{CONFIG}: {key} names code of the hub, which is never run ({shown(value)})"


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and values, those of parts of a model too; keys that are labels are no settings."""
    for key, value in config.items():
        yield key, value
        if isinstance(value, dict) and key != "label2id":
            yield from _settings(value)


def _further_files(name: str, content: dict[str, Any]) -> Iterator[str]:
    for key in ELSEWHERE.get(name, ()):
        if content.get(key):
            yield f"{name}: {key} leads to other files, which are not read ({shown(content[key])})"


def tokenizer_faults(folder: Path) -> Iterator[str]:
    """What is wrong with the files of a model's tokenizer."""
    if not any(any(folder.glob(name)) for name in (TOKENIZER, *VOCABULARIES)):
        yield f"this model has no tokenizer: no {TOKENIZER}, and no vocabulary in its place"
    for found in _objects(folder, TOKENIZER_OBJECTS):
        if isinstance(found, str):
            yield found
            continue
        name, content = found
        yield from _further_files(name, content)
        longest = content.get("model_max_length")
        if longest is not None and not (isinstance(longest, int | float) and longest >= 1):
            yield f"{name}: model_max_length must be a number above 0, not {shown(longest)}"
        if lost := _lost_tokens(content):
            yield f"{name}: post_processor adds {', '.join(lost)}, of which it does not say the number"


def _lost_tokens(tokenizer: dict[str, Any]) -> list[str]:
    """Tokens that a template adds to each text without their numbers, over which the tokenizers library panics."""
    try:
        last = tokenizer["post_processor"]
        templates = [each for each in last.get("processors", [last]) if each["type"] == "TemplateProcessing"]
        pieces = [(each, piece) for each in templates for piece in each["single"] + each["pair"]]
        added = [(each, piece["SpecialToken"]["id"]) for each, piece in pieces if "SpecialToken" in piece]
        lost = {name for each, name in added if name not in each["special_tokens"]}
        return sorted(name if isinstance(name, str) else shown(name) for name in lost)
    except (KeyError, TypeError, AttributeError):
        return []  # another form, or one that the library refuses by itself


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights, all shards; none where there are no safetensors.

    Raises:
        ValueError: The index of the shards cannot be used.
    """
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        return []
    index = read_object(folder / INDEX)
    entries = index.get("weight_map")
    if not isinstance(entries, dict) or not entries or not isinstance(index.get("metadata"), dict):
        raise ValueError(f"{INDEX} must hold metadata and a weight_map that names files")
    for weight, file in entries.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise ValueError(f"{INDEX} takes {weight} from {shown(file)}, which is no safetensors file of this folder")
    return [folder / file for file in sorted(set(entries.values()))]


def weight_faults(folder: Path) -> Iterator[str]:
    """What is wrong with the files of a model's weights; their values are not read."""
    if distributed := sorted(folder.glob(DISTRIBUTED)):
        yield f"{distributed[0].name} is a part of a distributed checkpoint, which is not read"
    if (folder / "adapter_config.json").exists():
        yield "adapter_config.json: adapters are not loaded; they must be merged into the weights first"
    try:
        files = weight_files(folder)
    except ValueError as error:
        yield str(error)
        return
    if not files:
        yield f"this model has no safetensors weights (no {WEIGHTS} and no {INDEX})"
    for path in files:
        if not path.is_file():
            yield f"{path.name} is missing" if path.name == WEIGHTS else f"{INDEX} names {path.name}, which is missing"
        elif not _is_own(path):
            yield f"{path.name} is a link to a file outside of the folder"
        else:
            yield from _safetensors_faults(path)


def _is_own(path: Path) -> bool:
    """Whether a file lies where it seems to, or among the files of the hub's cache that its snapshots link to."""
    folder = path.parent.resolve()
    roots = [folder, *([folder.parents[1] / "blobs"] if folder.parent.name == "snapshots" else [])]
    return any(path.resolve().is_relative_to(root) for root in roots)


def _safetensors_faults(path: Path) -> Iterator[str]:
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        yield f"{path.name} is no safetensors file or not whole ({error})"
