"""Tokenizers and weights that are not the model's: refused, where transformers makes up what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    BertForPreTraining,
    PreTrainedTokenizerBase,
)

from engine.base.errors import InputError
from engine.base.hub import TOKENIZER, WEIGHTS
from engine.models.fit import is_body
from engine.models.load import (
    HEADS,
    build,
    for_task,
    load_config,
    load_pretrained,
    load_tokenizer,
    load_weights,
    save_model,
)
from engine.pipeline.presets import PRESETS
from engine.run.plan import plan_run
from tests.engine.models.damage import Damage, both, config, stored, tokenizer_config, vocabulary, without
from tests.tokenizers import bare_bpe, byte_bpe, unigram, wordpiece
from tests.toys import ARCHITECTURES, perturb, save_tiny, tiny_config, toy_task

TASK = toy_task("single", rows=8, held_out=8)


@pytest.fixture
def model(tmp_path: Path, saved: Callable[..., Path]) -> Path:
    return Path(shutil.copytree(saved(), tmp_path / "model"))


def loaded(folder: Path, new_head: bool = True, kind: str = "classification"):
    """As a student that is trained, or as a model that is used as it is."""
    read = load_config(str(folder), "student")
    if new_head:
        for_task(read, TASK, wordpiece())
    return load_pretrained(str(folder), read, kind, 0, "student", new_head)


# --- tokenizers --------------------------------------------------------------------------------------

BERTS = tokenizer_config(tokenizer_class="BertTokenizer")
TOKENIZERS: dict[str, tuple[Damage, str]] = {
    "five words that transformers makes up": (both(BERTS, without(TOKENIZER)), "this model has no tokenizer"),
    "an empty list of words": (
        both(BERTS, without(TOKENIZER), lambda folder: (folder / "vocab.txt").write_text("")),
        "its tokenizer cannot be used: tokenizer_config.json, vocab.txt",
    ),
    "special tokens alone": (vocabulary(5), "tokenizer.json holds 5 tokens, and the model knows 300"),
    "special tokens alone, of a class": (both(BERTS, vocabulary(5)), "tokenizer.json holds 5 tokens, and the model kn"),
    "no words": (vocabulary(0), "its tokenizer cannot be used: tokenizer.json"),
    "a part of the words": (vocabulary(200), "tokenizer.json holds 200 tokens, and the model knows 300"),
    "more than embeddings": (vocabulary(350), "holds 50 tokens beyond the 300 of the model, such as 'further300'"),
    "pieces without their merges": (
        both(
            tokenizer_config(tokenizer_class="RobertaTokenizer"),
            without(TOKENIZER),
            lambda folder: (folder / "vocab.json").write_text(json.dumps(byte_bpe().get_vocab())),
        ),
        "its tokenizer cannot be used: tokenizer_config.json, vocab.json",
    ),
    "words of another form": (
        both(BERTS, without(TOKENIZER), lambda folder: (folder / "spm.model").write_bytes(b"")),
        "vocab.txt or tokenizer.json is missing",
    ),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_tokenizers_of_other_models(case: str, model: Path) -> None:
    damage, words = TOKENIZERS[case]
    damage(model)
    with pytest.raises(InputError) as caught:
        load_tokenizer(str(model), "student")
    (problem,) = caught.value.problems
    assert (problem.place, problem.got) == ("--student", repr(str(model)))
    assert words in problem.what


def test_a_vocabulary_in_another_form_is_read(model: Path) -> None:
    before = load_tokenizer(str(model), "student")
    words = sorted(before.get_vocab().items(), key=lambda pair: pair[1])
    (model / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), "utf-8")
    both(without(TOKENIZER), tokenizer_config(tokenizer_class="BertTokenizer"))(model)
    after = load_tokenizer(str(model), "student")
    assert after.get_vocab() == before.get_vocab()
    assert after("a great house").input_ids == before("a great house").input_ids


@pytest.mark.parametrize("build_tokenizer", [wordpiece, byte_bpe, bare_bpe, unigram])
@pytest.mark.parametrize("spare", [0, 32])
def test_rows_may_be_left_over(
    build_tokenizer: Callable[[], PreTrainedTokenizerBase], spare: int, tmp_path: Path
) -> None:
    tokenizer = build_tokenizer()
    read = for_task(tiny_config(vocabulary=len(tokenizer) + spare, pad_token_id=None), TASK, tokenizer)
    save_model(build(read, "classification", 0), tokenizer, tmp_path)
    assert load_tokenizer(str(tmp_path), "student").get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("token", ["[IMAGE]", "[PAD]"])
def test_a_special_token_without_embedding_is_refused_where_texts_need_it(token: str, tmp_path: Path) -> None:
    """As Gemma's tokenizer has one for images, which no text holds."""
    save_tiny(tmp_path, TASK)
    added = load_tokenizer(str(tmp_path), "student")
    images = token == "[IMAGE]"
    added.add_special_tokens({"additional_special_tokens": [token]} if images else {"pad_token": "<pad>"})
    added.save_pretrained(tmp_path)
    if images:
        assert len(load_tokenizer(str(tmp_path), "student")) == 301
    else:
        with pytest.raises(InputError, match="1 token beyond the 300 of the model, such as '<pad>'"):
            load_tokenizer(str(tmp_path), "student")


