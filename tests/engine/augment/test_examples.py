"""Augmented batches: what student and teacher see of them, and a stream that depends on the seed alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import distill
from engine.augment import language_model
from engine.augment.examples import Augmenter, Tokenisation
from engine.augment.policy import Policy, policy_for
from engine.augment.random import RandomWords
from engine.base.errors import InputError
from engine.base.machine import Machine, workers_for
from engine.base.options import FineTuning, RunOptions
from engine.models.forward import SHARES, Features
from engine.models.start import begin
from engine.objective.equation import Objective
from engine.pipeline import Pipeline, Random
from engine.pipeline.read import load_pipeline
from engine.run.plan import RunPlan, plan_run
from engine.run.prepare import objective_for, online_data
from engine.run.teacher import prepare_teacher
from engine.tokens.examples import encode
from engine.tokens.ragged import NO_LABEL
from engine.training.batches import Batch, StepPlan, Stream, TrainingData
from tests.tasks import make_task
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import FILLER, WORDS, save_tiny, toy_task

KINDS = ["single", "pair", "regression", "tagging", "question_answering", "multi_label"]
Made = tuple[TrainingData, RunPlan]


@pytest.fixture(name="prepared")
def _prepared(tmp_path: Path, machine: Machine) -> Callable[..., Made]:
    """Gives the training data of a tiny student, with a policy."""

    def prepared(name: str, policy: str, other_tokenizer: bool = False, **changes: object) -> Made:
        task = toy_task(name, rows=40, held_out=8)
        folders = tmp_path / "teacher", tmp_path / "student"
        save_tiny(folders[0], task, "bert", wordpiece())
        save_tiny(folders[1], task, "bert", byte_bpe() if other_tokenizer else wordpiece(), layers=2)
        max_length = changes.pop("max_length", 64)
        pipeline = load_pipeline(
            {
                "augmentation": {"operators": policy, **changes},
                "training": {"epochs": 1, "batch_size": 8, "max_length": max_length},
            }
        )
        plan = plan_run(task, pipeline, str(folders[0]), str(folders[1]), precision="float32")
        training = plan.pipeline.training
        teacher = prepare_teacher(plan.teacher, task, training, machine)
        student = begin(plan.student, task, 0, machine, (teacher.model, teacher.tokenizer))
        objective = objective_for(plan, teacher, student[0])
        return online_data(plan, teacher, student, objective, machine), plan

    return prepared


def steps(made: Made, machine: Machine, workers: int = 0, start: int = 0) -> list[list[Batch]]:
    data, plan = made
    assert data.augmenter is not None
    data = replace(data, augmenter=replace(data.augmenter, workers=workers))
    return list(Stream(data, plan.pipeline.training, 0, 1, machine.accelerator).from_step(start))


def same(one: Batch, other: Batch) -> bool:
    tensors = [
        {"labels": batch.labels, **batch.inputs, **{f"teacher {k}": v for k, v in batch.fetched.items()}}
        for batch in (one, other)
    ]
    return tensors[0].keys() == tensors[1].keys() and all(
        torch.equal(value, tensors[1][name]) for name, value in tensors[0].items()
    )


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("policy", ["random", "mixup", "random+mixup", "mixup+random"])
@pytest.mark.parametrize("other_tokenizer", [False, True], ids=["one tokenizer", "two tokenizers"])
def test_each_original_has_an_augmented_copy(
    prepared: Callable[..., Made], machine: Machine, name: str, policy: str, other_tokenizer: bool
) -> None:
    made = prepared(name, policy, other_tokenizer)
    for original, augmented in steps(made, machine):
        assert (original.augmented, augmented.augmented) == (False, True)
        count = len(original.labels)
        assert len(augmented.labels) == count
        assert original.totals["examples"] == augmented.totals["examples"] == count
        for inputs in (augmented.inputs, augmented.fetched):
            assert (SHARES in inputs) == ("mixup" in policy)
            assert len(inputs["input_ids"]) == count * (1 + ("mixup" in policy))
        if "mixup" not in policy and name in ("single", "pair", "regression"):
            assert torch.equal(augmented.labels, original.labels)
        view = made[0].view(augmented)
        assert view is not None
        assert len(view.logits) == count
        assert torch.isfinite(view.logits).all()


def test_words_are_those_of_the_original(prepared: Callable[..., Made], machine: Machine) -> None:
    """Words that change places leave the bag of tokens as it was."""
    moved = 0
    for original, augmented in steps(prepared("single", "random"), machine):
        tokens = [batch.inputs["input_ids"] for batch in (original, augmented)]
        assert all(sorted(a) == sorted(b) for a, b in zip(*(each.tolist() for each in tokens), strict=True))
        moved += int((tokens[0] != tokens[1]).any(dim=1).sum())
    assert moved > 20


def test_tags_stay_with_their_words(prepared: Callable[..., Made], machine: Machine) -> None:
    for original, augmented in steps(prepared("tagging", "random"), machine):
        pairs = [
            [
                sorted((token, tag) for token, tag in zip(*row, strict=True) if tag != NO_LABEL)
                for row in zip(batch.inputs["input_ids"].tolist(), batch.labels.tolist(), strict=True)
            ]
            for batch in (original, augmented)
        ]
        assert pairs[0] == pairs[1]


def test_answers_are_found_again(prepared: Callable[..., Made], machine: Machine) -> None:
    for original, augmented in steps(prepared("question_answering", "random"), machine):
        for row in range(len(original.labels)):
            answers = [
                batch.inputs["input_ids"][row, first : last + 1].tolist()
                for batch in (original, augmented)
                for first, last in [batch.labels[row].tolist()]
            ]
            assert answers[0] == answers[1]
            assert augmented.labels[row, 0] > 0


def test_copies(prepared: Callable[..., Made], machine: Machine) -> None:
    made = prepared("single", "random", copies=3)
    for original, *augmented in steps(made, machine):
        assert len(augmented) == 3
        assert all(batch.totals["examples"] == 3 * original.totals["examples"] for batch in augmented)
        assert not same(augmented[0], augmented[1])


@pytest.mark.parametrize("policy", ["random", "mixup", "random+mixup"])
@pytest.mark.parametrize("max_length", [64, 8], ids=["whole", "cut"])
def test_augmented_tags_are_counted_as_they_are(
    prepared: Callable[..., Made], machine: Machine, policy: str, max_length: int
) -> None:
    """Of cut sentences another part is left; of mixed ones each partner has its share."""
    data, plan = prepared("tagging", policy, copies=2, max_length=max_length)
    training = plan.pipeline.training.model_copy(update={"batch_size": 4, "gradient_accumulation": 2})
    differ = 0
    for batches in Stream(data, training, 0, 1, machine.accelerator).from_step(0):
        own = [batch for batch in batches if batch.augmented]
        counts = [
            batch.labels.sum() if batch.labels.is_floating_point() else (batch.labels != NO_LABEL).sum()
            for batch in own
        ]
        assert len(own) == 4
        assert all(batch.totals["tokens"] == pytest.approx(float(sum(counts)), rel=1e-5) for batch in own)
        differ += own[0].totals["tokens"] != 2 * batches[0].totals["tokens"]
    assert bool(differ) == ("mixup" in policy or max_length == 8)


def test_a_text_whose_words_changed_places_has_the_label_that_the_teacher_gives_it() -> None:
    """Which of two names stands first decides here, so the original's label is often wrong (Distiller, section 4)."""
    dice, tokenizer, names = random.Random(0), wordpiece(WORDS, 400), ("Anna", "Bruno")
    rows = []
    for _ in range(200):
        label = dice.randrange(2)
        words = dice.choices(FILLER, k=5)
        for place, name in zip(sorted(dice.sample(range(5), 2)), names if label == 0 else names[::-1], strict=True):
            words[place] = name
        rows.append({"text": " ".join(words), "label": label})
    task = make_task("classification", rows, labels=names)
    accepted, how = {"input_ids", "attention_mask"}, Tokenisation(tokenizer, 32)
    policy = Policy((RandomWords(Random(), None),))
    examples = encode(task.train, task, tokenizer, 32)
    augmenter = Augmenter(task, policy, 1, examples, how, None, accepted, accepted, aligned=False)
    batch = augmenter.batch(np.arange(200), np.random.default_rng(0))

    ids = batch.inputs["input_ids"]
    anna, bruno = (int(token) for token in tokenizer.convert_tokens_to_ids(["anna", "bruno"]))
    truth = ((ids == anna).int().argmax(1) > (ids == bruno).int().argmax(1)).long()
    assert (truth != batch.labels).float().mean() > 0.2
    right = Features(20 * torch.nn.functional.one_hot(truth, 2).float(), {}, batch.inputs["attention_mask"].bool())
    sizes = {f"{who}_{size}": 0 for who in ("student", "teacher") for size in ("layers", "width")}
    objective = Objective(Pipeline.model_validate({"augmentation": "random"}), task.kind, **sizes)
    terms = objective(right, right, batch.labels, {"examples": 200.0}, augmented=True)
    assert terms["augmented_hard_label"] < 1e-6


