"""A student of texts in a search: the losses that θ sees, one step of learning, and the two halves of the rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.base.machine import machine_for
from engine.base.options import FineTuning, RunOptions
from engine.models.start import begin
from engine.pipeline.pipeline import Pipeline
from engine.run.folder import Run, RunFolder
from engine.run.plan import plan_run
from engine.run.prepare import cached_signals, objective_for, online_data
from engine.run.teacher import prepare_teacher
from engine.team.learner import Halves, TextStudent, halved
from engine.team.members import gather
from engine.team.phases import Search
from engine.team.theta import Theta, target_of
from engine.tokens.examples import encode
from engine.training.batches import TrainingData
from engine.training.state import Clock
from tests.engine.team.runs import OTHER, SMALL, spec
from tests.tokenizers import wordpiece
from tests.toys import toy_task

SHARES = torch.tensor([0.5, 0.3, 0.2])
TARGETS = {"sswo": target_of(SHARES, 1, "sswo"), "cr": target_of(SHARES, 1, "cr")}
Learner = Callable[..., tuple[TextStudent, Halves]]


@pytest.fixture(name="learner", scope="module")
def _learner(tmp_path_factory: pytest.TempPathFactory) -> Learner:
    """Makes a student of a small team as a run does; the team is trained once."""
    folder = tmp_path_factory.mktemp("learner")
    options = RunOptions(device="cpu", precision="float32", cache_dir=str(folder / "cache"))

    def learner(
        name: str = "single", seed: int = 0, parts: Mapping[str, Any] = MappingProxyType({}), **more: Any
    ) -> tuple[TextStudent, Halves]:
        task, machine = toy_task(name, rows=24, held_out=8), machine_for(options)
        team = spec("autoskd", members=[SMALL, OTHER], **more)
        training = {"batch_size": 4, "learning_rate": 3e-3}
        pipeline = Pipeline.model_validate({"team": team, "training": training, **parts})
        tuning = FineTuning(epochs=1, learning_rate=1e-3)
        plan = plan_run(task, pipeline, "scratch:layers=2,hidden=16,heads=2", "layers:1", seed=seed, fine_tuning=tuning)
        run = Run(plan, RunFolder(folder / plan.identity, plan.identity), machine)
        run.folder.work.mkdir(parents=True, exist_ok=True)
        teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
        student = begin(plan.student, task, seed, machine, teacher.as_model)
        objective = objective_for(plan, teacher, student[0])
        data = online_data(plan, teacher, student, objective, machine)
        data = replace(data, signals=cached_signals(data.signals, teacher, run))  # type: ignore[arg-type]
        data = replace(data, team=gather(run, teacher, data, student)[1])
        return TextStudent(plan, student[0], objective, data, machine), Halves(data, 4, seed)

    return learner


def weights(student: TextStudent) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in student.parameters()])


# --- a student ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", TARGETS)
def test_the_loss_is_the_cross_entropy_against_what_teaches(update: str, learner: Learner) -> None:
    """Written out: T² is 1, and the student answers without dropout."""
    student, halves = learner()
    batch, _ = halves(0)
    team = student.data.view(batch).team  # type: ignore[union-attr]
    assert team is not None
    assert team.shape == (3, 4, 3)
    teaching = SHARES[1] * team[1] if update == "sswo" else sum(SHARES[n] * team[n] for n in range(3))
    with torch.no_grad():
        answers = student.student.eval()(**batch.inputs).logits
    expected = -(teaching.softmax(-1) * answers.log_softmax(-1)).sum(-1).mean()  # type: ignore[union-attr]
    for loss in (student.training_loss, student.validation_loss):
        torch.testing.assert_close(loss(batch, TARGETS[update]).detach(), expected)


@pytest.mark.parametrize("prediction, temperature", [({"kind": "mse"}, 1.0), ({"kind": "kl", "temperature": 2.0}, 2.0)])
@pytest.mark.parametrize("update", TARGETS)
def test_theta_is_judged_by_cross_entropy_whatever_the_student_learns_by(
    update: str, prediction: dict[str, Any], temperature: float, learner: Learner
) -> None:
    """Of a target in which θ stands itself, any other loss would reward the member that says least."""
    student, halves = learner(parts={"prediction": prediction})
    _, batch = halves(0)
    team = student.data.view(batch).team  # type: ignore[union-attr]
    with torch.no_grad():
        answers = student.student.eval()(**batch.inputs).logits / temperature
    target = (TARGETS[update](team)[0] / temperature).softmax(-1)
    expected = -(target * answers.log_softmax(-1)).sum(-1).mean() * temperature**2
    torch.testing.assert_close(student.validation_loss(batch, TARGETS[update]).detach(), expected)
    assert not torch.allclose(student.training_loss(batch, TARGETS[update]).detach(), expected)


def test_gold_labels_do_not_know_the_target(learner: Learner) -> None:
    student, halves = learner(validation="hard_label", second_order=True)
    _, batch = halves(0)
    losses = [student.validation_loss(batch, target) for target in TARGETS.values()]
    assert torch.equal(*losses)
    with torch.no_grad():
        answers = student.student.eval()(**batch.inputs).logits
    torch.testing.assert_close(losses[0].detach(), torch.nn.functional.cross_entropy(answers, batch.labels))
    assert not torch.equal(*(student.training_loss(batch, target) for target in TARGETS.values()))


def test_a_step_depends_on_its_number_and_not_on_what_was_drawn_before(learner: Learner) -> None:
    """Its dropout has a seed of its own, so a search that goes on goes on alike."""
    after = []
    for step, noise in ((3, 0), (3, 99), (4, 0)):
        student, halves = learner()
        torch.manual_seed(noise)
        student.learn(halves(0)[0], TARGETS["cr"], 1.0, step)
        after.append(weights(student))
    assert torch.equal(after[0], after[1])
    assert not torch.equal(after[0], after[2])


def test_it_learns_at_the_rate_of_its_share(learner: Learner) -> None:
    student, halves = learner()
    before, batch = weights(student), halves(0)[0]
    student.learn(batch, TARGETS["cr"], 0.0, 0)
    assert torch.equal(weights(student), before)
    assert student.rate(0.5) == 0.5 * 3e-3


def test_it_learns_what_it_is_taught(learner: Learner) -> None:
    """A team of a few steps knows nothing, so its opinions are made strong here."""

    def strong(logits: Tensor) -> Tensor:
        return 3 * logits[:1] / logits[:1].std()

    student, halves = learner()
    batch = halves(0)[0]
    first = student.training_loss(batch, strong).item()
    for step in range(10):
        student.learn(batch, strong, 1.0, step)
    assert student.training_loss(batch, strong).item() < first - 0.01
    assert all(parameter.grad is None for parameter in student.parameters())


def test_a_checkpoint_goes_on_alike(learner: Learner) -> None:
    one, halves = learner()
    for step in range(3):
        one.learn(halves(step)[0], TARGETS["cr"], 1.0, step)
    other, _ = learner()
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for student in (one, other):
        student.learn(halves(3)[0], TARGETS["cr"], 1.0, 3)
    assert torch.equal(weights(one), weights(other))


TOKENS = {"intermediate": {"kind": "mi_alpha", "max_tokens": 5, "critic": {"kind": "mlp", "width": 8}}}
"""An objective that draws tokens."""


class Killed(Exception):
    pass


@pytest.mark.parametrize("second_order", [False, True])
def test_a_search_that_draws_tokens_goes_on_where_it_was_killed(
    second_order: bool, learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit, though no random numbers are kept between two steps."""

    def search(folder: str, kill_at: int | None = None) -> Search:
        def report(step: int, shares: list[float]) -> None:
            if step == kill_at:
                raise Killed

        student, halves = learner("tagging", parts=TOKENS, second_order=second_order)
        folders = {"folder": tmp_path / folder, "checkpoint_seconds": 0.0, "report": report}
        theta = Theta(3, 0.05, 1e-3, "sswo")
        numbers = {"steps": 6, "dropped": 1, "candidates": 2, "warmup": 0.1, "seed": 0}
        return Search(student=student, batches=halves, theta=theta, second_order=second_order, **numbers, **folders)

    whole = search("whole")
    found = whole.run(keep=False)
    monkeypatch.setattr(Clock, "checkpoint_due", lambda clock: True)
    with pytest.raises(Killed):
        search("killed", kill_at=4).run()
    torch.manual_seed(99)
    later = search("killed")
    assert later.run() == found
    assert torch.equal(weights(later.student), weights(whole.student))


