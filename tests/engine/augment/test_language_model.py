"""The masked-language model of the dataset's own texts, and named ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from engine.augment import language_model
from engine.augment.contextual import MaskedWords
from engine.augment.language_model import in_domain, load_language_model, masked_loss, masking
from engine.augment.passages import passage_of
from engine.base.errors import InputError
from engine.base.hub import TOKENIZER, WEIGHTS
from engine.base.machine import Machine
from engine.data.task import Task
from engine.models.load import save_model
from engine.pipeline import Contextual
from engine.tokens.ragged import NO_LABEL
from tests.engine.models.damage import Damage, cut, sharded, stored, vocabulary, without
from tests.tokenizers import wordpiece
from tests.toys import save_tiny, tiny_config, toy_task


def test_the_model_of_the_dataset_s_own_texts_knows_them(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "EPOCHS", 60)
    task = toy_task("single")
    model, tokenizer = in_domain(task, machine)
    texts = [{"input_ids": ids} for ids in tokenizer(task.train["text"][:64])["input_ids"]]
    loss = masked_loss(model, masking(tokenizer)(texts), machine)
    assert loss < 0.8 * np.log(len(tokenizer)), "no better than any word as likely as any other"
    operator = MaskedWords(Contextual(strength=1.0), model, tokenizer, machine)
    (passage,) = operator([passage_of("zzz great zzz")], np.random.default_rng(0))
    vocabulary = {word for text in task.train["text"] for word in text.split()}
    assert set(passage.text.split()) <= vocabulary


def test_it_is_trained_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "EXAMPLES", 300)
    task = toy_task("tagging", rows=40, held_out=8)
    first, _ = in_domain(task, machine)
    monkeypatch.delattr(language_model, "_trained")
    second, _ = load_language_model("in_domain", task, machine)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_the_same_texts_give_the_same_model(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "EXAMPLES", 200)
    task = toy_task("pair", rows=30, held_out=8)
    tokenizer = language_model.scratch_tokenizer(task, machine)
    one, other = (language_model._trained(task, tokenizer, machine).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_named_model_is_used(tmp_path: Path, machine: Machine) -> None:
    tokenizer = wordpiece()
    config = tiny_config(vocabulary=len(tokenizer))
    save_model(AutoModelForMaskedLM.from_config(config), tokenizer, tmp_path)
    model, read = load_language_model(str(tmp_path), toy_task("single", rows=8, held_out=4), machine)
    assert model.config.vocab_size == len(read)
    spec = Contextual(model=str(tmp_path), strength=1.0, top_k=5)
    (passage,) = MaskedWords(spec, model, read, machine)([passage_of("The dog.")], np.random.default_rng(0))
    assert passage.text.endswith(".")
    assert passage.text != "The dog."


def test_a_model_without_the_head_is_refused(tmp_path: Path, machine: Machine) -> None:
    task: Task = toy_task("single", rows=8, held_out=4)
    save_tiny(tmp_path, task)
    with pytest.raises(InputError, match=r"augmentation\.contextual\.model: .*lacks the head it is to be used with"):
        load_language_model(str(tmp_path), task, machine)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "cut": (cut(WEIGHTS), "model.safetensors is no safetensors file or not whole"),
    "embeddings": (stored(lambda name: "word_embeddings" not in name), "no masked-language model can be loaded"),
    "tokenizer": (without(TOKENIZER), "this model has no tokenizer"),
    "special tokens alone": (vocabulary(5), "tokenizer.json holds 5 tokens, and the model knows 300"),
    "pickle": (sharded(lambda name, shard: "pytorch_model.bin"), "from 'pytorch_model.bin', which is no safetensors"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_model_is_refused(case: str, tmp_path: Path, machine: Machine) -> None:
    tokenizer, folder = wordpiece(), tmp_path / "model"
    save_model(AutoModelForMaskedLM.from_config(tiny_config(vocabulary=len(tokenizer))), tokenizer, folder)
    damage, words = DAMAGES[case]
    damage(folder)
    with pytest.raises(InputError, match=r"augmentation\.contextual\.model: ") as caught:
        load_language_model(str(folder), toy_task("single", rows=8, held_out=4), machine)
    assert words in str(caught.value)


def test_no_such_model(machine: Machine) -> None:
    with pytest.raises(InputError, match=r"augmentation\.contextual\.model: no such folder"):
        load_language_model("./none", toy_task("single", rows=8, held_out=4), machine)


def test_a_share_of_the_words_is_masked_and_no_special_token() -> None:
    tokenizer = wordpiece()
    texts = [{"input_ids": tokenizer("the quick brown fox jumps over the lazy dog")["input_ids"]}] * 400
    batch = masking(tokenizer)(texts)
    masked = batch["labels"] != NO_LABEL
    assert (batch["input_ids"][masked] == tokenizer.mask_token_id).all()
    whole = torch.tensor(texts[0]["input_ids"]).expand_as(masked)
    assert torch.equal(batch["labels"][masked], whole[masked])
    assert torch.equal(batch["input_ids"][~masked], whole[~masked])
    special = torch.isin(whole, torch.tensor(tokenizer.all_special_ids))
    assert not (masked & special).any()
    assert masked[~special].float().mean().item() == pytest.approx(language_model.MASKED, abs=0.02)
    assert torch.equal(masking(tokenizer)(texts)["labels"], batch["labels"])


def test_it_is_taught_as_by_the_whole_forward_pass(machine: Machine) -> None:
    tokenizer = wordpiece()
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(tiny_config(vocabulary=len(tokenizer))).eval()
    batch = masking(tokenizer)([{"input_ids": tokenizer("the quick brown fox jumps")["input_ids"]}] * 8)
    masked_loss(model, dict(batch), machine).backward()
    gradients = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(**{k: batch[k] for k in ("input_ids", "attention_mask")}).logits.mT,
                                      batch["labels"], ignore_index=NO_LABEL).backward()  # fmt: skip
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients.get(name))


def test_a_batch_in_which_nothing_is_masked_teaches_nothing(machine: Machine) -> None:
    tokenizer = wordpiece()
    model = AutoModelForMaskedLM.from_config(tiny_config(vocabulary=len(tokenizer)))
    batch = dict(tokenizer(["the dog"], return_tensors="pt"))
    loss = masked_loss(model, batch | {"labels": torch.full_like(batch["input_ids"], NO_LABEL)}, machine)
    loss.backward()
    assert loss == 0
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)
