"""Augmented steps that are kept: what is read is what was added, and a later run is what it would have been alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import torch

from engine.augment.mixup import mixed_targets
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import SilentReporter
from engine.models.forward import SHARES, Features
from engine.run.result import RunResult
from engine.signals.augmented import HEADER, AugmentedSteps
from engine.tokens.batch import Batch
from engine.tokens.ragged import NO_LABEL
from tests.engine.conftest import Ear
from tests.engine.runs import small
from tests.records import lasting
from tests.toys import toy_task

GB = 10**9
LABELS = {
    "classification": torch.tensor([3, 70_000]),
    "regression": torch.tensor([0.5, -1e6]),
    "tagging": torch.tensor([[1, NO_LABEL, 4], [0, 2, NO_LABEL]]),
    "question_answering": torch.tensor([[0, 2], [1, 1]]),
    "mixed": mixed_targets(torch.tensor([0, 1]).repeat(2), torch.tensor([0.25, 0.5]), "classification", 3, 3),
}


def batch(kind: str = "classification", shift: int = 0) -> Batch:
    ids = torch.tensor([[5, 30_521 + shift, 0], [7, 2, 250_000]])
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).long(), SHARES: torch.tensor([0.1, 0.9])}
    said = Features(torch.randn(2, 4), {}, ids > 0)
    aligned = torch.rand(2, 3, 5) if kind == "tagging" else None
    return Batch(inputs, LABELS[kind], said, aligned, aligned, augmented=True)


def assert_equal(found: Sequence[Batch], expected: Sequence[Batch]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.augmented
        assert one.inputs.keys() == other.inputs.keys()
        pairs = [(one.labels, other.labels), (one.alignment, other.alignment)]
        pairs += [(one.label_alignment, other.label_alignment), (one.fetched.mask, other.fetched.mask)]
        pairs += [(one.fetched.logits, other.fetched.logits.float())]
        pairs += [(one.inputs[name], other.inputs[name]) for name in one.inputs]
        for mine, theirs in pairs:
            assert (mine is None) is (theirs is None)
            if mine is not None and theirs is not None:
                assert mine.dtype == theirs.dtype
                assert torch.equal(mine, theirs)


def opened(folder: Path, budget: int = GB, ear: Ear | None = None) -> AugmentedSteps:
    return AugmentedSteps(folder / "signals" / "stream", budget, ear or SilentReporter())


@pytest.mark.parametrize("kind", LABELS)
def test_what_was_added_is_read(kind: str, tmp_path: Path) -> None:
    steps, added = opened(tmp_path), [[batch(kind), batch(kind, 1)], [batch(kind, 2)]]
    for number, batches in enumerate(added):
        steps.add(number, batches)
    steps.flush()
    for reader in (steps, opened(tmp_path)):
        assert reader.count == 2
        for number, batches in enumerate(added):
            assert_equal(reader.read(number), batches)
        assert reader.read(2) == []


def test_a_training_knows_its_own_steps(tmp_path: Path) -> None:
    steps = opened(tmp_path).of("mine")
    steps.add(0, [batch()])
    steps.flush()
    known = {owner: opened(tmp_path).of(owner).read(0)[0].kept for owner in ("mine", "another's", "")}
    assert known == {"mine": False, "another's": True, "": True}


def test_logits_of_16_bits_lose_nothing(tmp_path: Path) -> None:
    steps, said = opened(tmp_path), batch()
    said.fetched.logits = said.fetched.logits.bfloat16()
    steps.add(0, [said])
    steps.flush()
    assert_equal(steps.read(0), [said])


def test_steps_are_kept_without_a_gap_and_once(tmp_path: Path) -> None:
    steps, first = opened(tmp_path), batch()
    for number, added in ((1, batch()), (0, first), (0, batch()), (2, batch())):
        steps.add(number, [added])
    steps.flush()
    assert steps.count == 1
    assert_equal(steps.read(0), [first])


def test_two_that_add_share_what_either_has_made(tmp_path: Path) -> None:
    one, other, made = opened(tmp_path), opened(tmp_path), [batch(shift=shift) for shift in range(4)]
    for number, adds in enumerate((one, other, other, one)):
        for steps in (adds, one, other):  # the others come too late
            steps.add(number, [made[number] if steps is adds else batch()])
            steps.flush()
    for steps in (one, other, opened(tmp_path)):
        assert steps.count == 4
        for number in range(4):
            assert_equal(steps.read(number), [made[number]])


@pytest.mark.parametrize("harm", ["cut", "changed", "length"])
def test_a_damaged_record_ends_the_file(harm: str, tmp_path: Path) -> None:
    steps, made = opened(tmp_path), [batch(shift=shift) for shift in range(3)]
    for number, each in enumerate(made):
        steps.add(number, [each])
    steps.flush()
    file = tmp_path / "signals" / "stream" / "steps"
    whole = bytearray(file.read_bytes())
    length, _ = HEADER.unpack(whole[: HEADER.size])
    second = HEADER.size + length
    if harm == "cut":
        whole = whole[:-1]
    else:
        whole[second + (7 if harm == "length" else HEADER.size + 200)] ^= 0xFF
    file.write_bytes(whole)
    ear = Ear()
    again = opened(tmp_path, ear=ear)
    left = 2 if harm == "cut" else 1
    assert again.count == left
    told = ["The kept signals were damaged and are made anew."]
    assert ear.messages == (told if harm == "changed" else [])  # what ends too early may be what a kill has left
    for number in range(left, 3):
        again.add(number, [made[number]])
    again.flush()
    for number in range(3):
        assert_equal(again.read(number), [made[number]])


def test_nothing_is_kept_beyond_the_budget(tmp_path: Path) -> None:
    steps = opened(tmp_path, budget=1000)
    steps.add(0, [batch()])
    steps.flush()
    assert steps.count == 0
    assert steps.read(0) == []


def test_what_others_clear_away_is_made_anew(tmp_path: Path) -> None:
    steps = opened(tmp_path)
    steps.add(0, [batch()])
    steps.flush()
    rmtree(tmp_path / "signals" / "stream")
    assert steps.read(0) == []
    assert steps.count == 0
    again = batch()
    steps.add(0, [again])
    steps.flush()
    assert_equal(steps.read(0), [again])


COPIES, EPOCHS, ROWS = 2, 3, 24
ASKED = COPIES * EPOCHS * ROWS
TRAINING = {"epochs": EPOCHS, "batch_size": 8, "gradient_accumulation": 2, "learning_rate": 1e-3, "max_length": 32}
AUGMENTATION = {"operators": [{"kind": "random", "synonyms": "none"}, {"kind": "mixup"}], "copies": COPIES}
WEIGHTS = {"augmented_prediction": 1.0, "augmented_hard_label": 0.5}


def augmented(options: RunOptions, out: Path, task: str = "single", **changes: Any) -> RunResult:
    run = {name: changes.pop(name) for name in ("seed", "student", "teacher", "fine_tuning") if name in changes}
    pipeline = {"training": TRAINING, "weights": WEIGHTS, "augmentation": AUGMENTATION} | changes
    return small(options, out, data=toy_task(task, rows=ROWS, held_out=8), pipeline=pipeline, **run)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("task", ["single", "tagging"])
def test_a_later_pipeline_asks_the_teacher_nothing_and_ends_as_it_would_alone(
    workers: int, task: str, options: RunOptions, tmp_path: Path
) -> None:
    first = augmented(options, tmp_path / "first", task)
    assert first.teacher_examples == ROWS + ASKED
    others = {"prediction": {"kind": "mse"}, "training": TRAINING | {"epochs": 2, "learning_rate": 2e-3}}
    with_workers = options.model_copy(update={"workers": workers})
    second = augmented(with_workers, tmp_path / "second", task, **others)
    assert second.teacher_examples == 0
    alone = options.model_copy(update={"cache_dir": str(tmp_path / "other cache")})
    expected = augmented(alone, tmp_path / "alone", task, **others)
    one, other = lasting(second.model_dump()), lasting(expected.model_dump())
    assert {name for name in one if one[name] != other[name]} == {"teacher_examples"}
    students = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("second", "alone")]
    assert students[0] == students[1]


def test_more_epochs_ask_for_the_further_ones_alone(options: RunOptions, tmp_path: Path) -> None:
    augmented(options, tmp_path / "first")
    longer = augmented(options, tmp_path / "longer", training=TRAINING | {"epochs": EPOCHS + 1})
    assert longer.teacher_examples == COPIES * ROWS


def changed_words(**words: Any) -> dict[str, Any]:
    return {"augmentation": AUGMENTATION | {"operators": [{"kind": "random", "synonyms": "none", **words}]}}


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"augmentation": AUGMENTATION | {"copies": 1}},
        changed_words(),
        changed_words(strength=0.5),
        {"training": TRAINING | {"batch_size": 12}},
        {"training": TRAINING | {"gradient_accumulation": 1}},
        {"training": TRAINING | {"max_length": 16}},
        {"fine_tuning": FineTuning(epochs=1, learning_rate=2e-3)},
        {"teacher": "scratch:layers=1,hidden=16,heads=2"},
    ],
    ids=str,
)
def test_another_stream_is_not_taken_for_it(changes: dict[str, Any], options: RunOptions, tmp_path: Path) -> None:
    augmented(options, tmp_path / "first")
    other = augmented(options, tmp_path / "other", **changes)
    copies = changes.get("augmentation", AUGMENTATION)["copies"]
    assert other.teacher_examples - copies * EPOCHS * ROWS in (0, ROWS)


def test_other_synonyms_make_another_stream(options: RunOptions, tmp_path: Path) -> None:
    """Their file is the same by its name."""
    vectors, found = tmp_path / "vectors.txt", []
    for number in range(2):
        vectors.write_text(f"good 1.0 0.{number}\nbad 1.0 0.1\n", "utf-8")
        found.append(augmented(options, tmp_path / str(number), **changed_words(synonyms=str(vectors))))
    assert found[1].teacher_examples == ASKED


def test_nothing_is_kept_where_the_teacher_runs_along(options: RunOptions, tmp_path: Path) -> None:
    online = options.model_copy(update={"signals": "online"})
    for name in ("first", "second"):
        assert augmented(online, tmp_path / name).teacher_examples == EPOCHS * ROWS + ASKED