# --- weights -----------------------------------------------------------------------------------------

LACKING: dict[str, tuple[Damage, str]] = {
    "head alone": (stored(lambda name: name.startswith("classifier")), f"{WEIGHTS} lacks bert.embeddings.Layer"),
    "nothing": (stored(lambda name: False), f"{WEIGHTS} lacks bert.embeddings.LayerNorm.bias"),
    "no words": (stored(lambda name: "word_emb" not in name), f"{WEIGHTS} lacks bert.embeddings.word_"),
    "one weight": (stored(lambda name: "3.output.dense.b" not in name), "bert.encoder.layer.3.output.dense.bias"),
    "fewer layers": (config(num_hidden_layers=5), f"{WEIGHTS} lacks bert.encoder.layer.4.attention.output.LayerNorm.b"),
    "more layers": (config(num_hidden_layers=2), f"{WEIGHTS} holds layers that config.json does not count: bert"),
    "width": (
        config(hidden_size=32),
        "bert.embeddings.LayerNorm.bias is 16 in model.safetensors and 32 by config.json",
    ),
    "words": (config(vocab_size=310), "word_embeddings.weight is 300 × 16 in model.safetensors and 310 × 16 by config"),
    "10^8 words": (config(vocab_size=10**8), "is 300 × 16 in model.safetensors and 100000000 × 16 by config.json"),
    "another type": (config(model_type="electra"), f"{WEIGHTS} lacks "),
}
HEADLESS: dict[str, tuple[Damage, str]] = {
    "body alone": (
        stored(lambda name: not name.startswith("classifier")),
        f"{WEIGHTS} lacks the head it is to be used with: classifier.bias, classifier.weight",
    ),
    "no pooler": (stored(lambda name: "pooler" not in name), f"{WEIGHTS} lacks bert.pooler.dense.bias"),
}


@pytest.mark.parametrize("case", LACKING)
@pytest.mark.parametrize("new_head", [True, False])
def test_a_body_is_never_made_up(case: str, new_head: bool, model: Path) -> None:
    damage, words = LACKING[case]
    damage(model)
    with pytest.raises(InputError, match="--student: its weights cannot be loaded") as caught:
        loaded(model, new_head)
    assert words in str(caught.value)


@pytest.mark.parametrize("case", HEADLESS)
def test_a_head_is_made_up_where_it_is_trained_alone(case: str, model: Path) -> None:
    damage, words = HEADLESS[case]
    damage(model)
    body = {name: value for name, value in load_file(model / WEIGHTS).items() if name.startswith("bert")}
    found = loaded(model).state_dict()
    assert all(torch.equal(found[name], value) for name, value in body.items())
    with pytest.raises(InputError) as caught:
        loaded(model, new_head=False)
    assert words in str(caught.value)