# --- two halves --------------------------------------------------------------------------------------


@given(rows=st.integers(2, 40), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_halves_share_nothing_and_leave_nothing_out(rows: int, seed: int) -> None:
    task = toy_task("single", rows=rows, held_out=2)
    examples = encode(task.train, task, wordpiece(), 32)
    first, second = halved(examples, seed)
    assert sorted([*first, *second]) == list(range(rows))
    assert len(first) - len(second) in (0, 1)
    assert [part.tolist() for part in halved(examples, seed)] == [first.tolist(), second.tolist()]


def test_another_seed_halves_otherwise() -> None:
    task = toy_task("single", rows=40, held_out=2)
    examples = encode(task.train, task, wordpiece(), 32)
    assert not np.array_equal(halved(examples, 0)[0], halved(examples, 1)[0])


def test_all_windows_of_a_row_are_in_the_same_half() -> None:
    """θ must not be judged on a context that the student has learned from."""
    task = toy_task("question_answering", rows=12, held_out=2)
    rows = task.train.map(lambda row: {"context": " ".join([row["context"]] * 4)})
    examples = encode(rows, task, wordpiece(), 16, 4)
    assert len(examples) > 2 * len(rows)
    first, second = (set(examples.rows[part]) for part in halved(examples, 0))
    assert first & second == set()
    assert first | second == set(range(12))
    assert len(first) == len(second)


@pytest.mark.parametrize("size", [1, 4, 5, 50])
def test_an_epoch_of_a_half_is_each_of_its_examples_once(size: int) -> None:
    halves = plain_halves(size)
    for half, part in enumerate(halves.parts):
        steps = -(-len(part) // size)
        epochs = [[halves._ids(half, epoch * steps + step) for step in range(steps)] for epoch in range(2)]
        for epoch in epochs:
            assert sorted(np.concatenate(epoch)) == sorted(part)
            assert max(map(len, epoch)) <= size
        if 1 < size < len(part):
            assert [sorted(ids) for ids in epochs[0]] != [sorted(ids) for ids in epochs[1]]


def test_a_step_has_its_batches_whoever_asks_first() -> None:
    forwards, backwards = plain_halves(4), plain_halves(4)
    there = [forwards(step) for step in range(12)]
    back = [backwards(step) for step in reversed(range(12))][::-1]
    for one, other in zip(there, back, strict=True):
        for first, second in zip(one, other, strict=True):
            assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
            assert first.totals == second.totals
    assert forwards.examples(12) == sum(len(batch.labels) for batches in there for batch in batches)


def plain_halves(size: int) -> Halves:
    task = toy_task("single", rows=25, held_out=2)
    data = TrainingData(encode(task.train, task, wordpiece(), 32), {"input_ids", "attention_mask"})
    return Halves(data, size, seed=0)


def test_only_rows_with_a_label_are_halved() -> None:
    task = toy_task("question_answering", rows=9, held_out=2)
    examples = encode(task.train, task, wordpiece(), 16, 4)
    labelled = examples.rows < 6
    halves = halved(replace(examples, labelled=labelled), 0)
    assert sorted(np.concatenate(halves).tolist()) == np.flatnonzero(labelled).tolist()
    assert [len(np.unique(examples.rows[half])) for half in halves] == [3, 3]