@pytest.mark.parametrize(
    ("name", "policy"), [("pair", "random+mixup"), ("tagging", "random+mixup"), ("pair", "contextual+random+mixup")]
)
def test_the_stream_is_the_same_for_any_number_of_workers(
    prepared: Callable[..., Made], machine: Machine, name: str, policy: str
) -> None:
    made = prepared(name, policy)
    streams = [steps(made, machine, workers) for workers in (0, 1, 4)]
    for other in streams[1:]:
        assert len(other) == len(streams[0])
        for one_step, other_step in zip(streams[0], other, strict=True):
            assert all(same(one, two) for one, two in zip(one_step, other_step, strict=True))


def test_the_stream_goes_on_from_any_step(prepared: Callable[..., Made], machine: Machine) -> None:
    made = prepared("single", "random+mixup")
    whole = steps(made, machine)
    for workers in (0, 2):
        for one, other in zip(whole[3:], steps(made, machine, workers, start=3), strict=True):
            assert all(same(*pair) for pair in zip(one, other, strict=True))


def test_every_epoch_and_seed_has_a_stream_of_its_own(prepared: Callable[..., Made], machine: Machine) -> None:
    data, plan = prepared("single", "mixup")
    shares = [
        StepPlan(data, plan.pipeline.training, seed, 0, 1, epoch)[0][1].inputs[SHARES]
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert not torch.equal(shares[0], shares[1])
    assert not torch.equal(shares[0], shares[2])


@pytest.mark.parametrize(("spare", "asked", "workers"), [(1, None, 1), (0, None, 0), (0, 2, 2), (1, 0, 0)])
def test_a_language_model_on_a_cpu_works_ahead_where_training_leaves_it_a_core(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, spare: int, asked: int | None, workers: int
) -> None:
    monkeypatch.setattr("engine.base.machine.cores", lambda: torch.get_num_threads() + spare)
    monkeypatch.setattr(language_model, "EXAMPLES", 32)
    machine = replace(machine, options=machine.options.model_copy(update={"workers": asked}))
    policy = policy_for(
        load_pipeline({"augmentation": "contextual+mixup"}).augmentation, toy_task("single", 20, 8), machine
    )
    assert policy is not None
    assert (0 if policy.on_device else workers_for(machine)) == workers


def test_options_say_how_many_workers(machine: Machine) -> None:
    assert workers_for(replace(machine, options=RunOptions(workers=3))) == 3
    assert workers_for(replace(machine, options=RunOptions(workers=0))) == 0
    assert workers_for(machine) in (0, 1)


# --- whole runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_student_learns_with_augmentation(name: str, tmp_path: Path, warm: RunOptions) -> None:
    result = distill(
        toy_task(name),
        teacher="scratch:layers=2,hidden=32,heads=2",
        student="scratch:layers=2,hidden=32,heads=2",
        pipeline={"augmentation": "random+mixup", "training": {"epochs": 6, "batch_size": 8, "learning_rate": 3e-3}},
        out=tmp_path / "run",
        fine_tuning=FineTuning(epochs=5, batch_size=8, learning_rate=3e-3),
        options=warm,
    )
    terms = {"prediction", "hard_label", "augmented_prediction", "augmented_hard_label"}
    assert set(result.history[-1]["loss"]) == terms
    losses = [epoch["loss"]["augmented_hard_label"] for epoch in (result.history[0], result.history[-1])]
    assert losses[1] < losses[0]
    assert result.signals == "cached"
    assert result.teacher_examples >= 6 * result.train_examples
    assert 0 < (result.waiting_share or 0) < 1
    assert (result.student_score or 0) > (result.trivial_score or 0) + 0.1


def test_a_policy_that_does_not_suit_the_task_is_refused_first(tmp_path: Path, options: RunOptions) -> None:
    with pytest.raises(InputError, match=r"augmentation\.operators: a translation keeps no tags"):
        distill(
            toy_task("tagging"),
            teacher="./none",
            student="layers:1",
            pipeline={"augmentation": "back_translation"},
            out=tmp_path,
            options=options,
        )
