"""Models: how they are configured, built, loaded and saved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, BertModel, PreTrainedTokenizerFast

from engine.base.errors import InputError
from engine.data.task import KINDS as OF_KIND
from engine.models.forward import forward
from engine.models.load import (
    HEADS,
    build,
    depth_and_width,
    for_task,
    has_head,
    label_order,
    load_config,
    load_pretrained,
    load_tokenizer,
    name_labels,
    names_of_outputs,
    position_limit,
    reorder_labels,
    save_model,
    weights_hash,
)
from tests.engine.models.scenes import KINDS, batch
from tests.tokenizers import bare_bpe, byte_bpe, wordpiece
from tests.toys import ARCHITECTURES, perturb, save_tiny, tiny_config, toy_task

# --- configurations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_the_configuration_says_the_labels(name: str) -> None:
    task = toy_task(name)
    config = for_task(tiny_config(pad_token_id=None), task, wordpiece())
    assert config.num_labels == task.outputs
    assert tuple(config.id2label.values()) == (task.labels or tuple(config.id2label.values()))
    assert {name: index for index, name in config.id2label.items()} == config.label2id
    assert config.pad_token_id == wordpiece().pad_token_id
    assert (config.problem_type == "regression") == (task.kind == "regression")


@pytest.mark.parametrize("name", KINDS)
def test_a_head_is_known_by_its_kind(name: str) -> None:
    task = toy_task(name)
    config = tiny_config()
    assert not has_head(config, task.kind)
    config.architectures = ["BertModel"]
    assert not has_head(config, task.kind)
    config.architectures = [HEADS[task.kind].from_config(config).__class__.__name__]
    config.problem_type = OF_KIND[task.kind].problem_type
    alike = {"classification": "regression", "regression": "classification"}.get(task.kind)
    for other in HEADS:
        assert has_head(config, other) == (other in (task.kind, alike))


def test_a_model_without_depth_and_width() -> None:
    config = AutoConfig.for_model("funnel")
    config.hidden_size = None
    with pytest.raises(InputError, match="names no num_hidden_layers and hidden_size"):
        depth_and_width(config)


def test_position_limits() -> None:
    assert position_limit(tiny_config("bert")) == 64
    assert position_limit(tiny_config("modernbert")) == 64
    assert position_limit(AutoConfig.for_model("xlnet")) is None
    # Batches are padded to a multiple of 8.
    assert position_limit(tiny_config("bert", max_position_embeddings=61)) == 56
    assert position_limit(tiny_config("roberta", pad_token_id=1, max_position_embeddings=63)) == 56


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_position_limit_can_be_read_to_its_end(architecture: str) -> None:
    task = toy_task("single")
    config = for_task(tiny_config(architecture, pad_token_id=1), task, wordpiece())
    limit = position_limit(config)
    assert limit == 64
    ids = torch.full((1, limit), 9)
    model = build(config, task.kind, seed=0).eval()
    assert forward(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, task.kind).logits.isfinite().all()


# --- random weights and weights from disk ------------------------------------------------------------


def test_the_seed_decides_random_weights(saved: Callable[..., Path]) -> None:
    task = toy_task("pair")
    config = for_task(tiny_config(), task, wordpiece())
    folder = str(saved("single"))

    def head(model: torch.nn.Module) -> torch.Tensor:
        return next(value for name, value in model.named_parameters() if "classifier" in name)

    made = [head(build(config, task.kind, seed)) for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    loaded = [head(load_pretrained(folder, config, task.kind, seed, "student")) for seed in (0, 0, 1)]
    assert torch.equal(loaded[0], loaded[1])
    assert not torch.equal(loaded[0], loaded[2])


@pytest.mark.parametrize("name", KINDS)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    task = toy_task(name)
    model = save_tiny(tmp_path, task).eval()
    loaded = load_pretrained(
        str(tmp_path), load_config(str(tmp_path), "teacher"), task.kind, 0, "teacher", new_head=False
    ).eval()
    inputs = batch(task)
    weights = loaded.state_dict()
    assert all(torch.equal(weights[key], values) for key, values in model.state_dict().items())
    # Not to the last bit: kernels may add up in another order where a tensor lies otherwise in memory.
    torch.testing.assert_close(*(forward(each, inputs, task.kind).logits for each in (loaded, model)))
    assert loaded.config.id2label == model.config.id2label


def test_an_encoder_gets_a_new_head_and_keeps_its_weights(tmp_path: Path) -> None:
    config = tiny_config()
    encoder = BertModel(config)
    perturb(encoder)
    encoder.save_pretrained(tmp_path)
    task = toy_task("pair")
    loaded = load_pretrained(str(tmp_path), for_task(config, task, wordpiece()), task.kind, 0, "teacher", new_head=True)
    assert all(torch.equal(value, loaded.bert.state_dict()[name]) for name, value in encoder.state_dict().items())
    assert loaded.classifier.out_features == 2


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    task = toy_task("single")
    save_tiny(tmp_path, task).half().save_pretrained(tmp_path)
    config = load_config(str(tmp_path), "teacher")
    loaded = load_pretrained(str(tmp_path), config, task.kind, 0, "teacher")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_a_head_of_another_size(saved: Callable[..., Path]) -> None:
    task = toy_task("pair")
    folder = str(saved("single"))
    config = for_task(load_config(folder, "teacher"), task, wordpiece())
    assert load_pretrained(folder, config, task.kind, 0, "teacher").classifier.out_features == 2
    with pytest.raises(InputError, match="--teacher: its weights cannot be loaded"):
        load_pretrained(folder, config, task.kind, 0, "teacher", new_head=False)


def test_only_safetensors_are_loaded(tmp_path: Path, saved: Callable[..., Path]) -> None:
    task = toy_task("single")
    shutil.copytree(saved("single"), tmp_path, dirs_exist_ok=True)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no safetensors weights \(no model\.safetensors and"):
        weights_hash(str(tmp_path), "teacher")
    with pytest.raises(InputError, match="no safetensors weights"):
        load_pretrained(str(tmp_path), model.config, task.kind, 0, "teacher")


def test_remote_code_never_runs(tmp_path: Path, saved: Callable[..., Path]) -> None:
    shutil.copytree(saved("single"), tmp_path, dirs_exist_ok=True)
    own = '{"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}'
    (tmp_path / "config.json").write_text(own)
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    with pytest.raises(InputError, match=r"its config\.json cannot be used \(The repository"):
        load_config(str(tmp_path), "teacher")
    assert not (tmp_path / "ran").exists()


def test_the_hash_follows_the_weights(tmp_path: Path) -> None:
    task = toy_task("single")
    hashes = []
    for seed, folder in ((0, "a"), (0, "b"), (1, "c")):
        save_tiny(tmp_path / folder, task, seed=seed)
        hashes.append(weights_hash(str(tmp_path / folder), "teacher"))
    assert hashes[0] == hashes[1] != hashes[2]


# --- tokenizers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("build_tokenizer", [wordpiece, byte_bpe, bare_bpe])
def test_every_tokenizer_can_pad(build_tokenizer: Callable[[], PreTrainedTokenizerFast], tmp_path: Path) -> None:
    save_tiny(tmp_path, toy_task("single"), tokenizer=build_tokenizer())
    loaded = load_tokenizer(str(tmp_path), "teacher")
    assert loaded.pad_token is not None
    assert loaded.get_vocab() == build_tokenizer().get_vocab()


# --- the order of labels -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["single", "tagging"])
def test_labels_in_another_order_are_moved(name: str) -> None:
    task = toy_task(name)
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, seed=0).eval()
    perturb(model)
    before = forward(model, batch(task), task.kind).logits
    turned = (task.labels[2], task.labels[0], task.labels[1])
    assert reorder_labels(model, turned)
    assert torch.equal(forward(model, batch(task), task.kind).logits, before[..., [2, 0, 1]])
    assert tuple(model.config.id2label.values()) == turned
    assert model.config.label2id[turned[0]] == 0
    assert not reorder_labels(model, turned)


@pytest.mark.parametrize(
    "labels", [("bad", "dull", "good"), ("BAD", "Dull", "good"), ("LABEL_0", "LABEL_1", "LABEL_2")]
)
def test_labels_that_agree_or_have_no_names_stay(labels: tuple[str, ...]) -> None:
    task = toy_task("single")
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, seed=0)
    name_labels(model.config, labels)
    before = model.classifier.weight.clone()
    assert not reorder_labels(model, task.labels)
    assert torch.equal(model.classifier.weight, before)
    assert names_of_outputs(model.config) == list(task.labels)


@pytest.mark.parametrize("labels", [("x", "y", "z"), ("good", "bad", "x"), ("0", "1", "2")])
def test_other_labels_are_refused(labels: tuple[str, ...]) -> None:
    task = toy_task("single")
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, seed=0)
    with pytest.raises(InputError, match="its labels are not the dataset's; got bad, dull, good; allowed: "):
        reorder_labels(model, labels)


@pytest.mark.parametrize(
    ("names", "labels", "order"),
    [
        (["Not Entailment", "ENTAILMENT"], ["entailment", "not_entailment"], [1, 0]),
        (["b-per", "O", "i per"], ["B-PER", "I-PER", "O"], [0, 2, 1]),
        (["-1", "1"], ["1", "-1"], [1, 0]),
        (["1-2", "12"], ["12", "1-2"], [1, 0]),
        (["LABEL_1", "LABEL_0"], ["LABEL_0", "LABEL_1"], [1, 0]),
        (["LABEL_0", "LABEL_1"], ["b", "a"], [0, 1]),
        (["LABEL_0", "LABEL_1"], ["a", "b", "c"], None),
        (["negative", "positive"], ["0", "1"], None),
        (["a b", "a_b"], ["A-b", "a/B"], None),
    ],
)
def test_labels_are_matched_by_name(names: list[str], labels: list[str], order: list[int] | None) -> None:
    assert label_order(names, labels) == order


def test_labels_that_cannot_be_moved() -> None:
    task = toy_task("single")
    config = for_task(tiny_config(hidden_size=18, intermediate_size=3), task, wordpiece())
    model = build(config, task.kind, seed=0)
    with pytest.raises(InputError, match="its labels stand in another order than the dataset's"):
        reorder_labels(model, ("good", "bad", "dull"))


def test_saving_leaves_the_ordinary_layout(tmp_path: Path) -> None:
    task = toy_task("single")
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, seed=0)
    save_model(model, wordpiece(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
