"""Files of a model that are damaged, or lead elsewhere: refused by name, before transformers reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.base.errors import InputError
from engine.base.hub import CONFIG, INDEX, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from engine.models.files import DEEPEST, read_object, weight_files
from engine.models.load import load_config, load_pretrained, load_tokenizer, weights_hash
from tests.clock import within
from tests.engine.models.damage import (
    SHARDS,
    Damage,
    both,
    config,
    cut,
    edited,
    linked,
    nested,
    sharded,
    stored,
    tokenizer_config,
    without,
    written,
)
from tests.toys import toy_task

SPECIAL = "special_tokens_map.json"
READS: dict[str, Callable[[str, str], object]] = {CONFIG: load_config, TOKENIZER: load_tokenizer, WEIGHTS: weights_hash}
"""What of a model is read → by what."""


@pytest.fixture
def model(tmp_path: Path, saved: Callable[..., Path]) -> Path:
    return Path(shutil.copytree(saved(), tmp_path / "model"))


def refused(model: Path, what: str, words: str) -> None:
    """One message that begins with the place, says the words and ends with the folder, within seconds."""
    with within(20), pytest.raises(InputError) as caught:
        READS[what](str(model), "teacher")
    (problem,) = caught.value.problems
    assert (problem.place, problem.got) == ("--teacher", repr(str(model)))
    assert words in problem.what


# --- config.json -------------------------------------------------------------------------------------

CONFIGS: dict[str, tuple[Damage, str]] = {
    "empty": (written(CONFIG, ""), "config.json is empty"),
    "cut": (cut(CONFIG), "config.json is not JSON or not whole"),
    "list": (written(CONFIG, "[]"), "config.json must hold an object, not []"),
    "null": (written(CONFIG, "null"), "config.json must hold an object, not nothing"),
    "text": (written(CONFIG, '"bert"'), "config.json must hold an object, not 'bert'"),
    "no UTF-8": (lambda folder: (folder / CONFIG).write_bytes(b'{"a": "\xff"}'), "config.json is not UTF-8"),
    "deep": (written(CONFIG, nested(100_000)), "config.json is nested too deeply"),
    "rather deep": (written(CONFIG, nested(300)), "config.json is nested too deeply"),
    "5,000 digits": (written(CONFIG, f'{{"a": {"9" * 5000}}}'), "config.json holds a number of 5,000 digits"),
    "4,000 digits": (written(CONFIG, f'{{"a": {"9" * 4000}}}'), "config.json holds a number of 4,000 digits"),
    "NaN": (config(layer_norm_eps=float("nan")), "config.json holds NaN"),
    "layers as text": (
        config(num_hidden_layers="six"),
        "its config.json cannot be used (Field 'num_hidden_layers' exp",
    ),
    "layers as list": (config(num_hidden_layers=[4]), "its config.json cannot be used (Field 'num_hidden_layers' exp"),
    "layers as half": (config(num_hidden_layers=4.5), "its config.json cannot be used (Field 'num_hidden_layers' exp"),
    "no layers": (config(num_hidden_layers=0), "config.json cannot be used (num_hidden_layers must be above 0, not 0)"),
    "negative": (
        config(num_hidden_layers=-1),
        "config.json cannot be used (num_hidden_layers must be above 0, not -1)",
    ),
    "10^9 layers": (config(num_hidden_layers=10**9), "config.json: num_hidden_layers must be at most 1,000"),
    "10^9 layers of a part": (config(text_config={"n_layer": 10**9}), "config.json: n_layer must be at most 1,000"),
    "10^9 labels": (config(num_labels=10**9), "config.json: num_labels must be at most 1,000,000"),
    "10^9 positions": (config(max_position_embeddings=10**9), "config.json: max_position_embeddings must be at most"),
    "no width": (config(hidden_size=0), "config.json cannot be used (hidden_size must be above 0, not 0)"),
    "width 10^12": (config(hidden_size=10**12), "its config.json cannot be used"),
    "no heads": (config(num_attention_heads=0), "its config.json cannot be used"),
    "heads that do not fit": (config(num_attention_heads=3), "config.json cannot be used (The hidden size (16)"),
    "vocabulary as text": (config(vocab_size="300"), "its config.json cannot be used (Field 'vocab_size' expected int"),
    "padding beyond": (config(pad_token_id=10**6), "its config.json cannot be used (Padding_idx"),
    "activation": (config(hidden_act="none such"), "its config.json cannot be used"),
    "labels as list": (config(id2label=["a"]), "its config.json cannot be used"),
    "labels as number": (config(id2label=3), "its config.json cannot be used"),
    "architectures as number": (config(architectures=5), "config.json: architectures must be a list of names, not 5"),
    "architectures as text": (config(architectures="B"), "config.json: architectures must be a list of names, not 'B'"),
    "type as list": (config(model_type=["bert"]), "its config.json cannot be used"),
    "no type": (edited(CONFIG, lambda content: content.pop("model_type")), "its config.json cannot be used"),
    "type of a number": (config(dtype="none such"), "its config.json cannot be used"),
    "a method's name": (config(to_dict=3), "its config.json cannot be used"),
    "code as number": (config(auto_map=5), "its config.json cannot be used"),
    "quantised by text": (config(quantization_config="x"), "its config.json cannot be used"),
    "further files": (config(configuration_files=["../config.1.json"]), "config.json: configuration_files leads to"),
    "other weights": (config(transformers_weights="adapter_model.bin"), "config.json: transformers_weights leads to"),
    "kernel": (config(attn_implementation="who/kernel"), "attn_implementation names code of the hub, which is never"),
    "kernel, inside": (config(_attn_implementation="who/kernel"), "_attn_implementation names code of the hub"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_configuration_that_cannot_be_used(case: str, model: Path) -> None:
    damage, words = CONFIGS[case]
    damage(model)
    refused(model, CONFIG, words)
    refused(model, TOKENIZER, words)  # which is read for a configuration, too


def test_code_beside_a_known_model_never_runs(model: Path) -> None:
    names = {
        "AutoConfig": "mine.Mine",
        "AutoModelForSequenceClassification": "mine.Mine",
        "AutoTokenizer": ["mine.Mine"],
    }
    both(config(auto_map=names), tokenizer_config(auto_map={"AutoTokenizer": ["mine.Mine", None]}))(model)
    (model / "mine.py").write_text(f"open({str(model / 'ran')!r}, 'w')\nclass Mine: pass\n")
    load_tokenizer(str(model), "teacher")
    load_pretrained(str(model), load_config(str(model), "teacher"), "classification", 0, "teacher", new_head=False)
    assert not (model / "ran").exists()


# --- the tokenizer's files ---------------------------------------------------------------------------

TOKENIZERS: dict[str, tuple[Damage, str]] = {
    "none": (without(TOKENIZER), "this model has no tokenizer: no tokenizer.json, and no vocabulary in its place"),
    "empty": (written(TOKENIZER, ""), "tokenizer.json is empty"),
    "cut": (cut(TOKENIZER), "tokenizer.json is not JSON or not whole"),
    "no object": (written(TOKENIZER, "[1, 2]"), "tokenizer.json must hold an object, not [1, 2]"),
    "nothing inside": (written(TOKENIZER, "{}"), "its tokenizer cannot be used: tokenizer.json, tokenizer_config.json"),
    "deep": (written(TOKENIZER, nested(100_000)), "tokenizer.json is nested too deeply"),
    "model as number": (edited(TOKENIZER, lambda c: c.update(model=3)), "its tokenizer cannot be used: tokenizer.json"),
    "no list": (edited(TOKENIZER, lambda c: c.update(added_tokens=3)), "its tokenizer cannot be used: tokenizer.json"),
    "huge number": (
        edited(TOKENIZER, lambda c: c["model"]["vocab"].update(zz=10**12)),
        "its tokenizer cannot be used: tokenizer.json",
    ),
    "template without its token": (
        edited(TOKENIZER, lambda c: c["post_processor"]["special_tokens"].pop("[CLS]")),
        "tokenizer.json: post_processor adds [CLS], of which it does not say the number",
    ),
    "template with nothing for a token": (
        edited(TOKENIZER, lambda c: c["post_processor"]["single"][0].update(SpecialToken={"id": None, "type_id": 0})),
        "tokenizer.json: post_processor adds nothing, of which it does not say the number",
    ),
    "configuration: list": (written(TOKENIZER_CONFIG, "[]"), "tokenizer_config.json must hold an object, not []"),
    "configuration: cut": (cut(TOKENIZER_CONFIG), "tokenizer_config.json is not JSON or not whole"),
    "configuration: deep": (written(TOKENIZER_CONFIG, nested(300)), "tokenizer_config.json is nested too deeply"),
    "configuration: digits": (
        written(TOKENIZER_CONFIG, f'{{"a": {"9" * 5000}}}'),
        "tokenizer_config.json holds a number of 5,000 digits",
    ),
    "class": (
        tokenizer_config(tokenizer_class=5),
        "its tokenizer cannot be used: tokenizer.json, tokenizer_config.json",
    ),
    "code": (tokenizer_config(auto_map=7), "its tokenizer cannot be used: tokenizer.json, tokenizer_config.json"),
    "padding": (tokenizer_config(pad_token=7), "its tokenizer cannot be used: tokenizer.json, tokenizer_config.json"),
    "unknown word": (
        tokenizer_config(unk_token=["x"]),
        "its tokenizer cannot be used: tokenizer.json, tokenizer_config",
    ),
    "inputs": (tokenizer_config(model_input_names=3), "its tokenizer cannot be used: tokenizer.json, tokenizer_config"),
    "side": (
        tokenizer_config(padding_side="up"),
        "its tokenizer cannot be used: tokenizer.json, tokenizer_config.json",
    ),
    "length as text": (
        tokenizer_config(model_max_length="many"),
        "tokenizer_config.json: model_max_length must be a number above 0, not 'many'",
    ),
    "no length": (
        tokenizer_config(model_max_length=0),
        "tokenizer_config.json: model_max_length must be a number above 0, not 0",
    ),
    "further files": (
        tokenizer_config(fast_tokenizer_files=["../tokenizer.1.json"]),
        "tokenizer_config.json: fast_tokenizer_files leads to other files",
    ),
    "foreign vocabulary": (tokenizer_config(vocab="/etc/passwd"), "tokenizer_config.json: vocab leads to other files"),
    "first arguments": (tokenizer_config(init_inputs=["/etc/passwd"]), "tokenizer_config.json: init_inputs leads to"),
    "special: list": (written(SPECIAL, "[]"), "special_tokens_map.json must hold an object, not []"),
    "special: cut": (written(SPECIAL, "{"), "special_tokens_map.json is not JSON or not whole"),
    "special: number": (written(SPECIAL, '{"unk_token": 5}'), "tokenizer_config.json, special_tokens_map.json"),
    "added: list": (written("added_tokens.json", "[]"), "added_tokens.json must hold an object, not []"),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_a_tokenizer_that_cannot_be_used(case: str, model: Path) -> None:
    damage, words = TOKENIZERS[case]
    damage(model)
    refused(model, TOKENIZER, words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX's")
@pytest.mark.parametrize("name", [TOKENIZER, TOKENIZER_CONFIG])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, model: Path) -> None:
    (model / name).unlink()
    os.mkfifo(model / name)
    refused(model, TOKENIZER, f"{name} is no ordinary file")


def test_depth_is_that_of_objects_and_lists(tmp_path: Path) -> None:
    for levels in (DEEPEST, DEEPEST + 1):
        (tmp_path / "a.json").write_text(nested(levels))
        if levels == DEEPEST:
            assert read_object(tmp_path / "a.json")
        else:
            with pytest.raises(ValueError, match=r"a\.json is nested too deeply"):
                read_object(tmp_path / "a.json")


# --- the weights' files ------------------------------------------------------------------------------

FILES: dict[str, tuple[Damage, str]] = {
    "none": (without(WEIGHTS), "this model has no safetensors weights"),
    "cut": (cut(WEIGHTS), "model.safetensors is no safetensors file or not whole"),
    "other": (written(WEIGHTS, "nothing of the kind"), "model.safetensors is no safetensors file or not whole"),
    "link": (linked(WEIGHTS), "model.safetensors is a link to a file outside of the folder"),
    "link to nothing": (
        lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).symlink_to("nowhere")),
        "this model has no safetensors weights",
    ),
    "pickle": (
        sharded(lambda name, shard: "pytorch_model.bin"),
        "takes bert.embeddings.LayerNorm.bias from 'pytorch_model.bin', which is no safetensors file of this folder",
    ),
    "one of a pickle": (
        sharded(lambda name, shard: "pytorch_model.bin" if name == "classifier.bias" else shard),
        "model.safetensors.index.json takes classifier.bias from 'pytorch_model.bin'",
    ),
    "outside": (sharded(lambda name, shard: "../outside.safetensors"), "from '../outside.safetensors', which is no"),
    "absolute": (
        sharded(lambda name, shard: "/tmp/outside.safetensors"),
        "from '/tmp/outside.safetensors', which is no",
    ),
    "folder inside": (sharded(lambda name, shard: f"a/{shard}"), f"from 'a/{SHARDS[0]}', which is no safetensors file"),
    "numbers": (sharded(lambda name, shard: 3), "from 3, which is no safetensors file of this folder"),
    "missing shard": (both(sharded(), without(SHARDS[1])), f"{INDEX} names {SHARDS[1]}, which is missing"),
    "cut shard": (both(sharded(), cut(SHARDS[1])), f"{SHARDS[1]} is no safetensors file or not whole"),
    "linked shard": (both(sharded(), linked(SHARDS[1])), f"{SHARDS[1]} is a link to a file outside of the folder"),
    "index cut": (both(sharded(), cut(INDEX)), f"{INDEX} is not JSON or not whole"),
    "index: list": (both(sharded(), written(INDEX, "[]")), f"{INDEX} must hold an object, not []"),
    "index: nothing": (both(sharded(), written(INDEX, "{}")), f"{INDEX} must hold metadata and a weight_map"),
    "index: no metadata": (sharded(metadata=None), f"{INDEX} must hold metadata and a weight_map"),
    "distributed": (
        lambda folder: shutil.copy(folder / WEIGHTS, folder / "shard-00001-model-00001-of-00001.safetensors"),
        "shard-00001-model-00001-of-00001.safetensors is a part of a distributed checkpoint",
    ),
    "adapter": (written("adapter_config.json", "{}"), "adapter_config.json: adapters are not loaded"),
}


@pytest.mark.parametrize("case", FILES)
def test_weights_that_are_no_safetensors_of_the_folder(case: str, model: Path) -> None:
    damage, words = FILES[case]
    good = load_config(str(model), "teacher")
    damage(model)
    refused(model, WEIGHTS, words)
    with pytest.raises(InputError) as caught:
        load_pretrained(str(model), good, "classification", 0, "teacher")
    assert words in str(caught.value)


def test_shards_are_loaded_and_hashed_all(model: Path) -> None:
    task = toy_task("single")
    read = load_config(str(model), "teacher")
    whole = load_pretrained(str(model), read, task.kind, 0, "teacher", new_head=False).state_dict()
    sharded()(model)
    assert [path.name for path in weight_files(model)] == [*SHARDS]
    parts = load_pretrained(str(model), read, task.kind, 0, "teacher", new_head=False).state_dict()
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
    hashes = {weights_hash(str(model), "teacher")}
    for shard in SHARDS:
        changed = bytearray((model / shard).read_bytes())
        changed[-1] ^= 1
        (model / shard).write_bytes(changed)
        hashes.add(weights_hash(str(model), "teacher"))
    assert len(hashes) == 3


def test_links_of_the_hubs_cache_are_followed(saved: Callable[..., Path], tmp_path: Path) -> None:
    repository = tmp_path / "models--org--tiny"
    snapshot, blobs = repository / "snapshots" / "abc", repository / "blobs"
    snapshot.mkdir(parents=True)
    shutil.copytree(saved(), blobs)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    load_tokenizer(str(snapshot), "teacher")
    assert weights_hash(str(snapshot), "teacher") == weights_hash(str(saved()), "teacher")
    (tmp_path / "link").symlink_to(snapshot)
    assert weights_hash(str(tmp_path / "link"), "teacher")
    (blobs / WEIGHTS).rename(tmp_path / WEIGHTS)
    (blobs / WEIGHTS).symlink_to(tmp_path / WEIGHTS)
    refused(snapshot, WEIGHTS, "model.safetensors is a link to a file outside of the folder")


def test_what_published_models_say_is_no_fault(model: Path) -> None:
    """A tokenizer without a limit, and labels that are called like sizes."""
    labels = ["shallow", *map(str, range(2000)), "depth"]
    numbers = {label: number for number, label in enumerate(labels)}
    config(id2label=dict(enumerate(labels)), label2id=numbers)(model)
    tokenizer_config(model_max_length=None)(model)
    assert load_config(str(model), "teacher").label2id["depth"] == 2001
    assert load_tokenizer(str(model), "teacher").model_max_length > 10**9


def test_all_problems_are_said_at_once(model: Path) -> None:
    both(sharded(), without(SHARDS[0]), cut(SHARDS[1]))(model)
    with pytest.raises(InputError) as caught:
        weights_hash(str(model), "student")
    assert [problem.place for problem in caught.value.problems] == ["--student"] * 2


def test_weights_of_other_models_beside_are_no_weights(model: Path) -> None:
    stored(lambda name: True)(model)
    (model / WEIGHTS).rename(model / "adapter_model.safetensors")
    refused(model, WEIGHTS, "this model has no safetensors weights")
