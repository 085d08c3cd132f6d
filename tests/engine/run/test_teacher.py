"""The teacher: used as it is or fine-tuned once, scored once, and found again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from engine.base.errors import InputError
from engine.base.hub import TOKENIZER
from engine.base.machine import Machine, machine_for
from engine.base.options import FineTuning, HeldIn, RunOptions
from engine.evaluation.inference import encode_held_out, scores_on
from engine.models.adapters import FILE, checkpointing_gradients
from engine.models.held import has_library
from engine.models.load import name_labels, save_model
from engine.models.names import parse_model
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline import Pipeline, Training
from engine.run.plan import MEMBERS, plan_run, plan_teacher
from engine.run.teacher import _load_kept, idle_fine_tuning, prepare_teacher
from tests.engine.models.damage import Damage, stored, vocabulary, without
from tests.engine.runs import small
from tests.tokenizers import wordpiece
from tests.toys import ROWS, save_tiny, toy_task

SCRATCH = "scratch:layers=2,hidden=16,heads=2"
QUICK = FineTuning(epochs=2, batch_size=8, learning_rate=1e-3)
needs_library = pytest.mark.skipif(not has_library(), reason="bitsandbytes is not installed")
KINDS = [name for name in ROWS if name != "pair"]


def training_for(task):
    return Training(epochs=1, batch_size=8).for_task(task)


def prepared(name: str, task, machine: Machine, fine_tuning: FineTuning = QUICK, training: Training | None = None):
    plan = plan_teacher(parse_model(name, "teacher"), task, fine_tuning)
    return prepare_teacher(plan, task, training or training_for(task), machine)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in model.parameters()])


# --- used as it is -----------------------------------------------------------------------------------


IDLE = FineTuning(epochs=9, lora=8, gradient_checkpointing=True)


@pytest.mark.parametrize(
    ("fine_tuning", "said"),
    [
        (IDLE, ["--teacher-epochs, --teacher-lora, --gradient-checkpointing change nothing"]),
        (FineTuning(learning_rate=1e-3), ["--teacher-learning-rate changes nothing"]),
        (FineTuning(), []),
        (FineTuning(epochs=9, when="always"), []),
    ],
)
def test_options_of_a_fine_tuning_that_does_not_happen_are_said_to_change_nothing(
    fine_tuning: FineTuning, said: list[str], tmp_path: Path
) -> None:
    task = toy_task("single", rows=8, held_out=8)
    save_tiny(tmp_path / "teacher", task)
    plan = plan_run(task, Pipeline(), str(tmp_path / "teacher"), "layers:1", fine_tuning=fine_tuning)
    again = "; --fine-tune always trains it again"
    assert idle_fine_tuning(plan, fine_tuning) == [
        f"the teacher is fine-tuned already, so {each}{again}" for each in said
    ]


def test_a_run_says_which_options_change_nothing(tmp_path: Path, options: RunOptions, ear) -> None:
    save_tiny(tmp_path / "teacher", toy_task("single", rows=24, held_out=8))
    small(options, tmp_path / "out", teacher=str(tmp_path / "teacher"), reporter=ear)
    assert any("so --teacher-epochs, --teacher-learning-rate change nothing" in said for said in ear.messages)


def test_options_of_a_fine_tuning_may_be_for_others_of_a_team(tmp_path: Path) -> None:
    task = toy_task("single", rows=8, held_out=8)
    save_tiny(tmp_path / "teacher", task)
    for kind, member in (("average", SCRATCH), ("assistants", str(tmp_path / "teacher"))):
        team = Pipeline.model_validate({"team": {"kind": kind, "members": [member]}})
        plan = plan_run(task, team, str(tmp_path / "teacher"), "layers:1", fine_tuning=FineTuning(epochs=9))
        assert idle_fine_tuning(plan, FineTuning(epochs=9)) == []
    given = replace(plan, teacher=None, members=(), pipeline=Pipeline())
    assert idle_fine_tuning(given, FineTuning(epochs=9)) == [
        "the data bring soft labels, so --teacher-epochs changes nothing"
    ]


@pytest.mark.parametrize("name", KINDS)
def test_a_fine_tuned_teacher_is_used_as_it_is(name: str, tmp_path: Path, machine: Machine, ear) -> None:
    task = toy_task(name, rows=16, held_out=16)
    model = save_tiny(tmp_path / "teacher", task)
    teacher = prepared(str(tmp_path / "teacher"), task, machine)
    held_out = encode_held_out(task, wordpiece(), training_for(task))
    assert torch.equal(weights(teacher.model), weights(model))
    assert teacher.scores == scores_on(model, task, held_out, machine.accelerator)
    assert not ear.worked
    assert not [*(machine.options.cache / "teachers").rglob("model.safetensors")]


def test_labels_in_another_order_change_no_score(tmp_path: Path, machine: Machine) -> None:
    task = toy_task("single", held_out=48)
    teacher = prepared("scratch:layers=2,hidden=64,heads=2", task, machine, QUICK.model_copy(update={"epochs": 6}))
    assert teacher.scores["validation"]["accuracy"] > 0.6
    turned = replace(task, labels=("good", "bad", "dull"), fingerprint="turned")
    there = {"good": 0, "bad": 1, "dull": 2}
    moved = {
        name: rows.map(lambda row: {"label": there[task.labels[row["label"]]]})
        for name, rows in {"train": task.train, **task.validation}.items()
    }
    turned = replace(turned, train=moved["train"], validation={"validation": moved["validation"]})
    save_model(teacher.model, teacher.tokenizer, tmp_path / "teacher")
    again = prepared(str(tmp_path / "teacher"), turned, machine)
    assert again.scores == teacher.scores
    assert tuple(again.model.config.id2label.values()) == turned.labels


def test_scores_of_a_known_teacher_are_not_computed_again(
    tmp_path: Path, machine: Machine, ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = toy_task("single", rows=16, held_out=16)
    save_tiny(tmp_path / "teacher", task)
    first = prepared(str(tmp_path / "teacher"), task, machine)
    monkeypatch.setattr("engine.run.teacher.measured_on", lambda *_: pytest.fail("scored again"))
    second = prepared(str(tmp_path / "teacher"), task, machine)
    assert (second.scores, second.key) == (first.scores, first.key)
    assert "known on this dataset" in ear.messages[-1]


# --- in less memory ----------------------------------------------------------------------------------


def test_a_teacher_by_lora_is_an_ordinary_model_that_learned(tmp_path: Path, machine: Machine, ear) -> None:
    task, by_lora = toy_task("single", held_out=48), FineTuning(epochs=3, batch_size=8, learning_rate=1e-2, lora=4)
    known = prepared("scratch:layers=2,hidden=64,heads=2", task, machine, QUICK.model_copy(update={"epochs": 6}))
    save_model(known.model.bert, known.tokenizer, tmp_path / "body")  # its head goes
    teacher = prepared(str(tmp_path / "body"), task, machine, by_lora)
    assert teacher.scores["validation"]["accuracy"] > 0.6
    assert any("first by LoRA of rank 4, 3 epochs" in said for said in ear.messages)
    before, after = known.model.bert.state_dict(), teacher.model.bert.state_dict()
    assert after.keys() == before.keys()
    moved = {name for name in after if not torch.equal(after[name].cpu(), before[name].cpu())}
    linear = {name for name, part in teacher.model.bert.named_modules() if isinstance(part, torch.nn.Linear)}
    assert moved == {f"{name}.weight" for name in linear}
    again = prepared(str(tmp_path / "body"), task, machine, by_lora)
    assert again.scores == teacher.scores
    assert all(torch.equal(values, after[name]) for name, values in again.model.bert.state_dict().items())


def test_layers_that_are_computed_again_make_the_same_teacher(
    saved: Callable[..., Path], tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def heard(model: PreTrainedModel, whether: bool):
        asked.append(whether)
        return checkpointing_gradients(model, whether)

    monkeypatch.setattr("engine.run.fine_tuning.checkpointing_gradients", heard)
    task = toy_task("single", rows=24, held_out=8)
    there = [replace(machine, options=RunOptions(cache_dir=str(tmp_path / name))) for name in ("kept", "again")]
    tunings = [QUICK.model_copy(update={"when": "always", "gradient_checkpointing": again}) for again in (False, True)]
    plain, again = (prepared(str(saved("single")), task, *each) for each in zip(there, tunings, strict=True))
    assert asked == [False, True]
    assert plain.key == again.key
    assert torch.equal(weights(plain.model), weights(again.model))
    assert not again.model.is_activation_checkpointing


def test_lora_needs_weights_to_stand_beside() -> None:
    with pytest.raises(InputError, match="--teacher-lora: LoRA learns beside weights that stand.*got 4.*Leave it out"):
        plan_teacher(parse_model(SCRATCH, "teacher"), toy_task("single"), FineTuning(lora=4))


def with_body(folder: Path, task, machine: Machine) -> str:
    known = prepared("scratch:layers=2,hidden=64,heads=2", task, machine, QUICK.model_copy(update={"epochs": 6}))
    save_model(known.model.bert, known.tokenizer, folder)  # its head goes
    return str(folder)


@pytest.mark.parametrize("bits", ["bf16", *(pytest.param(bits, marks=needs_library) for bits in ("8bit", "4bit"))])
def test_a_teacher_in_fewer_bits_learns_beside_them_and_is_found_again(
    bits: HeldIn, tmp_path: Path, machine: Machine, ear
) -> None:
    task = toy_task("single", held_out=48)
    body = with_body(tmp_path / "body", task, machine)
    tuning = FineTuning(epochs=3, batch_size=8, learning_rate=1e-2, lora=4, weights=bits)
    whole = plan_teacher(body, task, tuning.model_copy(update={"weights": "float32"}))
    assert plan_teacher(body, task, tuning).start.identity != whole.start.identity
    teacher = prepared(body, task, machine, tuning)
    assert teacher.scores["validation"]["accuracy"] > 0.6
    assert f"teacher: the weights of its linear layers are held in {bits}" in ear.messages
    kept = machine.options.cache / "teachers"
    assert len([*kept.rglob(FILE)]) == 1
    again = prepared(body, task, machine, tuning)
    assert "known on this dataset" in ear.messages[-1]
    assert again.scores == teacher.scores
    state = teacher.model.state_dict()
    assert all(torch.equal(values, state[name]) for name, values in again.model.state_dict().items())
    (file,) = kept.rglob(FILE)
    file.write_bytes(file.read_bytes()[:-9])
    assert prepared(body, task, machine, tuning).scores == teacher.scores
    assert any("was damaged" in said for said in ear.messages)


def test_lora_learns_ten_times_as_fast(saved: Callable[..., Path]) -> None:
    plans = [
        plan_teacher(str(saved("single")), toy_task("single"), FineTuning(when="always", lora=lora))
        for lora in (None, 4)
    ]
    plain, lora = (plan.fine_tuning.learning_rate for plan in plans)
    assert lora == pytest.approx(10 * plain)


# --- refused -----------------------------------------------------------------------------------------


def refused(name: str, task, words: str, policy: str = "auto") -> None:
    with pytest.raises(InputError, match=words):
        plan_teacher(parse_model(name, "teacher"), task, FineTuning(when=policy))


def test_other_labels(saved: Callable[..., Path]) -> None:
    task = replace(toy_task("single"), labels=("hot", "cold", "mild"))
    words = "--teacher: it was fine-tuned for other labels .*; got bad, dull, good; allowed: hot, cold, mild"
    refused(str(saved("single")), task, words)
    assert plan_teacher(str(saved("single")), task, FineTuning(when="always")).fine_tune
    same = replace(task, labels=("Good", "bad", "DULL"))
    assert plan_teacher(str(saved("single")), same, FineTuning()).start.ready


def test_labels_without_names_are_taken_in_their_order_and_it_is_said(tmp_path: Path, machine: Machine, ear) -> None:
    task = toy_task("single")
    model = save_tiny(tmp_path, task)
    name_labels(model.config, ["LABEL_0", "LABEL_1", "LABEL_2"])
    model.save_pretrained(tmp_path)
    loaded, _ = plan_teacher(str(tmp_path), task, FineTuning()).begin(task, machine)
    assert torch.equal(loaded.classifier.weight, model.classifier.weight)
    assert tuple(loaded.config.id2label.values()) == task.labels
    (said,) = ear.messages
    assert said.endswith("LABEL_0 as bad, LABEL_1 as dull, LABEL_2 as good")


def test_another_number_of_labels(saved: Callable[..., Path]) -> None:
    words = "--teacher: it was fine-tuned for 2 labels, and toy-single has 3.*Use --fine-tune always"
    refused(str(saved("pair")), toy_task("single"), words)
    refused(str(saved("single")), toy_task("regression"), "fine-tuned for 3 labels, and toy-regression has 1")
    assert plan_teacher(str(saved("pair")), toy_task("single"), FineTuning(when="always")).fine_tune


@pytest.mark.parametrize("other", ["tagging", "question_answering"])
def test_a_head_for_another_kind_is_no_head(other: str, saved: Callable[..., Path]) -> None:
    assert plan_teacher(str(saved(other)), toy_task("single"), FineTuning()).fine_tune
    refused(str(saved(other)), toy_task("single"), "no head for classification, so it must be", "never")


def test_no_head_and_no_fine_tuning(saved: Callable[..., Path], tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(saved())
    save_model(model.bert, wordpiece(), tmp_path)
    refused(str(tmp_path), toy_task("question_answering"), "no head for question answering", "never")
    refused(SCRATCH, toy_task("single"), "--fine-tune: a teacher from scratch has to be trained", "never")


def test_weights_in_pickles_are_refused_before_anything_is_loaded(saved: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(saved(), tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    refused(str(tmp_path), toy_task("single"), "this model has no safetensors weights")


KEPT: dict[str, Damage] = {
    "no tokenizer": without(TOKENIZER),
    "special tokens alone": vocabulary(5),
    "no head": stored(lambda name: "classifier" not in name),
    "no body": stored(lambda name: "classifier" in name),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_kept_teacher_that_is_damaged_does_not_teach(case: str, machine: Machine) -> None:
    """A student of one that read every word as unknown scored 0.50 in place of 0.94."""
    task = toy_task("single", rows=8, held_out=8)
    name = "scratch:layers=1,hidden=16,heads=2"
    prepared(name, task, machine, QUICK.model_copy(update={"epochs": 1}))
    (folder,) = {path.parent for path in (machine.options.cache / "teachers").rglob(TOKENIZER)}
    KEPT[case](folder)
    with pytest.raises(InputError, match="--teacher: "):
        _load_kept(folder, lambda: pytest.fail("it was saved whole"), task)


# --- fine-tuned here ---------------------------------------------------------------------------------


def test_a_base_model_is_fine_tuned_once_and_kept(
    saved: Callable[..., Path], tmp_path: Path, options: RunOptions, ear
) -> None:
    task = toy_task("single", rows=16, held_out=16)
    base = AutoModelForSequenceClassification.from_pretrained(saved()).bert
    save_model(base, wordpiece(), tmp_path / "base")
    machine = machine_for(options, ear)
    first = prepared(str(tmp_path / "base"), task, machine)
    assert ear.worked == {"teacher": 4}  # 2 epochs of 2 steps
    assert not torch.equal(
        first.model.bert.encoder.layer[3].output.dense.weight, base.encoder.layer[3].output.dense.weight
    )
    assert tuple(first.model.config.id2label.values()) == task.labels
    second = prepared(str(tmp_path / "base"), task, machine)
    assert ear.worked == {"teacher": 4}
    assert torch.equal(weights(second.model), weights(first.model))
    assert second.scores == first.scores
    assert second.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    assert not [*options.cache.rglob("*.work")]
    held_out = encode_held_out(task, second.tokenizer, training_for(task))
    assert scores_on(second.model, task, held_out, machine.accelerator) == second.scores


def test_a_teacher_learns_until_its_score_stops_rising(tmp_path: Path, options: RunOptions, ear) -> None:
    """Four epochs at 5e-5 left it at the score of always answering the commonest class."""
    task = toy_task("single", held_out=64)
    headed = save_tiny(tmp_path / "headed", task, layers=2, hidden_size=64, intermediate_size=128)
    save_model(headed.bert, wordpiece(), tmp_path / "base")
    teacher = prepared(str(tmp_path / "base"), task, machine_for(options, ear), FineTuning())
    assert teacher.scores["validation"]["accuracy"] > 0.6


def test_what_makes_another_teacher(machine: Machine, ear) -> None:
    task = toy_task("single", rows=8, held_out=8)
    once = FineTuning(epochs=1, batch_size=8, learning_rate=1e-3)
    own = training_for(task)
    other_data = replace(task, fingerprint="other")
    same = [
        (task, once, own),
        (task, once.model_copy(update={"kind": "always"}), own),
        (task, once, own.model_copy(update={"epochs": 9, "batch_size": 4, "learning_rate": 1.0})),
        (task, once, own.model_copy(update={"warmup": 0.9, "weight_decay": 9.0, "max_grad_norm": 1e-9})),
    ]
    different = [
        (other_data, once, own),
        (task, once.model_copy(update={"seed": 1}), own),
        (task, once.model_copy(update={"epochs": 2}), own),
        (task, once.model_copy(update={"early_stopping": 1}), own),
        (task, once.model_copy(update={"batch_size": 4}), own),
        (task, once.model_copy(update={"learning_rate": 1e-2}), own),
        (task, once, own.model_copy(update={"max_length": 8})),
    ]
    keys = [prepared(SCRATCH, data, machine, tuning, training).key for data, tuning, training in same]
    assert len(set(keys)) == 1
    assert ear.worked == {"teacher": 1}
    keys += [prepared(SCRATCH, data, machine, tuning, training).key for data, tuning, training in different]
    assert len(set(keys)) == 1 + len(different)


def test_layers_of_a_teacher_used_as_it_is_are_not_those_of_one_fine_tuned_anew(
    tmp_path: Path, machine: Machine
) -> None:
    """The labels of the one are brought into the dataset's order, those of the other are learned again."""
    task, name = toy_task("single", rows=8, held_out=8), str(tmp_path)
    save_tiny(tmp_path, replace(task, labels=task.labels[::-1]))
    made = []
    for when in ("auto", "always"):
        tuning = QUICK.model_copy(update={"when": when, "epochs": 1})
        whole = plan_teacher(name, task, tuning).start
        plan = plan_teacher(parse_model("layers:2", MEMBERS), task, tuning, MEMBERS, whole)
        made.append((weights(plan.begin(task, machine)[0]), prepare_teacher(plan, task, training_for(task), machine)))
    (begun, first), (begun_anew, second) = made
    assert not torch.equal(begun, begun_anew)
    assert first.key != second.key
    assert not torch.equal(weights(first.model), weights(second.model))


def test_the_seed_decides_a_teacher_from_scratch(tmp_path: Path, options: RunOptions) -> None:
    task = toy_task("single", rows=16, held_out=8)

    def made(cache: str, seed: int) -> torch.Tensor:
        machine = machine_for(options.model_copy(update={"cache_dir": str(tmp_path / cache)}))
        return weights(prepared(SCRATCH, task, machine, QUICK.model_copy(update={"seed": seed})).model)

    assert torch.equal(made("a", 0), made("b", 0))
    assert not torch.equal(made("a", 0), made("a", 1))


def test_a_vocabulary_is_trained_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy_task("pair")
    first = scratch_tokenizer(task, machine)
    monkeypatch.setattr("engine.models.vocabulary.train_tokenizer", lambda _: pytest.fail("trained again"))
    assert scratch_tokenizer(task, machine).get_vocab() == first.get_vocab()
