"""What steps cost, from few that are taken: the parts add up to what whole steps take."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from engine import Pipeline
from engine.base.machine import machine_for
from engine.base.options import FineTuning, RunOptions
from engine.models.start import begin
from engine.run import rehearsal as module
from engine.run.plan import RunPlan, plan_run, with_pipeline
from engine.run.rehearsal import Rehearsal, Taken
from engine.run.teacher import prepare_teacher
from tests.toys import toy_task

TRAINING = {"batch_size": 8, "epochs": 1}
TEACHER = "scratch:layers=4,hidden=32,heads=2"


def planned(plan: RunPlan, **components: Any) -> RunPlan:
    return with_pipeline(plan, Pipeline.model_validate({"training": TRAINING, **components}))


@pytest.fixture(name="rehearsal", scope="module")
def _rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    task = toy_task("single", rows=64, held_out=16)
    cache = str(tmp_path_factory.mktemp("cache"))
    machine = machine_for(RunOptions(device="cpu", precision="float32", cache_dir=cache))
    plan = plan_run(
        task, Pipeline.model_validate({"training": TRAINING}), TEACHER, "layers:2", fine_tuning=FineTuning(epochs=1)
    )
    teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    student = begin(plan.student, task, 0, machine, teacher.as_model)
    return Rehearsal(plan, task, teacher, student, machine)


@pytest.fixture(name="taken")
def _taken(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> list[RunPlan]:
    """The plans of which steps are taken from now on."""
    plans: list[RunPlan] = []
    honest = rehearsal.taken

    def watched(plan: RunPlan) -> Taken:
        plans.append(plan)
        return honest(plan)

    monkeypatch.setattr(rehearsal, "taken", watched)
    monkeypatch.setattr(rehearsal, "_known", {})
    return plans


def test_objectives_follow_from_the_plain_step(rehearsal: Rehearsal, taken: list[RunPlan]) -> None:
    plain = rehearsal.seconds(rehearsal.plan)
    assert plain == pytest.approx(rehearsal.plain.step, abs=rehearsal.plain.step)
    dear = planned(rehearsal.plan, intermediate={"kind": "mi_alpha"}, mapping={"kind": "emd"})
    assert rehearsal.seconds(dear) > plain
    assert not taken


def test_mappings_of_as_many_layers_cost_the_same(rehearsal: Rehearsal, taken: list[RunPlan]) -> None:
    """And α costs nothing."""
    spec = {"kind": "mi_alpha", "alpha": 0.1}
    skip, last, emd = (
        rehearsal.seconds(planned(rehearsal.plan, intermediate=spec, mapping={"kind": kind}))
        for kind in ("skip", "last", "emd")
    )
    again = planned(rehearsal.plan, intermediate=spec | {"alpha": 0.9}, mapping={"kind": "skip"})
    assert skip == last == rehearsal.seconds(again)
    assert skip != emd


def test_of_policies_one_that_mixes_and_one_that_does_not_are_taken(rehearsal: Rehearsal, taken: list[RunPlan]) -> None:
    stacks = ("mixup", "random", "random+mixup", "mixup")
    seconds = [rehearsal.seconds(planned(rehearsal.plan, augmentation=stack)) for stack in stacks]
    assert [plan.pipeline.augmentation.kinds for plan in taken] == [["mixup"], ["random"]]
    assert all(each > rehearsal.plain.step for each in seconds)


def test_steps_are_of_texts_of_every_length(rehearsal: Rehearsal) -> None:
    """Those of a training are sorted by length, so a few beside each other would be of one."""
    ids = [rehearsal._steps(rehearsal.data).steps[number] for number in rehearsal._numbers]
    lengths = [rehearsal.data.student.padded_length(each) for each in ids]
    every = rehearsal.data.student.lengths
    assert lengths == sorted(lengths)
    assert len(ids) == module.STEPS
    assert np.mean([every[each].mean() for each in ids]) == pytest.approx(every.mean(), rel=0.15)


def test_what_a_policy_makes_and_an_objective_takes_is_in_its_step(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of the parts is what a step takes that is longer by a sleep here and there."""
    monkeypatch.setattr(rehearsal, "_known", {})
    random, pause = planned(rehearsal.plan, augmentation="random"), 0.4
    quick = rehearsal.seconds(random)
    augmenter = rehearsal._augmented(random.pipeline.augmentation).augmenter
    assert augmenter is not None
    honest = augmenter.policy.before[0]
    slow: Any = lambda *given: time.sleep(pause) or honest(*given)  # noqa: E731
    object.__setattr__(augmenter.policy, "before", (slow,))
    assert rehearsal.seconds(random) - quick == pytest.approx(pause, abs=0.2)
    taken = rehearsal.taken(random)
    assert taken.step == pytest.approx(rehearsal.seconds(random), abs=0.2)
