"""Ways to damage the folder of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from engine.base.hub import CONFIG, INDEX, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS

Damage = Callable[[Path], object]
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def written(name: str, content: str) -> Damage:
    return lambda folder: (folder / name).write_text(content, "utf-8")


def cut(name: str, share: float = 0.6) -> Damage:
    def damage(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * share)])

    return damage


def without(*names: str) -> Damage:
    return lambda folder: [(folder / name).unlink() for name in names]


def edited(name: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        change(content)
        (folder / name).write_text(json.dumps(content), "utf-8")

    return damage


def saying(name: str, **values: Any) -> Damage:
    return edited(name, lambda content: content.update(values))


def config(**values: Any) -> Damage:
    return saying(CONFIG, **values)


def tokenizer_config(**values: Any) -> Damage:
    return saying(TOKENIZER_CONFIG, **values)


def vocabulary(size: int) -> Damage:
    """Cut to so many tokens, or filled up with words that no embedding belongs to."""

    def change(content: dict[str, Any]) -> None:
        known = content["model"]["vocab"]
        more = {f"further{number}": number for number in range(len(known), size)}
        content["model"]["vocab"] = {word: number for word, number in (known | more).items() if number < size}

    return edited(TOKENIZER, change)


def stored(keep: Callable[[str], bool]) -> Damage:
    def damage(folder: Path) -> None:
        kept = {name: value.clone() for name, value in load_file(folder / WEIGHTS).items() if keep(name)}
        save_file(kept, folder / WEIGHTS, {"format": "pt"})

    return damage


def sharded(place: Callable[[str, str], Any] = lambda name, shard: shard, metadata: object = ()) -> Damage:
    """In two shards, of which the index says what `place` makes of a weight's name and shard."""

    def damage(folder: Path) -> None:
        values = load_file(folder / WEIGHTS)
        torch.save(values, folder / "pytorch_model.bin")
        (folder / WEIGHTS).rename(folder.parent / "outside.safetensors")
        names, entries = sorted(values), {}
        for shard, part in zip(SHARDS, (names[::2], names[1::2]), strict=True):
            save_file({name: values[name].clone() for name in part}, folder / shard, {"format": "pt"})
            entries |= {name: place(name, shard) for name in part}
        index = {"metadata": dict(metadata) if metadata is not None else None, "weight_map": entries}
        (folder / INDEX).write_text(json.dumps(index), "utf-8")

    return damage


def linked(name: str) -> Damage:
    """A file that lies outside of the folder, with a link in its place."""

    def damage(folder: Path) -> None:
        (folder / name).rename(folder.parent / f"linked-{name}")
        (folder / name).symlink_to(folder.parent / f"linked-{name}")

    return damage


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def nested(levels: int) -> str:
    return '{"a": ' * levels + "1" + "}" * levels