def test_a_plan_refuses_a_students_weights_before_a_teacher_is_trained(saved: Callable[..., Path], model: Path) -> None:
    stored(lambda name: "layer.1" not in name)(model)
    with pytest.raises(InputError, match="--student: its weights cannot be loaded"):
        plan_run(TASK, PRESETS["mi_alpha"].pipeline, "scratch:layers=4,hidden=16,heads=2", str(model))


def test_a_plan_refuses_a_teacher_whose_head_is_missing(model: Path) -> None:
    stored(lambda name: not name.startswith("classifier"))(model)
    with pytest.raises(InputError, match="--teacher: its weights cannot be loaded .*lacks the head"):
        plan_run(TASK, PRESETS["mi_alpha"].pipeline, str(model), "layers:2")


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def encoder(architecture: str):
    made = (
        AutoConfig.for_model("mpnet", vocab_size=300, **SIZES)
        if architecture == "mpnet"
        else tiny_config(architecture, layers=2)
    )
    return for_task(made, TASK, wordpiece())


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "mpnet"])
def test_bodies_and_pretrained_models_of_all_types_start_a_student(architecture: str, tmp_path: Path) -> None:
    """Saved without a head, with that of pretraining, or with another task's."""
    for auto in (AutoModel, AutoModelForMaskedLM, HEADS["tagging"], HEADS["classification"]):
        origin = auto.from_config(encoder(architecture))
        perturb(origin)
        save_model(origin, wordpiece(), tmp_path)
        found = loaded(tmp_path)
        body = found.base_model.state_dict()
        theirs = origin.base_model.state_dict()
        assert sum(torch.equal(body[name], value) for name, value in theirs.items() if name in body) > 0.8 * len(body)
        if auto is AutoModelForMaskedLM:
            again = load_weights(auto, str(tmp_path), load_config(str(tmp_path), "student"), "student").state_dict()
            assert all(torch.equal(again[name], value) for name, value in origin.state_dict().items())
        if auto is not HEADS["classification"] and architecture != "modernbert":  # its heads are alike
            with pytest.raises(InputError, match="its weights cannot be loaded"):
                loaded(tmp_path, new_head=False)


def test_the_head_of_a_pretraining_objective_is_left_out(tmp_path: Path) -> None:
    origin = BertForPreTraining(encoder("bert"))
    save_model(origin, wordpiece(), tmp_path)
    assert torch.equal(loaded(tmp_path).bert.pooler.dense.weight, origin.bert.pooler.dense.weight)


def test_what_belongs_to_a_body(saved: Callable[..., Path]) -> None:
    whole = loaded(saved())
    assert is_body(whole, "bert.encoder.layer.0.output.dense.bias")
    assert not is_body(whole, "classifier.bias")
    assert is_body(whole.bert, "encoder.layer.0.output.dense.bias")


def test_a_llama_answers_questions_with_its_own_body(tmp_path: Path) -> None:
    """Transformers looks for it under another name, and made it up."""
    read = AutoConfig.for_model("llama", vocab_size=300, pad_token_id=0, **SIZES)
    origin = HEADS["classification"].from_config(read)
    save_model(origin, wordpiece(), tmp_path)
    answers = partial(load_pretrained, config=load_config(str(tmp_path), "teacher"), seed=0, role="teacher")
    found = answers(str(tmp_path), kind="question_answering")
    body = origin.model.state_dict()
    assert all(torch.equal(found.transformer.state_dict()[name], value) for name, value in body.items())
    save_model(found, wordpiece(), tmp_path / "saved")
    plain = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved")
    again = answers(str(tmp_path / "saved"), kind="question_answering", new_head=False)
    for each in (plain, again):
        assert all(torch.equal(each.state_dict()[name], value) for name, value in found.state_dict().items())
